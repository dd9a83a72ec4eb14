/** What siege counts: introductions of two sources once each, and connections with each circuit's share bounded. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionCount, IntroductionCount, WatchedHead, usualHeadSettings } from '../../../plugins/siege/index.ts';

const settings = usualHeadSettings;

describe('introductions', () => {
  /** When tor counts it, how long after that its circuit is seen; undefined: rejected, no circuit. */
  const arrival = fc.record({
    at: fc.integer({ min: 2, max: 60 }),
    lag: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
  });
  test('count once, whichever source tells of them first', () => {
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 80 }), (arrivals) => {
        const count = new IntroductionCount();
        let told = 0;
        for (let step = 1; step <= 70; step++) {
          for (const { at, lag } of arrivals) if (lag !== undefined && at + lag === step) count.seen();
          const counted = arrivals.filter(({ at }) => at <= step);
          const rejected = counted.filter(({ lag }) => lag === undefined).length;
          told += count.take({ introductions: 1_000 + counted.length - rejected, rejected: 7 + rejected });
        }
        expect(told).toBe(arrivals.length);
      }),
    );
  });
  test('a source that fails or starts anew neither hides any nor makes them up', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom('there', 'gone', 'restarted')), {
          maxLength: 50,
        }),
        (steps) => {
          const count = new IntroductionCount();
          let total = 5_000;
          let came = 0;
          let told = 0;
          for (const [fresh, metrics] of steps) {
            for (let each = 0; each < fresh; each++) count.seen();
            came += fresh;
            total = metrics === 'restarted' ? fresh : total + fresh;
            told += count.take(metrics === 'gone' ? undefined : { introductions: total, rejected: 0 });
          }
          expect(told).toBe(came);
        },
      ),
    );
  });
});

describe('connections', () => {
  const streams = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 60 })), {
    maxLength: 60,
  });
  test('are all counted where they are spread, and one circuit’s no more than its share', () => {
    fc.assert(
      fc.property(streams, fc.integer({ min: 250, max: 10_000 }), (opened, durationMs) => {
        const count = new ConnectionCount(5);
        const by = new Map<number, number>();
        for (const [circuit, times] of opened) {
          for (let each = 0; each < times; each++) count.seen(`one/1#${circuit}`);
          if (times > 0) by.set(circuit, (by.get(circuit) ?? 0) + times);
        }
        const most = Math.max(1, (5 * durationMs) / 1_000);
        const { counted, circuits } = count.take(durationMs);
        expect(circuits).toBe(by.size);
        expect(counted).toBeCloseTo([...by.values()].reduce((sum, times) => sum + Math.min(times, most), 0));
        expect(count.take(durationMs)).toEqual({ counted: 0, circuits: 0 });
      }),
    );
  });

  /** Verdicts of 120 s, after ten minutes with `usual` connections a second, one over each of 60 circuits in turn. */
  const besieged = (usual: number, circuits: number, perCircuitPerSecond: number): string | undefined => {
    const head = new WatchedHead('one/1', settings, 0);
    let next = 0;
    let atMs = 0;
    for (; atMs < 600_000;) {
      for (let each = 0; each < usual; each++) head.connectionCount.seen(String(next++ % 60));
      head.sample((atMs += 1_000), undefined, undefined);
    }
    for (; atMs < 720_000;) {
      for (let each = 0; each < circuits * perCircuitPerSecond; each++) {
        head.connectionCount.seen(`flood-${each % circuits}`);
      }
      const verdict = head.sample((atMs += 1_000), undefined, undefined);
      if (verdict?.besieged === true) return verdict.why;
    }
    return undefined;
  };
  test('of fewer circuits than the floor is worth are no siege, however many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 5, max: 400 }),
        (usual, circuits, each) => {
          expect(besieged(usual, circuits, each)).toBeUndefined();
        },
      ),
      { numRuns: 25 },
    );
  });
  test('of many circuits are one, with its figures', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 60, max: 300 }),
        fc.integer({ min: 5, max: 20 }),
        (usual, circuits, each) => {
          expect(besieged(usual, circuits, each)).toMatch(
            new RegExp(`connections/s, usual ${usual}\\.0, threshold .*over ${circuits} client circuits$`),
          );
        },
      ),
      { numRuns: 25 },
    );
  });
});
