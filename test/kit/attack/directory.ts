/**
 * Consensus, time periods, HSDirs: which descriptor clients use, who keeps it, and what each HSDir has. The rules are those of
 * core/onion and of the embedded network; the blinded key of a period is a random name, for nothing is signed here.
 */
import {
  createRingCache,
  defaultRingRules,
  descriptorSlots,
  nextPeriodStart,
  responsibleHsdirs,
  type ConsensusTimes,
  type DescriptorSlot,
  type PeriodRules,
  type Relay,
} from '../../../core/onion/index.ts';
import type { Random } from '../../../core/runtime/index.ts';
import type { RequestHistory } from '../network/rules/client.ts';
import { DescriptorShelf, type Keepable } from '../network/rules/hsdir.ts';
import type { Scenario } from './scenario.ts';
import type { Point } from './service.ts';

/** What stands in for a signed descriptor. */
export interface Listing extends Keepable {
  readonly revision: number;
  readonly points: readonly Point[];
  readonly publishedMs: number;
}

/** Descriptors of tor live three hours. */
export const lifetimeSeconds = 180 * 60;
const votingSeconds = 3_600;

interface Slot {
  readonly blindedKey: string;
  /** Indexes of HSDirs, in ring order. */
  readonly store: readonly number[];
  readonly fetch: readonly number[];
}

export class Directory {
  readonly #rules: PeriodRules;
  readonly #hsdirs: readonly Relay[];
  readonly #random: Random;
  readonly #shelves: readonly DescriptorShelf<Listing>[];
  readonly #ring = createRingCache();
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #values = new Map<number, Uint8Array>();
  readonly #keys = new Map<number, Uint8Array>();
  readonly #rollovers: boolean;
  readonly #historySeconds: number;
  #times: ConsensusTimes;
  first: Slot;
  second: Slot;
  /** What clients use now. */
  used: Slot;
  /** Until then clients keep what they have. */
  expiresAt = 0;

  constructor(scenario: Scenario, random: Random) {
    this.#rules = { testingNetwork: false };
    this.#rollovers = scenario.rollovers;
    this.#historySeconds = scenario.historySeconds;
    this.#random = random;
    this.#hsdirs = Array.from({ length: scenario.hsdirs }, (_none, index) => ({
      fingerprint: index.toString(16).toUpperCase().padStart(40, '0'),
      ed25519: random.bytes(32),
    }));
    this.#indexOf = new Map(this.#hsdirs.map(({ fingerprint }, index) => [fingerprint, index]));
    this.#shelves = this.#hsdirs.map(() => new DescriptorShelf<Listing>());
    this.#times = { validAfter: 0, freshUntil: 0 };
    this.first = this.second = this.used = { blindedKey: '', store: [], fetch: [] };
    this.moveTo(scenario.startsAt);
  }

  get validAfter(): number {
    return this.#times.validAfter;
  }

  /** A consensus is valid from the hour on. True when other descriptors are used or published than before. */
  moveTo(now: number): boolean {
    const validAfter = Math.floor(now / votingSeconds) * votingSeconds;
    if (validAfter === this.#times.validAfter || (!this.#rollovers && this.#times.validAfter > 0)) return false;
    this.#times = { validAfter, freshUntil: validAfter + votingSeconds };
    const before = `${this.first.blindedKey} ${this.second.blindedKey} ${this.used.blindedKey}`;
    const day = Math.floor(validAfter / 86_400);
    const slots = descriptorSlots(this.#times, this.#rules, {
      current: this.#drawn(this.#values, day),
      previous: this.#drawn(this.#values, day - 1),
    });
    this.first = this.#slot(slots.first);
    this.second = this.#slot(slots.second);
    this.used = slots.clientUses === 'first' ? this.first : this.second;
    this.expiresAt = this.#rollovers ? nextPeriodStart(this.#times, this.#rules) : Infinity;
    return before !== `${this.first.blindedKey} ${this.second.blindedKey} ${this.used.blindedKey}`;
  }

  #drawn(known: Map<number, Uint8Array>, key: number): Uint8Array {
    const value = known.get(key) ?? this.#random.bytes(32);
    known.set(key, value);
    return value;
  }

  #slot({ period, srv }: DescriptorSlot): Slot {
    const key = this.#drawn(this.#keys, period.number);
    const ring = this.#ring(this.#hsdirs, srv, period);
    const of = (which: 'store' | 'fetch'): number[] =>
      responsibleHsdirs(ring, key, period, defaultRingRules, which).map(
        ({ fingerprint }) => this.#indexOf.get(fingerprint) as number,
      );
    return { blindedKey: String(period.number), store: of('store'), fetch: of('fetch') };
  }

  /** False when the HSDir has the same or a later one. */
  upload(hsdir: number, blindedKey: string, listing: Listing, now: number): boolean {
    return this.#shelves[hsdir]?.store(blindedKey, listing, now) ?? false;
  }

  read(hsdir: number, now: number): Listing | undefined {
    return this.#shelves[hsdir]?.get(this.used.blindedKey, now);
  }

  /** The HSDir that a client asks next, noted in its history; undefined when none is left. */
  choose(history: RequestHistory<number>, random: Random, now: number): number | undefined {
    const { fetch, blindedKey } = this.used;
    const fit = fetch.filter((hsdir) => history.mayAsk(hsdir, blindedKey, now, this.#historySeconds));
    if (fit.length === 0) return undefined;
    const hsdir = fit[random.int(fit.length)] as number;
    history.note(hsdir, blindedKey, now);
    return hsdir;
  }
}
