/** The laws of the roster: entries in whatever order, repeated, in parts, or made up by strangers, and all agree in the end. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeIdentity } from '../../../core/engine/index.ts';
import { isChimeraError } from '../../../core/errors.ts';
import { signAdmission, signRemoval, type Admission, type Removal } from '../../../plugins/mesh/record.ts';
import { decodeRoster, foundRoster, MemberRoster, rosterOf } from '../../../plugins/mesh/roster.ts';
import { testIdentity } from '../../kit/sim/identity.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const random = createSeededRandom('roster');
const nodes = Array.from({ length: 7 }, (_none, index) => testIdentity(random.fork(`${index}`)));
const [founder] = nodes as [NodeIdentity];
const cluster = founder.node;
const node = fc.constantFrom(...nodes);
const admission: fc.Arbitrary<Admission> = fc
  .tuple(node, node)
  .map(([by, of]) => signAdmission(by, cluster, { keys: of.keys, endpoints: [`memory:${of.node}`] }));
const removal: fc.Arbitrary<Removal> = fc.tuple(node, node).map(([by, of]) => signRemoval(by, cluster, of.node));
const entries = fc.record({
  admissions: fc.array(admission, { maxLength: 15 }),
  removals: fc.array(removal, { maxLength: 3 }),
});
type Entries = { readonly admissions: readonly Admission[]; readonly removals: readonly Removal[] };

const merged = (...all: readonly Entries[]): string[] => {
  const roster = foundRoster(founder, []);
  // News that came too early come again: gossip repeats them until all agree.
  for (const { admissions, removals } of [...all, ...all, ...all, ...all]) roster.merge(admissions, removals);
  return [
    ...roster.nodes().sort(),
    ...roster
      .removals()
      .map(({ node: gone }) => `-${gone}`)
      .sort(),
  ];
};

describe('merging', () => {
  test('is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(entries, entries, entries, (a, b, c) => {
        const all = merged(a, b, c);
        expect(merged(c, b, a)).toEqual(all);
        expect(merged(b, c, a, b)).toEqual(all);
        expect(merged(a, a, b, b, c, c)).toEqual(all);
      }),
      { numRuns: 25 },
    );
  });

  test('only grows: who is removed never comes back', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const roster = foundRoster(founder, []);
        roster.merge(a.admissions, a.removals);
        const gone = roster.removals().map(({ node: name }) => name);
        roster.merge(b.admissions, b.removals);
        for (const name of gone) {
          expect(roster.isRemoved(name)).toBe(true);
          expect(roster.isMember(name)).toBe(false);
          expect(roster.get(name)).toBeUndefined();
        }
      }),
      { numRuns: 25 },
    );
  });
});

test('what no member has signed, or for another cluster, or changed, is refused', () => {
  fc.assert(
    fc.property(admission, fc.nat(63), (good, at) => {
      const roster = foundRoster(founder, []);
      const signature = Uint8Array.from(good.signature);
      signature[at] = (signature[at] as number) ^ 1;
      expect(['refused', 'known']).toContain(roster.admit({ ...good, signature }));
      expect(['refused', 'known']).toContain(roster.admit({ ...good, endpoints: ['udp:198.51.100.1:1'] }));
      expect(roster.nodes()).toEqual([cluster]);
    }),
    { numRuns: 25 },
  );
  const other = new MemberRoster((nodes[1] as NodeIdentity).node);
  expect(other.admit(signAdmission(founder, cluster, { keys: founder.keys, endpoints: [] }))).toBe('refused');
});

/** True when the bytes are refused by the coded error, or give everybody who was admitted. */
function readsWhole(bytes: Uint8Array): boolean {
  try {
    return rosterOf(bytes, 'test').nodes().length >= 6;
  } catch (error) {
    return isChimeraError(error, 'MESH_ROSTER');
  }
}

test('entries come back as they went; any other bytes are none', () => {
  const roster = foundRoster(founder, ['udp:192.0.2.1:7411']);
  for (const { keys } of nodes) roster.admit(signAdmission(founder, cluster, { keys, endpoints: ['memory:x'] }));
  roster.remove(signRemoval(founder, cluster, (nodes[3] as NodeIdentity).node));
  const bytes = roster.encode();
  expect(rosterOf(bytes, 'test').encode().equals(bytes)).toBe(true);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ flip;
      // Malformed, or not all of it signed. A removal alone may be left out.
      expect(readsWhole(changed)).toBe(true);
    }),
    { numRuns: 60 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (any) => decodeRoster(any) === undefined));
});
