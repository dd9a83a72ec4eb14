/** The strategies that ship, under their laws, and what each promises beyond them. */
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { modelView, project, pointsShown, shortestTurnoverMs } from '../../../core/pipeline/index.ts';
import { distinct } from '../../../strategies/distinct.ts';
import { strategies } from '../../../strategies/index.ts';
import { groupsOf, stacked } from '../../../strategies/stacked.ts';
import { reactive } from '../../../strategies/reactive.ts';
import { roulette } from '../../../strategies/roulette.ts';
import { stable } from '../../../strategies/stable.ts';
import { staggered } from '../../../strategies/staggered.ts';
import { describeRotationStrategy } from '../../kit/laws/rotation-strategy.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const hourly = { every_secs: 3_600, jitter_secs: 900 };
const nowMs = Date.UTC(2026, 0, 1, 9, 17);
const random = createSeededRandom('strategies');
const headsOf = (live: readonly string[]): string[] => [...new Set(live.map((id) => id.split('#')[0] ?? ''))].sort();

describeRotationStrategy('stable', stable, ['safety']);
describeRotationStrategy('reactive', reactive({ floor_points: 3, calm_secs: 600 }), ['safety', 'siege']);
describeRotationStrategy('roulette', roulette({ live_heads: 3, every_secs: 600, jitter_secs: 60 }));
describeRotationStrategy('staggered', staggered({ ...hourly, points_per_head: 2 }));
describeRotationStrategy('stacked', stacked(hourly));
describeRotationStrategy('distinct', distinct({ sets: 6, least_points: 6 }));

test('every strategy has a default for each option', () => {
  for (const strategy of strategies.values()) {
    expect(strategy.create(v.parse(strategy.options, {})).name).toBe(strategy.name);
  }
});

describe('roulette', () => {
  const strategy = roulette({ live_heads: 3, every_secs: 600, jitter_secs: 60 });
  const day = (heads: number) =>
    project(strategy, { heads, pointsPerHead: 3, nowMs, seed: 'r' }, { hours: 24, random });

  test('[A, B, C], then [D, E, F]: two sets have no head in common', () => {
    const { steps } = day(6);
    expect(steps.length).toBeGreaterThan(130);
    for (const [index, { live }] of steps.entries()) {
      expect(headsOf(live)).toHaveLength(3);
      const next = headsOf(steps[index + 1]?.live ?? []);
      expect(next.filter((head) => headsOf(live).includes(head))).toEqual([]);
    }
  });
  test.each([4, 5, 7, 9, 11])('%i heads: all have their turns', (heads) => {
    const { steps } = day(heads);
    expect(headsOf(steps.flatMap(({ live }) => live))).toHaveLength(heads);
  });
  test('with no more heads than are live there is nothing to turn', () => {
    expect(day(3).steps).toHaveLength(1);
    expect(day(3).decisions).toBe(1);
  });
  test('the shortest turnover is what the check on outages reckons with', () => {
    const shortest = shortestTurnoverMs(day(6)) ?? 0;
    expect(shortest).toBeGreaterThan(470_000);
    expect(shortest).toBeLessThan(600_000);
  });
});

describe('staggered', () => {
  const strategy = staggered({ ...hourly, points_per_head: 2 });
  test('one or two points change at a time, and all have had their turn within a day', () => {
    const projection = project(strategy, { heads: 3, pointsPerHead: 4, nowMs, seed: 's' }, { hours: 24, random });
    for (const [index, { live }] of projection.steps.entries()) {
      const before = projection.steps[index - 1]?.live;
      if (before === undefined) continue;
      expect(live).toHaveLength(6);
      expect([1, 2]).toContain(live.filter((id) => !before.includes(id)).length);
    }
    expect(pointsShown(projection).size).toBe(12);
    // Three heads, about once an hour each.
    expect(projection.steps.length).toBeGreaterThan(50);
    expect(projection.steps.length).toBeLessThan(80);
  });
  test('who was behind the plan catches up by two points a tick at most', () => {
    const early = modelView({ heads: 1, pointsPerHead: 12, nowMs, seed: 's' });
    let { state, rotation } = staggered({ ...hourly, points_per_head: 6 }).decide(early, {}, random);
    const [head] = early.heads;
    // Half the pool is replaced.
    const heads = [
      {
        ...(head as (typeof early.heads)[number]),
        candidates: (head?.candidates ?? []).map((candidate, index) =>
          index % 2 === 0 ? candidate : { ...candidate, id: `new#${index}` },
        ),
      },
    ];
    let atMs = nowMs;
    let behind = 0;
    for (let tick = 0; tick < 30; tick++) {
      const before = new Set(rotation.live);
      const view = { ...early, heads, nowMs: atMs };
      const next = staggered({ ...hourly, points_per_head: 6 }).decide(view, state, random);
      const fresh = staggered({ ...hourly, points_per_head: 6 }).decide(view, {}, random);
      // The first decision replaces what is gone.
      const most = tick === 0 ? 6 : 2;
      expect(next.rotation.live.filter((id) => !before.has(id)).length).toBeLessThanOrEqual(most);
      behind = next.rotation.live.filter((id) => !fresh.rotation.live.includes(id)).length;
      ({ state, rotation } = next);
      atMs += next.nextMs ?? 0;
    }
    expect(behind).toBe(0);
  });
  test('more heads than places share them', () => {
    const { steps } = project(strategy, { heads: 30, pointsPerHead: 2, nowMs, seed: 's' }, { hours: 24, random });
    expect(new Set(steps.map(({ live }) => live.length))).toEqual(new Set([20]));
    expect(headsOf(steps.flatMap(({ live }) => live))).toHaveLength(30);
  });
});

describe('stacked', () => {
  test('the grouping rule: one layer when all fit, else as few and as equal groups as can be', () => {
    expect(groupsOf([...Array(10).keys()], 10)).toHaveLength(1);
    expect(groupsOf([...Array(11).keys()], 10).map((group) => group.length)).toEqual([6, 5]);
    expect(groupsOf([...Array(25).keys()], 10).map((group) => group.length)).toEqual([9, 9, 7]);
  });
  test.each([21, 40, 100])('%i heads: 20 points at a time, each head within a day', (heads) => {
    const projection = project(stacked(hourly), { heads, pointsPerHead: 3, nowMs, seed: 'k' }, { hours: 26, random });
    expect(new Set(projection.steps.map(({ live }) => live.length))).toEqual(new Set([20]));
    expect(headsOf([...pointsShown(projection)])).toHaveLength(heads);
  });
});

describe('distinct', () => {
  test.each([
    [14, 3],
    [40, 3],
    [4, 3],
    [1, 1],
  ])('%i heads with %i points: every descriptor of one size, all points somewhere', (heads, points) => {
    const view = modelView({ heads, pointsPerHead: points, nowMs, seed: 'd' });
    const { rotation } = distinct({ sets: 6, least_points: 6 }).decide(view, null, random);
    expect(rotation.groups).toHaveLength(6);
    expect(new Set(rotation.groups?.map((group) => group.length)).size).toBe(1);
    expect(new Set(rotation.groups?.flat()).size).toBe(Math.min(120, heads * points));
    expect(rotation.groups?.[0]?.length).toBe(
      Math.min(20, Math.max(Math.ceil((heads * points) / 6), Math.min(6, heads * points))),
    );
  });
});

test('reactive: a head that is besieged again within a day stays out longer', () => {
  const strategy = reactive({ floor_points: 3, calm_secs: 600 });
  const at = (secs: number, siege: number, state: ReturnType<typeof strategy.initial>) => {
    const view = modelView({ heads: 3, pointsPerHead: 3, nowMs: nowMs + secs * 1000, seed: '' });
    const heads = view.heads.map((head, index) => ({ ...head, siege: index === 0 ? siege : 0 }));
    return strategy.decide({ ...view, heads }, state, random);
  };
  const first = at(0, 2, {});
  expect(first.rotation.live).toHaveLength(6);
  expect(first.nextMs).toBe(600_000);
  const back = at(600, 0, first.state);
  expect(back.rotation.live).toHaveLength(9);
  const again = at(700, 1, back.state);
  expect(again.nextMs).toBe(1_200_000);
  expect(at(1_400, 0.2, again.state).rotation.live).toHaveLength(6);
  expect(at(1_900, 0.2, again.state).rotation.live).toHaveLength(9);
});
