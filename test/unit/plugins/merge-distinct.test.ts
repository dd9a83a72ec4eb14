/** plugins/merge/distinct/ and plugins/merge/stacked/ under the laws, alone and through the pipeline. */
import { describe, expect, test } from 'vitest';
import { introPointId } from '../../../core/onion/index.ts';
import { modelView } from '../../../core/pipeline/index.ts';
import { distinctSets } from '../../../plugins/merge/distinct/index.ts';
import { stackedShare } from '../../../plugins/merge/stacked/index.ts';
import { distinct } from '../../../strategies/distinct.ts';
import { candidatesOf } from '../../kit/laws/arbitraries.ts';
import { describeMergePolicy } from '../../kit/laws/merge-policy.ts';
import { describeSetsPolicy } from '../../kit/laws/sets-policy.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createBench, makeBackend, makeConsensus, openSealed } from '../pipeline/support.ts';

describeSetsPolicy('distinct', distinctSets);
describeMergePolicy('distinct without groups', (candidates, maximum, random, live) =>
  distinctSets(candidates, [], maximum, random, live).flat(),
);
describeMergePolicy('stacked without groups', (candidates, maximum, random, live) =>
  stackedShare(candidates, [], maximum, random, live),
);
describeMergePolicy(
  'stacked with a group for each second head',
  (candidates, maximum, random, live) => {
    const groups = [0, 1].map((odd) =>
      candidates.filter(({ head }) => Number(head[1]) % 2 === odd).map(({ id }) => id),
    );
    return stackedShare(candidates, groups, maximum, random, live);
  },
  ['safety'],
);

describe('stacked', () => {
  test('groups share the places alike, and what one does not need the others have', () => {
    const all = candidatesOf([9, 9, 1]);
    const groups = [0, 9, 18].map((from) => all.slice(from, from + 9).map(({ id }) => id));
    const chosen = stackedShare(all, groups, 11, createSeededRandom('places'));
    const counts = groups.map((ids) => chosen.filter(({ id }) => ids.includes(id)).length);
    expect(counts).toEqual([5, 5, 1]);
  });
});

describe('distinct, through the pipeline', () => {
  test('six texts with one counter, each opened by a client; HSDirs keep their subset over publications', async () => {
    const consensus = makeConsensus(undefined, { relays: 40 });
    const bench = await createBench({ consensus });
    const backends = await Promise.all(
      Array.from({ length: 14 }, (_none, index) => makeBackend(`node-${index}/1`, consensus)),
    );
    bench.world.reports = backends.map(({ report }) => report);
    const strategy = distinct({ sets: 6, least_points: 6 });
    bench.hooks.rotate.tap(
      { name: 'distinct', stage: -1 },
      (view) => strategy.decide(view, null, bench.random).rotation,
    );
    bench.hooks.merge.tap({ name: 'merge', stage: -1 }, ({ view, rotation, candidates }) => ({
      sets: distinctSets(candidates, rotation.groups ?? [], view.maximumIntroPoints, bench.random),
    }));
    const maps: string[][] = [];
    const counters: bigint[] = [];
    for (let publication = 0; publication < 3; publication++) {
      const result = await bench.run('tick');
      expect(result).toMatchObject({ outcome: 'published', introPoints: 42 });
      const sealed = bench.sent.at(-1) as (typeof bench.sent)[number];
      const slot = sealed.slots.clientUses;
      const descriptor = sealed.descriptors.find((one) => one.slot === slot) as (typeof sealed.descriptors)[number];
      expect(descriptor.texts).toHaveLength(6);
      const opened = descriptor.texts.map((_text, text) => openSealed(sealed, slot, text));
      expect(new Set(opened.map(({ revision }) => revision))).toEqual(new Set([descriptor.revision]));
      expect(opened.map(({ introPoints }) => introPoints.length)).toEqual([7, 7, 7, 7, 7, 7]);
      expect(new Set(opened.flatMap(({ introPoints }) => introPoints.map(introPointId))).size).toBe(42);
      expect(new Set(descriptor.texts.map((text) => text.length)).size).toBe(1);
      // Each of the six that clients ask has another one.
      const asked = descriptor.targets.filter(({ fetched }) => fetched);
      expect(new Set(asked.map(({ text }) => text)).size).toBe(6);
      maps.push(
        descriptor.targets.map(({ relay, text }) => {
          const points = opened[text]?.introPoints.map(introPointId).sort().join(' ');
          return `${relay.fingerprint} ${points}`;
        }),
      );
      counters.push(descriptor.revision);
      await bench.clock.advance(10_000);
    }
    expect(maps[1]).toEqual(maps[0]);
    expect(maps[2]).toEqual(maps[0]);
    expect(counters.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(counters);
    expect(new Set(counters).size).toBe(3);
  });

  test('a publication that would be the same has the same content, whatever the order in the sets', async () => {
    const consensus = makeConsensus(undefined, { relays: 40 });
    const bench = await createBench({ consensus });
    const backends = await Promise.all(
      Array.from({ length: 6 }, (_none, index) => makeBackend(`node-${index}/1`, consensus)),
    );
    bench.world.reports = backends.map(({ report }) => report);
    const contents: string[] = [];
    bench.hooks.rotate.tap(
      { name: 'distinct', stage: -1 },
      (view) => distinct({ sets: 6, least_points: 6 }).decide(view, null, bench.random).rotation,
    );
    bench.hooks.merge.tap({ name: 'merge', stage: -1 }, ({ view, rotation, candidates }) => ({
      sets: distinctSets(candidates, rotation.groups ?? [], view.maximumIntroPoints, bench.random),
    }));
    bench.hooks.review.tap('review', ({ content }) => void contents.push(content));
    await bench.run('one');
    bench.world.reports.reverse();
    await bench.run('two');
    expect(contents[1]).toBe(contents[0]);
  });
});

test('sets of few points overlap rather than leave a client with one head', () => {
  const view = modelView({ heads: 4, pointsPerHead: 2, nowMs: 0, seed: 's' });
  const { rotation } = distinct({ sets: 6, least_points: 6 }).decide(view, null, createSeededRandom(1));
  const heads = rotation.groups?.map((group) => new Set(group.map((id) => id.split('#')[0])).size);
  expect(heads).toEqual([4, 4, 4, 4, 4, 4]);
});
