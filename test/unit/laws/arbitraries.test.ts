/** What the arbitraries promise to those who write laws with them. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbitraryCluster, arbitrarySieges, arbitraryView } from '../../kit/laws/arbitraries.ts';

test('a cluster is at peace, has an introduction point, and each head its own', () => {
  fc.assert(
    fc.property(arbitraryCluster(), (heads) => {
      expect(heads.some(({ candidates }) => candidates.length > 0)).toBe(true);
      expect(new Set(heads.map(({ head }) => head)).size).toBe(heads.length);
      for (const { head, siege, candidates } of heads) {
        expect(siege).toBe(0);
        expect(candidates.every((candidate) => candidate.head === head)).toBe(true);
      }
    }),
  );
});

test('sieges change the levels and nothing else, and some heads are besieged, some calm', () => {
  const besieged = arbitraryCluster().chain((heads) => arbitrarySieges(heads).map((after) => ({ heads, after })));
  fc.assert(
    fc.property(besieged, ({ heads, after }) => {
      expect(after.map((head) => ({ ...head, siege: 0 }))).toEqual(heads);
    }),
  );
  const levels = fc.sample(besieged, 200).flatMap(({ after }) => after.map(({ siege }) => siege >= 1));
  expect(new Set(levels)).toEqual(new Set([true, false]));
});

test('what is live in a view is one of its introduction points', () => {
  fc.assert(
    fc.property(arbitraryView(), ({ heads, live }) => {
      const ids = heads.flatMap(({ candidates }) => candidates.map(({ id }) => id));
      expect(live.every((id) => ids.includes(id))).toBe(true);
    }),
  );
});
