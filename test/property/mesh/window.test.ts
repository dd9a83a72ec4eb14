/** The laws of the replay window, against a set that forgets nothing. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReplayWindow, windowEntries } from '../../../plugins/mesh/session/window.ts';

const counters = fc.array(fc.oneof(fc.nat(3_000), fc.nat(100), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 3_000 })), {
  maxLength: 400,
});

test('each counter is taken once, and only within the last 1,024 of the highest', () => {
  fc.assert(
    fc.property(counters, (all) => {
      const window = new ReplayWindow();
      const taken = new Set<number>();
      let highest = -1;
      for (const counter of all) {
        const expected = !taken.has(counter) && counter > highest - windowEntries;
        expect(window.fresh(counter)).toBe(expected);
        expect(window.take(counter)).toBe(expected);
        expect(window.fresh(counter)).toBe(false);
        if (expected) taken.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
    { numRuns: 300 },
  );
});

test('whatever order within the window: all arrive, none twice', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(Array.from({ length: windowEntries }, (_none, at) => at)), (order) => {
      const window = new ReplayWindow();
      expect(order.filter((counter) => window.take(counter))).toEqual(order);
      expect(order.filter((counter) => window.take(counter))).toEqual([]);
    }),
    { numRuns: 50 },
  );
});
