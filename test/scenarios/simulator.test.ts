/**
 * The simulator itself: a seed replays a run to the byte, seeds that once failed do not any more, and the checkers notice
 * deliberate bugs. Many seeds, and all bugs, are `npm run sim` and `npm run sim -- --mutations`.
 */
import { describe, expect, test } from 'vitest';
import { caught, mutations, simulate, type FaultClass } from '../kit/sim/cluster/index.ts';
import regressions from './simulator-seeds.json' with { type: 'json' };

test('one seed gives one run, to the byte', async () => {
  const run = () =>
    simulate({
      seed: 'twice',
      nodes: 3,
      hours: 0.06,
      among: ['loss', 'crash', 'pause', 'partition', 'blackout', 'membership'],
    });
  const [first, second] = [await run(), await run()];
  expect(first.digest).toBe(second.digest);
  expect(first.trace).toEqual(second.trace);
  expect(first.broken).toEqual([]);
  const other = await simulate({
    seed: 'another',
    nodes: 3,
    hours: 0.06,
    among: ['loss', 'crash', 'pause', 'partition', 'blackout', 'membership'],
  });
  expect(other.digest).not.toBe(first.digest);
}, 60_000);

test.each(regressions)(
  'seed $seed with $nodes nodes: $why',
  async ({ seed, nodes, hours, among }) => {
    const { broken } = await simulate({
      seed,
      nodes,
      hours,
      ...(among === undefined ? {} : { among: among as FaultClass[] }),
    });
    expect(broken).toEqual([]);
  },
  60_000,
);

/** Those that come to light within a second or two. */
const quick = [
  'a publisher stays for ever',
  'the heads of a silent node are given up at once',
  'a record is believed as nobody said it',
  'a descriptor that no client can open',
  'the master key in a log',
  'the passphrase in a log',
  'the records of a removed member are still believed',
  'the sessions of a removed member stay',
  'members keep the master key for themselves',
  'the master key over the network',
  'the replay window is off',
  'a record counts without its signature',
];
describe('the checkers notice', () => {
  test.each(mutations.filter(({ name }) => quick.includes(name)))(
    '$name',
    async (mutation) => {
      const found = await caught(mutation, { seeds: 2 });
      expect(mutation.breaks).toContain(found?.invariant);
    },
    60_000,
  );
});
