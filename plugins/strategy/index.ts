/**
 * strategy: lets a pure rotation strategy answer the `rotate` hook, keeps its state between cycles, and wakes the pipeline
 * when the strategy asks for it.
 */
import { definePlugin, type AnyPlugin } from '../../core/engine/index.ts';
import { rotateStages, type RotationStrategy } from '../../core/pipeline/index.ts';
import type { Timer } from '../../core/runtime/index.ts';

/** Makes a plugin of a strategy. */
export function strategyPlugin<State>(strategy: RotationStrategy<State>): AnyPlugin {
  return definePlugin({
    name: `strategy/${strategy.name}`,
    summary: `Decides which introduction points are live: ${strategy.name}.`,
    apply(host) {
      const { clock, random } = host.runtime;
      let state = strategy.initial();
      let timer: Timer | undefined;
      host.defer(() => timer?.cancel());
      host.hooks.rotate.tap({ name: `strategy/${strategy.name}`, stage: rotateStages.strategy }, (view) => {
        const decision = strategy.decide(view, state, random);
        state = decision.state;
        timer?.cancel();
        if (decision.nextMs !== undefined) {
          timer = clock.after(decision.nextMs, () => host.signal('tick', { why: `strategy ${strategy.name}` }));
        }
        return decision.rotation;
      });
    },
  });
}
