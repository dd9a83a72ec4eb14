/**
 * staggered: each head shows a few points of its pool and changes one or two of them about once an hour, each head at its own
 * random time. Within a day every point has had its turn, and no publication changes much.
 */
import * as v from 'valibot';
import type { HeadView, RotationStrategy, StrategyDefinition } from '../core/pipeline/index.ts';
import { laneOptions, pointsPerDay, restoreLanes, turnLanes, type LaneState } from './lanes.ts';
import { drawnOrder, takeInTurn, whole } from './plan.ts';

const schema = v.strictObject({
  ...laneOptions,
  /** Live points of each head, while there is room. A head with no more than these does not rotate. */
  points_per_head: v.optional(whole(1, 20), 2),
});
export type StaggeredOptions = v.InferOutput<typeof schema>;

export function staggered(options: StaggeredOptions): RotationStrategy<LaneState> {
  return {
    name: 'staggered',
    initial: () => ({}),
    restore: restoreLanes,
    decide: (view, state) => {
      const { heads, seed, maximumIntroPoints } = view;
      const count = Math.min(heads.length, maximumIntroPoints);
      const groups = Array.from({ length: count }, (): HeadView[] => []);
      // With more heads than places, several share one.
      for (const [index, head] of drawnOrder(seed, 'heads', heads, ({ head }) => head).entries()) {
        groups[index % count]?.push(head);
      }
      const places = Math.max(1, Math.min(options.points_per_head, Math.floor(maximumIntroPoints / count)));
      const lanes = groups.map((group) => ({
        name: group.map(({ head }) => head).join(' '),
        // No larger than a day’s turn, so that a day shows all there is to show; but every head is in it.
        pool: takeInTurn(seed, group, Math.max(group.length, pointsPerDay(places, options.every_secs))),
        places,
      }));
      return turnLanes(view, lanes, state, options, `${places} points of each of ${count} pools, in turn`);
    },
  };
}

export const staggeredStrategy: StrategyDefinition<StaggeredOptions, LaneState> = {
  name: 'staggered',
  summary: 'One or two introduction points of a head change at a time, each head on its own clock.',
  options: schema,
  create: staggered,
};
