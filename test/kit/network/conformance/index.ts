/**
 * What every Tor network of the kit must do, checked over control and SOCKS ports only: the embedded one and the one made of
 * real tors run the same suite, and where they differ the embedded one is wrong. Enter through `describeTorNetwork`.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import type { TorInstance } from '../network.ts';
import { Bench, socksTimeoutSeconds, type ConformanceSubject } from './bench.ts';
import type { Cast } from './cast.ts';
import { checkControlPort } from './control-port.ts';
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
  /** Upper limit of one check, milliseconds of real time. Default 30 s. */
  readonly limitMs?: number;
}

/** Runs the suite against the network that `make` starts. */
export function describeTorNetwork(
  name: string,
  make: () => Promise<ConformanceSubject>,
  options: ConformanceOptions = {},
): void {
  const { quick = false, wholeDay = !quick, limitMs = 30_000 } = options;

  describe(`Tor network: ${name}`, { timeout: limitMs }, () => {
    let bench: Bench | undefined;
    let tors: readonly [client: TorInstance, head: TorInstance, other: TorInstance] | undefined;
    const there = <T>(thing: T | undefined): T => {
      if (thing === undefined) throw new Error('the network is not up');
      return thing;
    };
    const cast: Cast = {
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
    };

    beforeAll(async () => {
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
    }, 300_000);

    afterAll(() => bench?.close(), 60_000);

    checkControlPort(cast);
    checkNativeService(cast);
    checkHspost(cast);
    checkMergedDescriptor(cast);
    checkLifetime(cast);
  });
}
