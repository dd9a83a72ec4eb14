import { expect, test } from 'vitest';
import { countRefusals, staleAt } from '../../real/netns/observer.ts';
import { spread } from '../../real/netns/table.ts';
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
