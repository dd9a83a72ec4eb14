/** The test that looks for a leak of time, on made-up times: it finds a difference of a few percent and none where there is none. */
import { expect, test } from 'vitest';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { isLeak, largestT, welchT } from '../../kit/timing-leak.ts';

/** Times as machines give them: a bell, and now and then something in between that takes three times as long. */
function rounds(seed: string, differs: number, count = 2_000): number[] {
  const random = createSeededRandom(seed);
  const bell = (): number => Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
  const sample = (mean: number): number => (mean + 10 * bell()) * (random.float() < 0.02 ? 3 : 1);
  const samples = (mean: number): number[] => Array.from({ length: count }, () => sample(mean));
  return Array.from({ length: 3 }, () => largestT(samples(150 + differs), samples(150)));
}

test('equal times are no leak, a difference of two percent is one, in either direction', () => {
  const found = (differs: number): number =>
    Array.from({ length: 40 }, (_none, seed) => isLeak(rounds(`${differs} ${seed}`, differs))).filter(Boolean).length;
  expect([found(0), found(3), found(-3)]).toEqual([0, 40, 40]);
});

test('rounds that disagree are none', () => {
  expect([isLeak([9, 8, 7]), isLeak([-9, -8, -7]), isLeak([9, 8, -7]), isLeak([9, 4, 9])]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('Welch’s t: a worked example, no spread, too few', () => {
  // Means 20 and 22, variances 10 and 2.5, five and four samples: −2 / √(10/5 + 2.5/4).
  const [a, b] = [
    [16, 18, 20, 22, 24],
    [20.5, 21, 22.5, 24],
  ];
  expect(welchT(a, b)).toBeCloseTo(-2 / Math.sqrt(10 / 5 + 2.5 / 4), 6);
  expect([welchT([1, 1], [1, 1]), welchT([2, 2], [1, 1]), welchT([1], [5, 6])]).toEqual([0, Infinity, 0]);
});
