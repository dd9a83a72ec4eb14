/**
 * stacked: more heads than introduction points. Heads are grouped under sub-masters, each group has its share of the places,
 * and within a group the heads take turns, each group on its own clock.
 */
import * as v from 'valibot';
import type { HeadView, RotationStrategy, StrategyDefinition } from '../core/pipeline/index.ts';
import { laneOptions, restoreLanes, turnLanes, type LaneState } from './lanes.ts';
import { drawnOrder, pointsOf, takeInTurn } from './plan.ts';

const schema = v.strictObject({ ...laneOptions });
export type StackedOptions = v.InferOutput<typeof schema>;

/** As few groups as `most` heads each allow, and as equal as can be. One group when all fit. */
export function groupsOf<Head>(heads: readonly Head[], most: number): Head[][] {
  const count = Math.ceil(heads.length / most);
  const size = Math.ceil(heads.length / count);
  return Array.from({ length: count }, (_none, group) => heads.slice(group * size, (group + 1) * size)).filter(
    (group) => group.length > 0,
  );
}

export function stacked(options: StackedOptions): RotationStrategy<LaneState> {
  return {
    name: 'stacked',
    initial: () => ({}),
    restore: restoreLanes,
    decide: (view, state) => {
      const { heads, seed, maximumIntroPoints } = view;
      const inOrder: HeadView[] = drawnOrder(seed, 'heads', heads, ({ head }) => head);
      if (heads.length <= maximumIntroPoints) {
        const live = takeInTurn(seed, inOrder, maximumIntroPoints).map(({ id }) => id);
        return { rotation: { live, groups: [live], why: `one layer: ${heads.length} heads fit` }, state: {} };
      }
      // Places for each sub-master; with more sub-masters than places, as many as there are places.
      const groups = groupsOf(inOrder, Math.max(maximumIntroPoints, Math.ceil(heads.length / maximumIntroPoints)));
      const lanes = groups.map((group, index) => ({
        name: `sub-master ${index + 1}`,
        // One point a head, always the same: a turn shows no new relay.
        pool: group.flatMap((head) => pointsOf(seed, head).slice(0, 1)),
        places: Math.floor((maximumIntroPoints + groups.length - 1 - index) / groups.length),
      }));
      return turnLanes(view, lanes, state, options, `${heads.length} heads under ${groups.length} sub-masters`);
    },
  };
}

export const stackedStrategy: StrategyDefinition<StackedOptions, LaneState> = {
  name: 'stacked',
  summary: 'More heads than introduction points: groups of heads, each with its share, its heads in turn.',
  options: schema,
  create: stacked,
};
