/**
 * The ring of hidden service directories (rend-spec-v3, "Where to publish a hidden service descriptor"): which relays
 * hold a descriptor. Enter at `createRingCache`, then `responsibleHsdirs`.
 */
import { hash } from 'node:crypto';
import { ascii, int8 } from './bytes.ts';
import { sha3 } from './hash.ts';
import type { TimePeriod } from './period.ts';
import { remember } from './remembered.ts';

/** A relay that may stand in the ring: flag HSDir, protocol HSDir=2, Ed25519 identity known. */
export interface Relay {
  /** 40 upper-case hexadecimal characters. */
  readonly fingerprint: string;
  /** 32 bytes. */
  readonly ed25519: Uint8Array;
}

/** Consensus parameters hsdir_n_replicas, hsdir_spread_store and hsdir_spread_fetch. */
export interface RingRules {
  readonly replicas: number;
  readonly spreadStore: number;
  readonly spreadFetch: number;
}

export const defaultRingRules: RingRules = { replicas: 2, spreadStore: 4, spreadFetch: 3 };

/** Relays in the order of their index for one shared random value and period. */
export interface HsdirRing {
  readonly period: TimePeriod;
  readonly relays: readonly Relay[];
  /** The relays' indexes, 32 bytes in hexadecimal: as texts they sort and compare without a buffer each. */
  readonly indexes: readonly string[];
}

const identityLength = 32;
const nodePrefix = ascii('node-idx');
const storePrefix = ascii('store-at-idx');

/** Where a relay stands: H("node-idx" | identity | SRV | period number | period length). */
export function hsdirIndex(ed25519: Uint8Array, srv: Uint8Array, period: TimePeriod): Uint8Array {
  return sha3(nodePrefix, ed25519, srv, int8(period.number), int8(period.lengthMinutes));
}

/** Where a descriptor stands: H("store-at-idx" | blinded key | replica | period length | period number), replica from 1. */
export function hsIndex(blindedPublicKey: Uint8Array, replica: number, period: TimePeriod): Uint8Array {
  return sha3(storePrefix, blindedPublicKey, int8(replica), int8(period.lengthMinutes), int8(period.number));
}

/** The sorted ring. Costs one hash a relay: keep it, by `createRingCache`. Of relays with one identity the last stays. */
export function buildRing(relays: readonly Relay[], srv: Uint8Array, period: TimePeriod): HsdirRing {
  const [number, length] = [int8(period.number), int8(period.lengthMinutes)];
  const input = Buffer.concat([nodePrefix, Buffer.alloc(identityLength), srv, number, length]);
  const relayAt = new Map<string, Relay>();
  for (const relay of relays) {
    input.set(relay.ed25519, nodePrefix.length);
    relayAt.set(hash('sha3-256', input, 'hex'), relay);
  }
  const indexes = [...relayAt.keys()].sort();
  return { period, relays: indexes.map((index) => relayAt.get(index) as Relay), indexes };
}

/** How many rings are kept of one relay list: the two slots of now, and those of the next consensus. */
const ringsPerList = 4;

/** A builder that remembers rings by the identity of the relay list, the SRV and the period; bounded, and gone with the list. */
export function createRingCache(): (relays: readonly Relay[], srv: Uint8Array, period: TimePeriod) => HsdirRing {
  const byList = new WeakMap<readonly Relay[], Map<string, HsdirRing>>();
  return (relays, srv, period) => {
    const rings = byList.get(relays) ?? new Map<string, HsdirRing>();
    byList.set(relays, rings);
    const name = `${Buffer.from(srv).toString('latin1')}/${period.number}/${period.lengthMinutes}`;
    const known = rings.get(name);
    if (known !== undefined) return known;
    return remember(rings, name, buildRing(relays, srv, period), ringsPerList);
  };
}

/** Position of the first index >= `target`; the ring's length when there is none. */
function firstAtOrAfter({ indexes }: HsdirRing, target: string): number {
  let low = 0;
  let high = indexes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((indexes[middle] ?? '') < target) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The responsible relays of each replica, in ring order: `spreadStore` of them to store to, `spreadFetch` to fetch from.
 * A relay that an earlier replica has chosen is passed over, as tor does.
 */
export function responsibleHsdirsByReplica(
  ring: HsdirRing,
  blindedPublicKey: Uint8Array,
  period: TimePeriod,
  rules: RingRules,
  which: 'store' | 'fetch',
): Relay[][] {
  const spread = which === 'store' ? rules.spreadStore : rules.spreadFetch;
  const chosen = new Set<Relay>();
  const replicas: Relay[][] = [];
  for (let replica = 1; replica <= rules.replicas; replica++) {
    const target = Buffer.from(hsIndex(blindedPublicKey, replica, period)).toString('hex');
    const start = firstAtOrAfter(ring, target);
    const found: Relay[] = [];
    for (let step = 0; step < ring.relays.length && found.length < spread; step++) {
      const relay = ring.relays[(start + step) % ring.relays.length];
      if (relay === undefined || chosen.has(relay)) continue;
      chosen.add(relay);
      found.push(relay);
    }
    replicas.push(found);
  }
  return replicas;
}

/** All responsible relays, in replica order. */
export function responsibleHsdirs(
  ring: HsdirRing,
  blindedPublicKey: Uint8Array,
  period: TimePeriod,
  rules: RingRules,
  which: 'store' | 'fetch',
): Relay[] {
  return responsibleHsdirsByReplica(ring, blindedPublicKey, period, rules, which).flat();
}
