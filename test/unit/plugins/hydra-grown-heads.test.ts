/** When a node grows a head, keeps it, takes it back and gives it up, by what the publisher wants. */
import { expect, test } from 'vitest';
import type { HeadControl, OwnHead } from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import { GrownHeads } from '../../../plugins/hydra/grown-heads.ts';

interface Stage {
  readonly did: string[];
  readonly grown: GrownHeads;
  /** Heads that have found their introduction points. */
  readonly ready: Set<string>;
  /** Looks once a second for so long. */
  pass(seconds: number, wanted: { asked: boolean; siege: boolean }): Promise<string[]>;
}

function stage(limit: number): Stage {
  const did: string[] = [];
  const ready = new Set<string>();
  const heads: string[] = [];
  let made = 1;
  const control: HeadControl = {
    heads: () =>
      heads.map((head) => ({ head, address: ready.has(head) ? ('address' as OnionAddress) : undefined }) as OwnHead),
    exclude: (head) => void did.push(`exclude ${head}`),
    include: (head) => void did.push(`include ${head}`),
    grow: () => {
      if (heads.length >= limit) return undefined;
      heads.push(`n/${++made}`);
      did.push(`grow n/${made}`);
      return `n/${made}`;
    },
    shrink: async (head) => {
      heads.splice(heads.indexOf(head), 1);
      did.push(`shrink ${head}`);
    },
  };
  const grown = new GrownHeads(60_000);
  let nowMs = 1_000_000;
  return {
    did,
    grown,
    ready,
    pass: async (seconds, wanted) => {
      const from = did.length;
      for (let second = 0; second < seconds; second++) await grown.look(control, wanted, (nowMs += 1_000));
      return did.slice(from);
    },
  };
}
const asked = { asked: true, siege: true };
const siege = { asked: false, siege: true };
const calm = { asked: false, siege: false };

test('one at a time: the next only when the one before has had time to be published', async () => {
  const s = stage(3);
  expect(await s.pass(300, asked)).toEqual(['grow n/2']);
  s.ready.add('n/2');
  expect(await s.pass(10, asked)).toEqual([]);
  expect(await s.pass(10, asked)).toEqual(['grow n/3']);
});

test('kept while the siege lasts, though nobody asks for more; then out of the descriptor, then gone', async () => {
  const s = stage(1);
  expect(await s.pass(1, asked)).toEqual(['grow n/2']);
  s.ready.add('n/2');
  expect(await s.pass(1_000, siege)).toEqual([]);
  expect(await s.pass(59, calm)).toEqual([]);
  expect(await s.pass(2, calm)).toEqual(['exclude n/2']);
  expect(s.grown.names()).toEqual([]);
  expect(await s.pass(58, calm)).toEqual([]);
  expect(await s.pass(3, calm)).toEqual(['shrink n/2']);
  expect(await s.pass(300, calm)).toEqual([]);
});

test('another siege takes back the one that is about to go, which counts among heads.grow until it is gone', async () => {
  const s = stage(1);
  await s.pass(1, asked);
  s.ready.add('n/2');
  expect(await s.pass(70, calm)).toEqual(['exclude n/2']);
  expect(await s.pass(1, asked)).toEqual(['include n/2']);
  expect(s.grown.names()).toEqual(['n/2']);
  expect(await s.pass(300, siege)).toEqual([]);
  expect(await s.pass(130, calm)).toEqual(['exclude n/2', 'shrink n/2']);
});
