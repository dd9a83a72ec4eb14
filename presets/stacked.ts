/** stacked: more heads than a descriptor has places. Sub-masters share the places; the heads of each take turns. */
import { definePreset } from '../core/config/preset.ts';
import exposure from '../plugins/exposure/index.ts';
import mergeStacked from '../plugins/merge/stacked/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import { stackedStrategy } from '../strategies/stacked.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'stacked',
  summary: 'For more than 20 heads: groups of heads share the introduction points, the heads of a group in turn.',
  from: stable,
  without: ['strategy/stable', 'merge/fair-share'],
  plugins: [strategyPlugin(stackedStrategy), mergeStacked, exposure],
  defaults: { exposure: { heads: 24 } },
});
