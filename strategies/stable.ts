/** stable: everything that is healthy is live. The descriptor changes only when the heads do. */
import type { RotationStrategy } from '../core/pipeline/index.ts';

export const stable: RotationStrategy<null> = {
  name: 'stable',
  initial: () => null,
  decide: (view, state) => ({
    rotation: {
      live: view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id)),
      why: `all ${view.heads.length} heads are live`,
    },
    state,
  }),
};
