import { describe, expect, test } from 'vitest';
import {
  buildRing,
  createRingCache,
  defaultRingRules,
  hsIndex,
  hsdirIndex,
  responsibleHsdirs,
  responsibleHsdirsByReplica,
} from '../../../core/onion/index.ts';
import type { Relay } from '../../../core/onion/index.ts';
import { toHex } from './support.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const period = { number: 42, lengthMinutes: 1440 };
const srv = new Uint8Array(32).fill(0x43);

function makeRelays(count: number): Relay[] {
  const random = createSeededRandom(count);
  return Array.from({ length: count }, () => ({
    fingerprint: toHex(random.bytes(20)).toUpperCase(),
    ed25519: random.bytes(32),
  }));
}

describe('the HSDir ring', () => {
  test('C tor test_hs_common.c: hs_index and hsdir_index', () => {
    expect(toHex(hsIndex(new Uint8Array(32).fill(0x42), 1, period))).toBe(
      '37e5cbbd56a22823714f18f1623ece5983a0d64c78495a8cfab854245e5f9a8a',
    );
    expect(toHex(hsdirIndex(new Uint8Array(32).fill(0x42), srv, period))).toBe(
      'db475361014a09965e7e5e4d4a25b8f8d4b8f16cb1d8a7e95eed50249cc1a2d5',
    );
  });

  test('a ring is sorted by index and holds every relay once', () => {
    const relays = makeRelays(500);
    const ring = buildRing(relays, srv, period);
    const texts = ring.relays.map((relay) => toHex(hsdirIndex(relay.ed25519, srv, period)));
    expect(ring.indexes).toEqual(texts);
    expect(texts).toEqual(texts.toSorted());
    expect(new Set(ring.relays)).toEqual(new Set(relays));
  });

  test('the responsible relays are those that a plain search finds, wrapping around and skipping chosen ones', () => {
    const random = createSeededRandom(7);
    for (const count of [0, 1, 3, 8, 9, 60]) {
      const relays = makeRelays(count);
      const ring = buildRing(relays, srv, period);
      for (let round = 0; round < 20; round++) {
        const blinded = random.bytes(32);
        for (const which of ['store', 'fetch'] as const) {
          const spread = which === 'store' ? 4 : 3;
          const taken: Relay[] = [];
          const expected = [1, 2].map((replica) => {
            const target = toHex(hsIndex(blinded, replica, period));
            const isAfter = (relay: Relay): boolean => toHex(hsdirIndex(relay.ed25519, srv, period)) >= target;
            const rotated = [...ring.relays.filter(isAfter), ...ring.relays.filter((relay) => !isAfter(relay))];
            const found = rotated.filter((relay) => !taken.includes(relay)).slice(0, spread);
            taken.push(...found);
            return found;
          });
          expect(responsibleHsdirsByReplica(ring, blinded, period, defaultRingRules, which)).toEqual(expected);
          expect(responsibleHsdirs(ring, blinded, period, defaultRingRules, which)).toEqual(expected.flat());
        }
      }
    }
  });

  test('with 8 relays or fewer every one of them is responsible', () => {
    const ring = buildRing(makeRelays(8), srv, period);
    const found = responsibleHsdirs(ring, new Uint8Array(32), period, defaultRingRules, 'store');
    expect(new Set(found)).toEqual(new Set(ring.relays));
  });

  test('a ring is built once for a relay list, SRV and period, and few are kept', () => {
    const ringOf = createRingCache();
    const relays = makeRelays(20);
    const ring = ringOf(relays, srv, period);
    expect(ringOf(relays, Uint8Array.from(srv), { ...period })).toBe(ring);
    expect(ringOf([...relays], srv, period)).not.toBe(ring);
    expect(ringOf(relays, srv, { ...period, number: 43 })).not.toBe(ring);
    expect(ringOf(relays, new Uint8Array(32), period)).not.toBe(ring);
    for (let number = 50; number < 54; number++) ringOf(relays, srv, { ...period, number });
    expect(ringOf(relays, srv, period)).not.toBe(ring);
    expect(ringOf(relays, srv, period)).toEqual(ring);
  });
});
