/** The laws of the mesh's membership: whatever news come, in whatever order, late, repeated or made up by a third party. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MeshChange } from '../../../core/engine/index.ts';
import { Membership, newer, type Sign, type StoredRecord } from '../../../plugins/mesh/membership.ts';

const limits = {
  suspectMs: 2_000,
  deadMs: 4_000,
  forgetMs: 20_000,
  maximumMembers: 4,
  maximumStoredBytes: 60,
  maximumKinds: 2,
};
const kinds = ['heads', 'load', 'mood'];
const nodes = ['a', 'b', 'c', 'd', 'e', 'f'];

type News =
  | { readonly what: 'sign'; readonly sign: Omit<Sign, 'heardAtMs'>; readonly ageMs: number }
  | { readonly what: 'record'; readonly record: StoredRecord }
  | { readonly what: 'left'; readonly node: string }
  | { readonly what: 'wait'; readonly ms: number };

const node = fc.constantFrom(...nodes);
const incarnation = fc.integer({ min: 1, max: 3 });
const small = fc.integer({ min: 1, max: 12 });

const record: fc.Arbitrary<StoredRecord> = fc
  .record({
    node,
    kind: fc.constantFrom(...kinds),
    incarnation,
    version: small,
    length: fc.integer({ max: 30, min: 1 }),
  })
  // What one owner says in one version is always the same.
  .map(({ length, ...rest }) => ({ ...rest, value: rest.version, bytes: new Uint8Array(length) }));

const sign = fc.record({ node, incarnation, sequence: small, kinds: fc.subarray(kinds) });
const news: fc.Arbitrary<News> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('sign' as const), sign, ageMs: fc.nat(6_000) }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('record' as const), record }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('left' as const), node }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3_000 }) }) },
);

/** Plays the news; `after` sees the membership after each, with the time. */
function play(
  all: readonly News[],
  after: (membership: Membership, nowMs: number, changes: MeshChange[]) => void,
): void {
  const membership = new Membership(limits);
  let nowMs = 0;
  for (const one of all) {
    const changes: MeshChange[] = [];
    if (one.what === 'sign') membership.heard({ ...one.sign, heardAtMs: nowMs - one.ageMs }, nowMs, changes);
    else if (one.what === 'record') membership.learn(one.record, changes);
    else if (one.what === 'left') membership.left(one.node, changes);
    else {
      nowMs += one.ms;
      membership.tick(nowMs, changes);
    }
    after(membership, nowMs, changes);
  }
}

const stories = fc.array(news, { maxLength: 60 });

test('bounds hold: members, kinds, bytes', () => {
  fc.assert(
    fc.property(stories, (all) => {
      play(all, (membership) => {
        const peers = membership.peers();
        expect(peers.length).toBeLessThanOrEqual(limits.maximumMembers);
        expect(Math.max(0, ...peers.map(({ records }) => records.size))).toBeLessThanOrEqual(limits.maximumKinds);
        const bytes = peers.flatMap(({ records }) => [...records.values()].map((known) => known.bytes.length));
        expect(bytes.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(limits.maximumStoredBytes);
      });
    }),
  );
});

test('what is forgotten leaves room: after all are forgotten the largest record fits', () => {
  fc.assert(
    fc.property(stories, (all) => {
      let last: Membership | undefined;
      let endMs = 0;
      play([...all, { what: 'wait', ms: 1 }], (membership, nowMs) => {
        last = membership;
        endMs = nowMs + limits.deadMs + limits.forgetMs;
      });
      const membership = last as Membership;
      // First to dead, then to forgotten.
      membership.tick(endMs, []);
      membership.tick(endMs, []);
      expect(membership.peers()).toEqual([]);
      membership.heard({ node: 'z', incarnation: 1, sequence: 1, heardAtMs: endMs, kinds: [] }, endMs, []);
      const whole = { node: 'z', kind: 'heads', incarnation: 1, version: 1, value: null };
      expect(membership.learn({ ...whole, bytes: new Uint8Array(limits.maximumStoredBytes) }, [])).toBe(true);
    }),
  );
});

test('nothing goes back: lives, sequences, signs of life and records of a known node only grow', () => {
  fc.assert(
    fc.property(stories, (all) => {
      let before = new Map<
        string,
        { incarnation: number; sequence: number; heardAtMs: number; records: Map<string, StoredRecord> }
      >();
      play(all, (membership) => {
        const now = new Map(membership.peers().map((peer) => [peer.node, { ...peer, records: new Map(peer.records) }]));
        for (const [name, peer] of now) {
          const known = before.get(name);
          if (known === undefined) continue;
          expect(newer({ ...known, version: known.sequence }, { ...peer, version: peer.sequence })).toBe(false);
          expect(peer.heardAtMs).toBeGreaterThanOrEqual(known.heardAtMs);
          for (const [kind, stored] of peer.records) {
            const earlier = known.records.get(kind);
            expect(earlier !== undefined && newer(earlier, stored)).toBe(false);
          }
        }
        before = now;
      });
    }),
  );
});

test('alive means heard lately, suspect and dead mean silent for so long, or left', () => {
  fc.assert(
    fc.property(stories, (all) => {
      const left = new Set<string>();
      const wrong: MeshChange[] = [];
      let at = 0;
      play(all, (membership, nowMs, changes) => {
        const one = all[at++] as News;
        if (one.what === 'left') left.add(one.node);
        for (const change of changes) {
          if (change.what !== 'state') continue;
          const silentMs = nowMs - (membership.get(change.node)?.heardAtMs ?? 0);
          // A newcomer may be told of by a third party that has not heard it for a while.
          const limitMs = change.why.endsWith('came') ? limits.deadMs : limits.suspectMs;
          const fits = {
            alive: silentMs < limitMs,
            suspect: silentMs >= limits.suspectMs,
            dead: silentMs >= limits.deadMs || left.has(change.node),
          };
          if (!fits[change.state]) wrong.push(change);
          if (change.state === 'alive') left.delete(change.node);
        }
      });
      expect(wrong).toEqual([]);
    }),
  );
});

test('every change is told, once, and nothing else', () => {
  fc.assert(
    fc.property(stories, (all) => {
      let states = new Map<string, string>();
      play(all, (membership, _nowMs, changes) => {
        const now = new Map(membership.peers().map(({ node: name, state }) => [name, state]));
        const changed = [...now].filter(([name, state]) => states.get(name) !== state);
        const told = changes.flatMap((change) => (change.what === 'state' ? [[change.node, change.state]] : []));
        expect(told).toEqual(changed);
        states = now;
      });
    }),
  );
});

test('the order of news does not matter: the records that all have heard of end as the newest', () => {
  const wide = { ...limits, maximumMembers: 10, maximumStoredBytes: 10_000, maximumKinds: 8 };
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (records, chance) => {
      // One life: another one voids what is not said in it.
      const said = records.map((one) => ({ ...one, incarnation: 1, bytes: new Uint8Array(one.version) }));
      const end = (order: readonly StoredRecord[]): string[] => {
        const membership = new Membership(wide);
        for (const name of nodes) {
          membership.heard({ node: name, incarnation: 1, sequence: 1, heardAtMs: 0, kinds }, 0, []);
        }
        for (const one of [...order, ...order.slice(0, 5)]) membership.learn(one, []);
        const found = membership.peers().flatMap(({ records: has }) => [...has.values()]);
        return found.map(({ node: name, kind, version }) => `${name} ${kind} ${version}`).sort();
      };
      const other = said.map((one) => ({ one, key: chance.next().value })).sort((a, b) => a.key - b.key);
      expect(end(other.map(({ one }) => one))).toEqual(end(said));
    }),
  );
});
