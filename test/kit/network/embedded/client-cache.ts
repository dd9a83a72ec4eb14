/** What a tor remembers as a client of onion services (hs_cache.c): the rules of rules/client.ts with real descriptors. */
import { introPointId, type Descriptor, type IntroPoint, type OnionAddress } from '../../../../core/onion/index.ts';
import {
  hasExpired,
  IntroFailures,
  replaces,
  RequestHistory,
  type Expiring,
  type IntroFailure,
} from '../rules/client.ts';

export interface CachedDescriptor extends Expiring {
  readonly text: string;
  /** Undefined when client authorization keeps it closed. */
  readonly descriptor: Descriptor | undefined;
  readonly subcredential: Uint8Array;
}

export class ClientCache {
  readonly #descriptors = new Map<OnionAddress, CachedDescriptor>();
  readonly #failures = new IntroFailures<string>();
  /** By fingerprint. */
  readonly requests = new RequestHistory<string>();

  /** `validAfter` of the consensus in use decides what has expired. */
  lookup(address: OnionAddress, validAfter: number): CachedDescriptor | undefined {
    const found = this.#descriptors.get(address);
    if (found === undefined || !hasExpired(found, validAfter)) return found;
    this.#descriptors.delete(address);
    return undefined;
  }

  /** Keeps what is there when that has a higher revision, as C tor silently does. */
  store(address: OnionAddress, fresh: CachedDescriptor): void {
    const known = this.#descriptors.get(address)?.descriptor;
    if (replaces(known?.revision, fresh.descriptor?.revision)) this.#descriptors.set(address, fresh);
  }

  remove(address: OnionAddress): void {
    this.#descriptors.delete(address);
  }

  noteFailure(address: OnionAddress, point: IntroPoint, failure: IntroFailure, now: number): void {
    this.#failures.note(`${address}/${introPointId(point)}`, failure, now);
  }

  usable(address: OnionAddress, descriptor: Descriptor, now: number): readonly IntroPoint[] {
    return descriptor.introPoints.filter((point) => this.#failures.usable(`${address}/${introPointId(point)}`, now));
  }

  purge(): void {
    this.#descriptors.clear();
    this.#failures.clear();
    this.requests.clear();
  }
}
