/**
 * distinct: another subset for each HSDir that clients ask, up to 6 × 20 introduction points at once. Nothing rotates: which
 * subset a client meets is chance, and the subset that an attacker knows says where it got it.
 */
import * as v from 'valibot';
import type { RotationStrategy, StrategyDefinition } from '../core/pipeline/index.ts';
import { drawnOrder, takeInTurn, whole } from './plan.ts';

const schema = v.strictObject({
  /** How many descriptors: the HSDirs that clients ask are 6 (hsdir_n_replicas × hsdir_spread_fetch). */
  sets: v.optional(whole(1, 16), 6),
  /** A descriptor has at least so many points, if need be some that others have as well. */
  least_points: v.optional(whole(1, 20), 6),
});
export type DistinctOptions = v.InferOutput<typeof schema>;

export function distinct({ sets, least_points }: DistinctOptions): RotationStrategy<null> {
  return {
    name: 'distinct',
    initial: () => null,
    decide: ({ heads, seed, maximumIntroPoints }, state) => {
      const inOrder = drawnOrder(seed, 'heads', heads, ({ head }) => head);
      // Neighbours are of different heads: so are the points of a descriptor.
      const points = takeInTurn(seed, inOrder, sets * maximumIntroPoints).map(({ id }) => id);
      const least = Math.min(points.length, maximumIntroPoints, least_points);
      const size = Math.max(least, Math.ceil(points.length / sets));
      const circle = [...points, ...points];
      // All of one size, beginning at equal distances: the sizes of the descriptors tell none from another.
      const groups = Array.from({ length: sets }, (_none, set) => {
        const from = Math.floor((set * points.length) / sets);
        return circle.slice(from, from + size);
      });
      return {
        rotation: { live: points, groups, why: `${points.length} introduction points in ${sets} descriptors` },
        state,
      };
    },
  };
}

export const distinctStrategy: StrategyDefinition<DistinctOptions, null> = {
  name: 'distinct',
  summary: 'Another subset of the introduction points for each responsible HSDir.',
  options: schema,
  create: distinct,
};
