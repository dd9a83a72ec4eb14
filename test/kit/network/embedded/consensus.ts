/**
 * Consensuses on a schedule, as the authorities make them: one a voting interval, with shared random values that change
 * once in 24 of them. A new network has none at first; "previous" comes one run after "current", as in a real one.
 */
import {
  srvRunStart,
  type ConsensusTimes,
  type PeriodRules,
  type Relay,
  type SharedRandom,
} from '../../../../core/onion/index.ts';
import type { Random } from '../../../../core/runtime/index.ts';
import type { SimulatedRelay } from './relay.ts';

export interface SimulatedConsensus {
  readonly times: ConsensusTimes;
  /** Unix seconds. */
  readonly validUntil: number;
  readonly rules: PeriodRules;
  readonly sharedRandom: SharedRandom;
  /** The relays of this consensus, sorted by fingerprint. */
  readonly relays: readonly SimulatedRelay[];
  /** The same list object as long as the same relays are in it, for ring caches. */
  readonly hsdirs: readonly Relay[];
  readonly parameters: Readonly<Record<string, number>>;
}

export interface ConsensusOptions {
  readonly votingSeconds: number;
  readonly testingNetwork: boolean;
  /** `none`: a newborn network, whose first value comes with the next run. `both`: one that has long been running. */
  readonly sharedRandom: 'none' | 'both';
  /** Consensus parameters beside the defaults. */
  readonly parameters?: Readonly<Record<string, number>>;
}

const runsKept = 4;

export class ConsensusSchedule {
  readonly #options: ConsensusOptions;
  readonly #random: Random;
  readonly #relays: readonly SimulatedRelay[];
  /** Shared random value by the start of the run that it is current in. */
  readonly #values = new Map<number, Uint8Array>();
  readonly #firstRun: number;
  #latest: SimulatedConsensus | undefined;

  /** `now` in unix seconds: the moment of the network's birth. */
  constructor(options: ConsensusOptions, random: Random, relays: readonly SimulatedRelay[], now: number) {
    this.#options = options;
    this.#random = random;
    this.#relays = relays;
    const runStart = srvRunStart(this.#timesAt(now));
    const run = 24 * options.votingSeconds;
    this.#firstRun = options.sharedRandom === 'both' ? runStart - run : runStart + run;
  }

  get votingSeconds(): number {
    return this.#options.votingSeconds;
  }

  /** The newest consensus at `now` (unix seconds). The same object until there is a newer one. */
  at(now: number): SimulatedConsensus {
    const times = this.#timesAt(now);
    if (this.#latest !== undefined && this.#latest.times.validAfter >= times.validAfter) return this.#latest;
    this.#latest = this.#make(times);
    return this.#latest;
  }

  #timesAt(now: number): ConsensusTimes {
    const { votingSeconds } = this.#options;
    const validAfter = Math.floor(now / votingSeconds) * votingSeconds;
    return { validAfter, freshUntil: validAfter + votingSeconds };
  }

  #make(times: ConsensusTimes): SimulatedConsensus {
    const { votingSeconds, testingNetwork, parameters = {} } = this.#options;
    const runStart = srvRunStart(times);
    const current = this.#value(runStart);
    const previous = this.#value(runStart - 24 * votingSeconds);
    const relays = this.#relays.filter((relay) => relay.up);
    relays.sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
    const before = this.#latest;
    const same =
      before !== undefined &&
      before.relays.length === relays.length &&
      before.relays.every((relay, index) => relay === relays[index]);
    return {
      times,
      validUntil: times.validAfter + 3 * votingSeconds,
      rules: {
        testingNetwork,
        ...(parameters.hsdir_interval === undefined ? {} : { hsdirIntervalMinutes: parameters.hsdir_interval }),
      },
      sharedRandom: {
        ...(current === undefined ? {} : { current }),
        ...(previous === undefined ? {} : { previous }),
      },
      relays,
      hsdirs: same ? before.hsdirs : [...relays],
      parameters,
    };
  }

  #value(runStart: number): Uint8Array | undefined {
    if (runStart < this.#firstRun) return undefined;
    const known = this.#values.get(runStart);
    if (known !== undefined) return known;
    const value = this.#random.bytes(32);
    this.#values.set(runStart, value);
    const oldest = this.#values.keys().next().value;
    if (this.#values.size > runsKept && oldest !== undefined) this.#values.delete(oldest);
    return value;
  }
}
