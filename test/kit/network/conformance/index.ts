/**
 * What every Tor network of the kit must do, checked over control and SOCKS ports only: the embedded one and the one made of
 * real tors run the same suite, and where they differ the embedded one is wrong. Enter through `describeTorNetwork`.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { TorInstance } from '../network.ts';
import { Bench, socksTimeoutSeconds, type ConformanceSubject } from './bench.ts';
import type { Cast, Declare } from './cast.ts';
import { checkControlPort } from './control-port.ts';
import { checkFlood } from './flood.ts';
import { checkHspost } from './hspost.ts';
import { checkLifetime } from './lifetime.ts';
import { checkMergedDescriptor } from './merged-descriptor.ts';
import { checkNativeService } from './native-service.ts';

export type { ConformanceSubject } from './bench.ts';

export interface ConformanceOptions {
  /** Also what needs both halves of the network's day. Default true, unless quick. */
  readonly wholeDay?: boolean;
  /** Without the checks that mostly wait. Default false. */
  readonly quick?: boolean;
  /** Upper limit of one check, milliseconds of real time. Default 90 s. */
  readonly limitMs?: number;
}

/** A new service may have to wait for the tors to hear of the next half of a time period. */
const usualLimitMs = 90_000;

interface Stage {
  readonly cast: Cast;
  /** Starts the network and its tors. */
  readonly open: () => Promise<void>;
  readonly close: () => Promise<void>;
}

function createStage(
  make: () => Promise<ConformanceSubject>,
  { quick = false, wholeDay = !quick, limitMs = usualLimitMs }: ConformanceOptions,
  declare: Declare,
): Stage {
  let bench: Bench | undefined;
  let tors: readonly [client: TorInstance, head: TorInstance, other: TorInstance] | undefined;
  const there = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new Error('the network is not up');
    return thing;
  };
  return {
    cast: {
      ...declare,
      quick,
      wholeDay,
      limitMs,
      get bench() {
        return there(bench);
      },
      get client() {
        return there(tors)[0];
      },
      get head() {
        return there(tors)[1];
      },
      get other() {
        return there(tors)[2];
      },
    },
    open: async () => {
      const made = new Bench(await make());
      bench = made;
      const { network } = made.subject;
      const config = { SocksTimeout: String(socksTimeoutSeconds) };
      tors = await made.within(
        Promise.all([
          network.addTor({ name: 'client', socks: true, config }),
          network.addTor({ name: 'head' }),
          network.addTor({ name: 'other' }),
        ]),
      );
      await made.within(network.ready(), 240_000);
    },
    close: async () => bench?.close(),
  };
}

function declareChecks(cast: Cast): void {
  checkControlPort(cast);
  checkNativeService(cast);
  checkHspost(cast);
  checkFlood(cast);
  checkMergedDescriptor(cast);
  checkLifetime(cast);
}

/** Runs the suite against the network that `make` starts. */
export function describeTorNetwork(
  name: string,
  make: () => Promise<ConformanceSubject>,
  options: ConformanceOptions = {},
): void {
  const { quick = false, limitMs = usualLimitMs } = options;
  describe(`Tor network: ${name}`, { timeout: limitMs }, () => {
    const declare: Declare = { group: describe, before: beforeAll, check: test, slowCheck: quick ? test.skip : test };
    const { cast, open, close } = createStage(make, options, declare);
    beforeAll(open, 300_000);
    afterAll(close, 60_000);
    declareChecks(cast);
  });
}

/** One check of the suite, to be run alone. */
export interface NetworkCheck {
  readonly group: string;
  readonly name: string;
  /** On a network of its own: rejects when the check does not hold. */
  run(make: () => Promise<ConformanceSubject>): Promise<void>;
}

/** The checks of the whole suite, for whoever wants to know what each of them notices. */
export function torNetworkChecks(options: ConformanceOptions = {}): readonly NetworkCheck[] {
  type Work = () => Promise<void>;
  const list = (make: () => Promise<ConformanceSubject>) => {
    let group = '';
    const before: { readonly group: string; readonly work: Work }[] = [];
    const checks: { readonly group: string; readonly name: string; readonly work: Work }[] = [];
    const check = (name: string, work: Work): void => void checks.push({ group, name, work });
    const { cast, open, close } = createStage(make, options, {
      group: (name, body) => {
        group = name;
        body();
      },
      before: (work) => void before.push({ group, work }),
      check,
      slowCheck: check,
    });
    declareChecks(cast);
    return { open, close, before, checks };
  };
  const nowhere = (): Promise<ConformanceSubject> => Promise.reject(new Error('this stage is not for playing'));
  return list(nowhere).checks.map(({ group, name }, index) => ({
    group,
    name,
    run: async (make) => {
      const { open, close, before, checks } = list(make);
      try {
        await open();
        for (const first of before) if (first.group === group) await first.work();
        await checks[index]?.work();
      } finally {
        await close();
      }
    },
  }));
}
