/**
 * What C tor remembers as a client of onion services (hs_cache.c, hs_client.c), and what follows from it: which descriptor
 * it keeps, which introduction points it still tries, which HSDirs it may ask. Pure, without keys or texts: the embedded
 * network and the attack simulator share it. Times are unix seconds.
 */

/** Failures of introduction points are forgotten after this. */
const failureSeconds = 120;
const unreachableLimit = 5;
/** No HSDir is asked twice for the same blinded key within this. */
export const requestHistorySeconds = { public: 15 * 60, testing: 5 } as const;

export type IntroFailure = 'nack' | 'timeout' | 'unreachable';

interface FailureState {
  readonly since: number;
  spent: boolean;
  unreachable: number;
}

/** Failure marks, by whatever names an introduction point. */
export class IntroFailures<Key> {
  readonly #states = new Map<Key, FailureState>();

  note(key: Key, failure: IntroFailure, now: number): void {
    const state = this.#current(key, now) ?? { since: now, spent: false, unreachable: 0 };
    if (failure === 'unreachable') state.unreachable += 1;
    else state.spent = true;
    this.#states.set(key, state);
  }

  usable(key: Key, now: number): boolean {
    const state = this.#current(key, now);
    return state === undefined || !(state.spent || state.unreachable >= unreachableLimit);
  }

  clear(): void {
    this.#states.clear();
  }

  #current(key: Key, now: number): FailureState | undefined {
    const state = this.#states.get(key);
    if (state === undefined || now - state.since < failureSeconds) return state;
    this.#states.delete(key);
    return undefined;
  }
}

/** When each HSDir was last asked for each blinded key. */
export class RequestHistory<Hsdir> {
  readonly #requests = new Map<string, Map<Hsdir, number>>();

  mayAsk(hsdir: Hsdir, blindedKey: string, now: number, historySeconds: number): boolean {
    const last = this.#requests.get(blindedKey)?.get(hsdir);
    return last === undefined || last + historySeconds < now;
  }

  note(hsdir: Hsdir, blindedKey: string, now: number): void {
    const known = this.#requests.get(blindedKey) ?? new Map<Hsdir, number>();
    known.set(hsdir, now);
    this.#requests.set(blindedKey, known);
  }

  /** On success, and when the last one has failed. */
  forget(blindedKey: string): void {
    this.#requests.delete(blindedKey);
  }

  clear(): void {
    this.#requests.clear();
  }
}

/** A descriptor that a client keeps until the next time period starts, whatever its lifetime says. */
export interface Expiring {
  /** Unix seconds of consensus time: the start of the next time period. */
  readonly expiresAt: number;
}

/** `validAfter` of the consensus in use decides what has expired. */
export const hasExpired = ({ expiresAt }: Expiring, validAfter: number): boolean => expiresAt <= validAfter;

/** Whether a fetched descriptor replaces the cached one: C tor drops one with a lower counter, in silence. */
export function replaces(known: bigint | number | undefined, fresh: bigint | number | undefined): boolean {
  return known === undefined || fresh === undefined || known <= fresh;
}
