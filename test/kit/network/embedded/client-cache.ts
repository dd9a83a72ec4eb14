/** What a tor remembers as a client of onion services (hs_cache.c): descriptors, failures of introduction points, requests to HSDirs. */
import { introPointId, type Descriptor, type IntroPoint, type OnionAddress } from '../../../../core/onion/index.ts';

/** Failures of introduction points are forgotten after this. */
const failureSeconds = 120;
const unreachableLimit = 5;

export type IntroFailure = 'nack' | 'timeout' | 'unreachable';

interface FailureState {
  readonly since: number;
  error: boolean;
  timedOut: boolean;
  unreachable: number;
}

export interface CachedDescriptor {
  readonly text: string;
  /** Undefined when client authorization keeps it closed. */
  readonly descriptor: Descriptor | undefined;
  readonly subcredential: Uint8Array;
  /** Unix seconds of consensus time: the start of the next time period. */
  readonly expiresAt: number;
}

export class ClientCache {
  readonly #descriptors = new Map<OnionAddress, CachedDescriptor>();
  readonly #failures = new Map<string, FailureState>();
  /** HSDir and blinded key → unix seconds of the last request. */
  readonly #requests = new Map<string, number>();

  /** `validAfter` of the consensus in use decides what has expired. */
  lookup(address: OnionAddress, validAfter: number): CachedDescriptor | undefined {
    const found = this.#descriptors.get(address);
    if (found !== undefined && found.expiresAt <= validAfter) {
      this.#descriptors.delete(address);
      return undefined;
    }
    return found;
  }

  /** Keeps what is there when that has a higher revision, as C tor silently does. */
  store(address: OnionAddress, fresh: CachedDescriptor): void {
    const known = this.#descriptors.get(address)?.descriptor;
    if (known && fresh.descriptor && known.revision > fresh.descriptor.revision) return;
    this.#descriptors.set(address, fresh);
  }

  remove(address: OnionAddress): void {
    this.#descriptors.delete(address);
  }

  noteFailure(address: OnionAddress, point: IntroPoint, failure: IntroFailure, now: number): void {
    const key = `${address}/${introPointId(point)}`;
    const state = this.#failure(key, now) ?? { since: now, error: false, timedOut: false, unreachable: 0 };
    if (failure === 'nack') state.error = true;
    else if (failure === 'timeout') state.timedOut = true;
    else state.unreachable += 1;
    this.#failures.set(key, state);
  }

  usable(address: OnionAddress, descriptor: Descriptor, now: number): readonly IntroPoint[] {
    return descriptor.introPoints.filter((point) => {
      const state = this.#failure(`${address}/${introPointId(point)}`, now);
      return state === undefined || !(state.error || state.timedOut || state.unreachable >= unreachableLimit);
    });
  }

  #failure(key: string, now: number): FailureState | undefined {
    const state = this.#failures.get(key);
    if (state === undefined || now - state.since < failureSeconds) return state;
    this.#failures.delete(key);
    return undefined;
  }

  requestedAt(fingerprint: string, blindedKey: string): number | undefined {
    return this.#requests.get(`${blindedKey}/${fingerprint}`);
  }

  noteRequest(fingerprint: string, blindedKey: string, now: number): void {
    this.#requests.set(`${blindedKey}/${fingerprint}`, now);
  }

  forgetRequests(blindedKey: string): void {
    for (const key of this.#requests.keys()) if (key.startsWith(`${blindedKey}/`)) this.#requests.delete(key);
  }

  purge(): void {
    this.#descriptors.clear();
    this.#failures.clear();
    this.#requests.clear();
  }
}
