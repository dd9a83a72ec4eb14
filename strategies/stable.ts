/** stable: everything that is healthy is live. The descriptor changes only when the heads do. */
import * as v from 'valibot';
import type { RotationStrategy, StrategyDefinition } from '../core/pipeline/index.ts';

export const stable: RotationStrategy<null> = {
  name: 'stable',
  initial: () => null,
  decide: (view, state) => ({
    rotation: {
      live: view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id)),
      why: 'all heads are live',
    },
    state,
  }),
};

export const stableStrategy: StrategyDefinition<object, null> = {
  name: 'stable',
  summary: 'Everything that is healthy is live.',
  options: v.strictObject({}),
  create: () => stable,
};
