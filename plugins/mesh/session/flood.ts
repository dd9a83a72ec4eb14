/**
 * What keeps a flood from costing work. Of genuine-looking initiations (recorded ones, sent again): a bucket, and when it is empty a
 * cookie, which only who receives at the endpoint that it sends from can return. Of everything: who has failed too often within
 * a second is not looked at for the rest of it, before any cryptography. No state a sender; the memory is fixed.
 */
import { createHmac } from 'node:crypto';
import { ascii } from '../../../core/onion/bytes.ts';
import type { Clock, Random } from '../../../core/runtime/index.ts';
import { cookieBytes, cookieNonceBytes, cookieReply, indexOf, initiationMac1At, initiationMac2At } from './datagram.ts';
import { macOf, sameMac, type GenerationKeys } from './keys.ts';
import { open, seal } from './noise.ts';

/** So many at once, and so many a second after that. */
export const freeInitiations = { burst: 128, perSecond: 32 } as const;
export const cookieInitiations = { burst: 128, perSecond: 64 } as const;
/** So many datagrams that came to nothing are looked at a second from each host … */
const strangerFailures = 32;
/** … and hosts share so many places. */
const strangerPlaces = 1_024;
/** A cookie is good for one to two of these. */
export const cookieLifeMs = 60_000;

export class Bucket {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perMs: number;
  #left: number;
  #atMs: number;

  constructor(clock: Clock, { burst, perSecond }: { readonly burst: number; readonly perSecond: number }) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
    this.#left = burst;
    this.#atMs = clock.monotonic();
  }

  take(): boolean {
    const now = this.#clock.monotonic();
    this.#left = Math.min(this.#burst, this.#left + (now - this.#atMs) * this.#perMs);
    this.#atMs = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

/** How often each source has failed in this second. Which sources share a place is this node's secret. */
class SourceLimit {
  readonly #clock: Clock;
  readonly #seed: number;
  readonly #failures = new Uint8Array(strangerPlaces);
  #beganAtMs: number;

  constructor(clock: Clock, seed: number) {
    this.#clock = clock;
    this.#seed = seed;
    this.#beganAtMs = clock.monotonic();
  }

  /** True while the source may fail once more. */
  allows(source: string): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#beganAtMs >= 1_000) {
      this.#failures.fill(0);
      this.#beganAtMs = now;
    }
    return (this.#failures[this.#placeOf(source)] as number) < strangerFailures;
  }

  failed(source: string): void {
    const place = this.#placeOf(source);
    this.#failures[place] = Math.min(strangerFailures, (this.#failures[place] as number) + 1);
  }

  /** Of the host, whatever its port: FNV-1a, from a seed. */
  #placeOf(source: string): number {
    const port = source.lastIndexOf(':');
    const end = port > 0 && /^\d+$/.test(source.slice(port + 1)) ? port : source.length;
    let hash = this.#seed;
    for (let at = 0; at < end; at++) hash = Math.imul(hash ^ source.charCodeAt(at), 0x0100_0193);
    return (hash >>> 0) % strangerPlaces;
  }
}

export class FloodGate {
  /** Of sources that no session is known from. */
  readonly strangers: SourceLimit;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #free: Bucket;
  readonly #paid: Bucket;
  /** The current secret of cookies and the one before. */
  #secrets: readonly [Uint8Array, Uint8Array];
  #changedAtMs: number;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#free = new Bucket(clock, freeInitiations);
    this.#paid = new Bucket(clock, cookieInitiations);
    this.#secrets = [random.bytes(32), random.bytes(32)];
    const seed = createHmac('sha256', this.#secrets[1]).update(ascii('places')).digest();
    this.strangers = new SourceLimit(clock, seed.readInt32BE(0));
    this.#changedAtMs = clock.monotonic();
  }

  /**
   * Of an initiation whose first mac is right: true when it may be read, false when it is to be dropped, or the datagram
   * that asks its sender for a cookie.
   */
  admits(datagram: Uint8Array, from: string, keys: GenerationKeys): boolean | Uint8Array {
    const now = this.#clock.monotonic();
    if (now - this.#changedAtMs >= cookieLifeMs) {
      this.#secrets = [this.#random.bytes(32), this.#secrets[0]];
      this.#changedAtMs = now;
    }
    const mac2 = datagram.subarray(initiationMac2At);
    const covered = datagram.subarray(0, initiationMac2At);
    const claimed = mac2.some((byte) => byte !== 0);
    if (claimed && this.#secrets.some((secret) => sameMac(mac2, macOf(cookieOf(secret, from), '', covered)))) {
      return this.#paid.take();
    }
    if (this.#free.take()) return true;
    const nonce = this.#random.bytes(cookieNonceBytes);
    return cookieReply(
      indexOf(datagram),
      nonce,
      seal(cookieKey(keys, nonce), 0, mac1Of(datagram), cookieOf(this.#secrets[0], from)),
    );
  }
}

const mac1Of = (initiation: Uint8Array): Uint8Array => initiation.subarray(initiationMac1At, initiationMac2At);

function cookieOf(secret: Uint8Array, endpoint: string): Buffer {
  return createHmac('sha256', secret).update(ascii(endpoint)).digest().subarray(0, cookieBytes);
}

/** A key for this nonce alone, so that a counter of zero is used once for it. */
function cookieKey(keys: GenerationKeys, nonce: Uint8Array): Buffer {
  return createHmac('sha256', keys.cookie).update(nonce).digest();
}

/** The cookie in a reply to `initiation`; undefined when it is none. `reply` begins behind the index. */
export function openCookie(reply: Uint8Array, initiation: Uint8Array, keys: GenerationKeys): Uint8Array | undefined {
  const nonce = reply.subarray(0, cookieNonceBytes);
  return open(cookieKey(keys, nonce), 0, mac1Of(initiation), reply.subarray(cookieNonceBytes));
}

/** The second mac of an initiation up to it, by the cookie. */
export const secondMac = (cookie: Uint8Array, covered: Uint8Array): Buffer => macOf(cookie, '', covered);
