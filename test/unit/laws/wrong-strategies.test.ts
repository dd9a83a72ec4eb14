/** The laws of rotation strategies notice mistakes: each of these is one, and the law that must say so. */
import { expect, test } from 'vitest';
import type { Decision, RotationStrategy, View } from '../../../core/pipeline/index.ts';
import { distinct } from '../../../strategies/distinct.ts';
import { reactive } from '../../../strategies/reactive.ts';
import { roulette } from '../../../strategies/roulette.ts';
import { stable } from '../../../strategies/stable.ts';
import { staggered } from '../../../strategies/staggered.ts';
import { rotationLaws } from '../../kit/laws/rotation-strategy.ts';

type Any = RotationStrategy<never>;
const turning = roulette({ live_heads: 3, every_secs: 600, jitter_secs: 60 });
const lanes = staggered({ every_secs: 3_600, jitter_secs: 900, points_per_head: 2 });
const cutting = reactive({ floor_points: 3, calm_secs: 600 });

/** A shipped strategy with one thing wrong. */
function wrong<State>(base: RotationStrategy<State>, change: Partial<RotationStrategy<State>>): Any {
  return { ...base, ...change } as unknown as Any;
}
const idsOf = ({ heads }: View): string[] => heads.flatMap(({ candidates }) => candidates.map(({ id }) => id));
const plain = (live: readonly string[]): Decision<null> => ({ rotation: { live, why: '' }, state: null });
let draws = 0;

const mistakes: readonly (readonly [what: string, strategy: Any, law: string])[] = [
  [
    'cuts every besieged head',
    wrong(stable, {
      decide: ({ heads }) =>
        plain(heads.filter(({ siege }) => siege < 1).flatMap(({ candidates }) => candidates.map(({ id }) => id))),
    }),
    'never nothing',
  ],
  [
    'keeps live what is gone',
    wrong(stable, { decide: (view) => plain([...new Set([...view.live, ...idsOf(view)])]) }),
    'only what the view has',
  ],
  [
    'publishes half of the points in no group',
    wrong(distinct({ sets: 6, least_points: 6 }), {
      decide: (view) => ({
        ...plain(idsOf(view)),
        rotation: { live: idsOf(view), groups: [idsOf(view).slice(0, 1)], why: '' },
      }),
    }),
    'groups have all',
  ],
  [
    'draws by a chance of its own',
    wrong(stable, {
      decide: (view) => plain(draws++ % 2 === 0 ? idsOf(view) : idsOf(view).slice(0, 1)),
    }),
    'the same view',
  ],
  [
    'writes into its state',
    wrong(lanes, {
      decide: (view, state, random) => {
        const decision = lanes.decide(view, state, random);
        Object.assign(state, decision.state);
        return decision;
      },
    }),
    'the same view',
  ],
  [
    'remembers in a Map',
    {
      name: 'map',
      initial: () => new Map([['seen', 1]]),
      decide: (view: View, state: Map<string, number>) => ({
        rotation: { live: idsOf(view).slice(0, state.get('seen') === 1 ? 1 : 2), why: '' },
        state: new Map([['seen', 2]]),
      }),
    } as unknown as Any,
    'the state is JSON',
  ],
  [
    'remembers everything that ever was',
    {
      name: 'hoarding',
      initial: () => '',
      decide: (view: View, state: string) => ({
        ...plain(idsOf(view)),
        state: `${state}${JSON.stringify(idsOf(view)).repeat(20)}`,
      }),
    } as unknown as Any,
    'the state is JSON',
  ],
  [
    'believes any state',
    wrong(lanes, {
      restore: (value) => value as never,
      decide: (view, state, random) => {
        const [live = idsOf(view)] = Object.values(state).map((lane) => lane.live.filter(() => false));
        return { ...lanes.decide(view, {}, random), rotation: { live, why: '' } };
      },
    }),
    'a foreign state',
  ],
  [
    'wants to be asked again at once',
    wrong(turning, { decide: (...all) => ({ ...turning.decide(...all), nextMs: 0 }) }),
    'it wants to be asked',
  ],
  ['lists more than fit, and leaves the choice to the merge', wrong(stable, {}), 'no more than fit'],
  [
    'shows 8 points and 9 in turn',
    wrong(turning, {
      decide: (view, ...rest) => {
        const decision = turning.decide(view, ...rest);
        const count = Math.floor(view.nowMs / 600_000) % 2 === 0 ? 8 : 9;
        return { ...decision, rotation: { ...decision.rotation, live: idsOf(view).slice(0, count) } };
      },
    }),
    'holds the padding bucket',
  ],
  [
    'takes a new point every hour',
    wrong(turning, {
      decide: (view, ...rest) => {
        const from = Math.floor(view.nowMs / 3_600_000) % idsOf(view).length;
        const decision = turning.decide(view, ...rest);
        return { ...decision, nextMs: 3_600_000, rotation: { live: idsOf(view).slice(from, from + 1), why: '' } };
      },
    }),
    'a stable pool',
  ],
  [
    'counts its turns from its own start',
    {
      name: 'counting',
      initial: () => 0,
      decide: (view: View, turn: number) => ({
        rotation: { live: [idsOf(view)[turn % idsOf(view).length]], why: '' },
        state: turn + 1,
        nextMs: 600_000,
      }),
    } as unknown as Any,
    'the next publisher goes on',
  ],
  [
    'turns on the minute',
    wrong(turning, roulette({ live_heads: 3, every_secs: 600, jitter_secs: 0 })),
    'what shows in time',
  ],
  [
    'plans by names and time alone',
    wrong(turning, { decide: (view, ...rest) => turning.decide({ ...view, seed: 'public' }, ...rest) }),
    'nobody foresees it',
  ],
  ['cuts nobody', wrong(stable, {}), 'a besieged head is out'],
  [
    'leaves one point when all are besieged',
    wrong(stable, {
      decide: (view) => {
        const calm = { ...view, heads: view.heads.filter(({ siege }) => siege < 1) };
        return plain(calm.heads.length > 0 ? idsOf(calm) : idsOf(view).slice(0, 1));
      },
    }),
    'the floor holds',
  ],
  [
    'never takes anybody back',
    wrong(cutting, {
      decide: (view, state, random) => {
        const besieged = view.heads.map((head) => ({
          ...head,
          siege: state[head.head] === undefined ? head.siege : 4,
        }));
        return cutting.decide({ ...view, heads: besieged }, state, random);
      },
    }),
    'it comes back',
  ],
  [
    'follows every pulse',
    wrong(stable, {
      decide: (view) => {
        const calm = view.heads.filter(({ siege }) => siege < 1);
        return plain(idsOf({ ...view, heads: calm.length > 0 ? calm : view.heads }));
      },
    }),
    'no thrash',
  ],
];

test.each(mistakes)('%s', (_what, strategy, law) => {
  const found = rotationLaws.filter(({ name }) => name.startsWith(law));
  expect(found).toHaveLength(1);
  expect(() => found[0]?.check(strategy as unknown as RotationStrategy)).toThrow(/^(?!.*(?:Type|Reference)Error)/s);
});

test('every law is broken by some mistake', () => {
  const unbroken = rotationLaws.filter(({ name }) => !mistakes.some(([, , law]) => name.startsWith(law)));
  expect(unbroken.map(({ name }) => name)).toEqual([]);
});
