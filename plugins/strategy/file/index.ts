/** strategy/file: a strategy of the operator's own, from a module that `[strategy] file` names. */
import * as v from 'valibot';
import { nonEmpty } from '../../../core/config/schema.ts';
import { definePlugin } from '../../../core/engine/index.ts';
import type { RotationStrategy } from '../../../core/pipeline/index.ts';
import { loadStrategy, rotateBy, rotatorNeeds } from '../index.ts';

/** The rest of the table is the strategy's own. */
const options = v.looseObject({ file: nonEmpty });

export const strategyFile = definePlugin<v.InferOutput<typeof options>>({
  name: 'strategy/file',
  summary: 'Decides which introduction points are live by a strategy of your own.',
  ...rotatorNeeds,
  section: 'strategy',
  options,
  apply(host, { file, ...rest }) {
    let loaded: RotationStrategy | undefined;
    rotateBy(host, 'strategy/file', () => {
      if (loaded === undefined) throw new Error('the strategy is asked before the start');
      return loaded;
    });
    host.hooks.start.tapPromise('strategy/file', async () => {
      loaded = await loadStrategy(file, rest);
    });
  },
});
export default strategyFile;
