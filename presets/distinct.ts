/** distinct: another subset of the introduction points for each responsible HSDir, up to 120 in use at once. */
import { definePreset } from '../core/config/preset.ts';
import exposure from '../plugins/exposure/index.ts';
import mergeDistinct from '../plugins/merge/distinct/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import { distinctStrategy } from '../strategies/distinct.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'distinct',
  summary: 'Another subset of the introduction points for each responsible HSDir: up to 120 in use at once.',
  from: stable,
  without: ['strategy/stable', 'merge/fair-share'],
  plugins: [strategyPlugin(distinctStrategy), mergeDistinct, exposure],
  // docs/decisions/introduction-limit.md
  defaults: { heads: { introduction_limit: true } },
});
