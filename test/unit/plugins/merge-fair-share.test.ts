import { expect, test } from 'vitest';
import { fairShare, mergeFairShare } from '../../../plugins/merge/fair-share/index.ts';
import { candidatesOf } from '../../kit/laws/arbitraries.ts';
import { describeMergePolicy } from '../../kit/laws/merge-policy.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createBareHost } from './support.ts';

describeMergePolicy('fair-share', fairShare);

test.each([
  // sizes of the heads, maximum, points of each head (rest at random: as a sorted list)
  [[3, 3, 3], 20, [3, 3, 3]],
  [[10, 10, 10], 20, [6, 7, 7]],
  [[20], 20, [20]],
  [[30], 20, [20]],
  [[1, 20], 20, [1, 19]],
  [[1, 1, 10, 10], 10, [1, 1, 4, 4]],
  [[5, 5], 1, [1]],
] as const)('heads with %j share %i places as %j', (sizes, maximum, shares) => {
  const chosen = fairShare(candidatesOf(sizes), maximum, createSeededRandom('x'));
  const counts = new Map<string, number>();
  for (const { head } of chosen) counts.set(head, (counts.get(head) ?? 0) + 1);
  expect([...counts.values()].sort((a, b) => a - b)).toEqual(shares);
});

test('of more heads than places, those that are live stay', () => {
  const all = candidatesOf(Array.from({ length: 30 }, () => 2));
  const live = new Set(all.filter(({ head }) => /^n1\d\/1/.test(head)).map(({ id }) => id));
  const chosen = fairShare(all, 12, createSeededRandom('x'), live);
  expect(chosen.filter(({ id }) => live.has(id))).toHaveLength(10);
  expect(chosen).toHaveLength(12);
});

test('a head that dies leaves its places to the others, and what they had stays', () => {
  const all = candidatesOf([10, 10, 10]);
  const before = fairShare(all, 20, createSeededRandom('x'));
  const left = all.filter(({ head }) => head !== 'n1/1');
  const after = fairShare(left, 20, createSeededRandom('y'), new Set(before.map(({ id }) => id)));
  const kept = before.filter(({ head }) => head !== 'n1/1');
  expect(after).toHaveLength(20);
  expect(kept.every((one) => after.includes(one))).toBe(true);
});

test('the plugin answers the hook with one set, by the view’s maximum and what is live', async () => {
  const bare = createBareHost();
  bare.apply(mergeFairShare);
  const candidates = candidatesOf([4, 4]);
  const live = ['n0/1#3', 'n1/1#3'];
  const answer = await bare.hooks.merge.promise({
    view: { nowMs: 0, heads: [], live, epoch: 0, maximumIntroPoints: 2, seed: '' },
    rotation: { live, why: '' },
    candidates,
  });
  expect(answer?.sets).toHaveLength(1);
  expect(answer?.sets[0]?.map(({ id }) => id).sort()).toEqual(live);
});
