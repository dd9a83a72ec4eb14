import { describe, expect, test } from 'vitest';
import type { Visit } from '../../real/netns/client.ts';
import { countRefusals, staleAt, uploadsInGoodFaith } from '../../real/netns/observer.ts';
import type { NodeLine } from '../../real/netns/node-process.ts';
import { stranded } from '../../real/netns/stranded.ts';
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

describe('uploads that a publisher began before it heard who had followed it, after a cut that healed at 10 s', () => {
  const line = (atMs: number, durationMs: number, message: string): NodeLine => ({
    atMs,
    durationMs,
    message,
    level: 'debug',
  });
  const taken =
    'published: 7 introduction points of 4 heads, taken by 16 of 16 HSDirs, fetched back from 6 of 6; all heads are live';
  const refused = 'not published: confirm: none of 16 HSDirs took the descriptor';
  const uploads = (...lines: NodeLine[]): number =>
    uploadsInGoodFaith([line(500, 200, taken), ...lines], 9_000, 10_000);
  const heard = (atMs: number, elected = false): NodeLine => ({
    ...line(atMs, 0, 'the publisher changed'),
    elected,
    publisher: 'another',
  });

  test('are those of its cycles, whatever came of them', () => {
    for (const end of [
      refused,
      'standby: the term of epoch 9 ended during the upload',
      'not confirmed: 3 of 16 HSDirs',
      taken,
    ])
      expect(uploads(line(10_500, 1_800, end))).toBe(16);
    expect(uploads(line(10_800, 300, refused), heard(10_700))).toBe(16);
    expect(uploads(line(9_800, 300, refused), line(10_800, 300, refused), heard(10_700))).toBe(32);
  });

  test('are not those of one that it began later, that ended before the watch, or that uploaded nothing', () => {
    expect(uploads(line(10_500, 499, refused))).toBe(0);
    expect(uploads(heard(10_700), line(11_000, 299, refused))).toBe(0);
    expect(uploads(heard(10_700, true), line(11_000, 301, refused))).toBe(0);
    expect(uploads(line(8_900, 100, taken))).toBe(0);
    expect(uploads(line(10_500, 1_800, 'standby: another publishes'))).toBe(0);
    expect(uploads(line(10_500, 1_800, 'unchanged: the same introduction points at the same HSDirs'))).toBe(0);
  });
});

test('the middle and the largest of what was measured', () => {
  expect(spread([3, undefined, 1, 2])).toEqual({ p50: 2, maximum: 3 });
  expect(spread([undefined])).toEqual({ p50: undefined, maximum: undefined });
});

test('stale publishes are counted where a deposed publisher came back, and no number stands where none was looked for', () => {
  const result = { sinceMs: 0, takeoverMs: 2_500, publishedMs: 3_500, settledMs: 0, deadHeads: [] };
  const download = { head: 'one', complete: true };
  const none = {
    visits: 1,
    failedVisits: 0,
    strandedVisits: 0,
    isolated: 1,
    failedIsolated: 0,
    minutes: 1,
    refusedByHsdirs: 0,
  };
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

describe('visits that failed as their client stood at a head whose tor died', () => {
  const visit = (atMs: number, head: string | undefined): Visit => ({ atMs, durationMs: 10, head });
  const deaths = [{ head: 'one', atMs: 2_500 }];
  const failed = (visits: readonly Visit[]): number[] => stranded(visits, deaths).map(({ atMs }) => atMs);

  test('are those from its last answer to the next, in whatever order they ended', () => {
    const visits = [visit(1_000, 'one'), visit(5_000, 'two'), visit(3_000, undefined), visit(2_000, undefined)];
    expect(failed([...visits, visit(4_000, undefined), visit(6_000, undefined)])).toEqual([2_000, 3_000, 4_000]);
  });

  test('are all that follow when none is answered', () => {
    expect(failed([visit(1_000, 'one'), visit(3_000, undefined), visit(4_000, undefined)])).toEqual([3_000, 4_000]);
  });

  test('are none of a client that stood elsewhere, or at nobody’s', () => {
    expect(failed([visit(1_000, 'two'), visit(3_000, undefined)])).toEqual([]);
    expect(failed([visit(1_000, undefined), visit(3_000, undefined)])).toEqual([]);
  });
});
