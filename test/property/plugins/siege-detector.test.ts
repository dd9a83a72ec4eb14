/** The detector against synthetic traces: what must be told, how soon, and what must not. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { baselineOf } from '../../../plugins/siege/detector.ts';
import { createDetectorState, observe, usualHeadSettings, type Verdict } from '../../../plugins/siege/index.ts';
import { createSeededRandom, type SeededRandom } from '../../kit/sim/seeded-random.ts';

const { introductions: settings } = usualHeadSettings;

/** Poisson-distributed counts. */
function poisson(random: SeededRandom, mean: number): number {
  if (mean > 50) {
    const sum = Array.from({ length: 12 }, () => random.float()).reduce((a, b) => a + b, -6);
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * sum));
  }
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.float(); product > limit; product *= random.float()) count++;
  return count;
}

/** Verdicts of a trace of rates, one a second. */
function run(seed: number, rates: readonly number[]): Verdict[] {
  const random = createSeededRandom(String(seed));
  let state = createDetectorState();
  return rates.map((rate, second) => {
    const sample = { atMs: (second + 1) * 1_000, durationMs: 1_000, count: poisson(random, rate) };
    const next = observe(state, sample, settings);
    ({ state } = next);
    return next.verdict;
  });
}
const constant = (rate: number, seconds: number): number[] => Array.from({ length: seconds }, () => rate);
const seeds = fc.integer({ min: 0, max: 1e6 });
const first = (verdicts: readonly Verdict[], from = 0): number =>
  verdicts.slice(from).findIndex(({ besieged }) => besieged);

describe('the detector of sieges', () => {
  test('has the median and the median deviation for its baseline, as sorting finds them', () => {
    const median = (values: readonly number[]): number => {
      const sorted = [...values].sort((a, b) => a - b);
      const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1].map((at) => sorted[at] ?? 0) as [
        number,
        number,
      ];
      return (low + high) / 2;
    };
    const rates = fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.double({ min: 0, max: 1e6, noNaN: true })), {
      maxLength: 400,
    });
    fc.assert(
      fc.property(rates, (history) => {
        const middle = median(history);
        const deviation = 1.4826 * median(history.map((rate) => Math.abs(rate - middle)));
        expect(baselineOf(history)).toEqual({ median: middle, deviation });
      }),
    );
  });

  test('is silent over hours of any steady load', () => {
    fc.assert(
      fc.property(seeds, fc.double({ min: 0, max: 3, noNaN: true }), (seed, rate) => {
        expect(first(run(seed, constant(rate, 2_400)))).toBe(-1);
      }),
      { numRuns: 12 },
    );
  });

  test('is silent when the load was learned and a crowd comes, however fast the service once grew', () => {
    fc.assert(
      fc.property(seeds, fc.double({ min: 4, max: 20, noNaN: true }), (seed, rate) => {
        const rise = Array.from({ length: 1_200 }, (_none, second) => Math.min(rate, 0.5 + second / 60));
        const verdicts = run(seed, [...rise, ...constant(rate, 7_200), ...constant(2 * rate, 600)]);
        expect(first(verdicts, rise.length + 5_400)).toBe(-1);
      }),
      { numRuns: 10 },
    );
  });

  test('tells a flood of four times its threshold within five seconds, with figures', () => {
    fc.assert(
      fc.property(seeds, fc.double({ min: 0, max: 2, noNaN: true }), (seed, rate) => {
        const verdicts = run(seed, [...constant(rate, 900), ...constant(4 * Math.max(5, 4 * rate + 8), 10)]);
        const at = first(verdicts, 900);
        expect(at).toBeGreaterThanOrEqual(0);
        expect(at).toBeLessThan(5);
        expect(verdicts[900 + at]?.why).toMatch(/[\d.]+ introductions\/s, usual [\d.]+, threshold [\d.]+/);
      }),
      { numRuns: 50 },
    );
  });

  test('tells a drip below the threshold that goes on', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const verdicts = run(seed, [...constant(0.2, 900), ...constant(4, 900)]);
        const at = first(verdicts, 900);
        expect(at).toBeGreaterThan(0);
        expect(at).toBeLessThan(400);
      }),
      { numRuns: 12 },
    );
  });

  test('holds one siege through pulses that pause for less than the calm time', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 5, max: 50 }), (seed, pause) => {
        const pulses = Array.from({ length: 10 }, () => [...constant(60, 20), ...constant(0.2, pause)]).flat();
        const verdicts = run(seed, [...constant(0.2, 600), ...pulses]);
        const at = first(verdicts, 600);
        expect(verdicts.slice(600 + at).every(({ besieged }) => besieged)).toBe(true);
      }),
      { numRuns: 12 },
    );
  });

  test('ends a siege after the calm time, and keeps its threshold from before', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const verdicts = run(seed, [...constant(0.5, 900), ...constant(100, 300), ...constant(0.5, 400)]);
        expect(verdicts.at(-1)?.besieged).toBe(false);
        expect(verdicts.at(-1)?.threshold).toBeLessThan(3 * (verdicts[890]?.threshold ?? 0));
      }),
      { numRuns: 12 },
    );
  });

  test('a busy tor halves the threshold; an idle one does not', () => {
    const level = (cpu: number | undefined): boolean => {
      let state = createDetectorState();
      let verdict: Verdict | undefined;
      for (let second = 1; second <= 6; second++) {
        ({ state, verdict } = observe(state, { atMs: second * 1_000, durationMs: 1_000, count: 6, cpu }, settings));
      }
      return verdict?.besieged ?? false;
    };
    expect([level(0.99), level(0.2), level(undefined)]).toEqual([true, false, false]);
  });
});
