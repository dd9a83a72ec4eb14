import { expect, test } from 'vitest';
import { countRefusals, staleAt } from '../../real/netns/observer.ts';
import { spread, table } from '../../real/netns/table.ts';
import { opeLimit } from '../../../core/onion/revision.ts';

test('refusals are counted in the words of C tor 0.4.9.11', () => {
  const line =
    'Nov 21 08:00:00.000 [info] cache_store_v3_as_dir(): Descriptor revision counter in our cache is greater or equal than the one we received (5/4). Rejecting!\n';
  expect(countRefusals(`${line}something else\n${line}`)).toBe(2);
  expect(countRefusals('')).toBe(0);
});

test('an HSDir that has taken an earlier term’s descriptor is told, one that kept its own is not', () => {
  const [third, fourth] = [3n * opeLimit + 7n, 4n * opeLimit + 1n];
  const before = new Map([
    ['kept', third],
    ['took', fourth],
    ['went on', third],
  ]);
  const after = new Map([
    ['kept', third],
    ['took', third + 1n],
    ['went on', fourth],
    ['new', third],
  ]);
  expect(staleAt(before, after, 4)).toEqual(['took', 'new']);
});

test('the middle and the largest of what was measured', () => {
  expect(spread([3, undefined, 1, 2])).toEqual({ p50: 2, maximum: 3 });
  expect(spread([undefined])).toEqual({ p50: undefined, maximum: undefined });
});

test('stale publishes are counted where a deposed publisher came back, and no number stands where none was looked for', () => {
  const result = { takeoverMs: 2_500, publishedMs: 3_500, settledMs: 0, deadHeads: [] };
  const download = { head: 'one', complete: true };
  const none = { visits: 1, failedVisits: 0, isolated: 1, failedIsolated: 0, minutes: 1, refusedByHsdirs: 0 };
  const results = [
    { ...result, fault: 'kill' as const, stalePublishes: undefined, download },
    { ...result, fault: 'pause' as const, stalePublishes: 0, download },
    { ...result, fault: 'partition' as const, stalePublishes: 1, download },
    { ...result, fault: 'partition' as const, stalePublishes: 2, download },
  ];
  const rows = table({ ...none, results })
    .split('\n')
    .slice(2, 5);
  const cellsOf = (row: string): string[] => row.split(' | ').slice(-2);
  expect(rows.map(cellsOf)).toEqual([
    ['–', '0 |'],
    ['0', '0 |'],
    ['3', '0 |'],
  ]);
});
