/** staggered: each head shows two of its introduction points and changes one or two of them about once an hour. */
import { definePreset } from '../core/config/preset.ts';
import exposure from '../plugins/exposure/index.ts';
import mergeStacked from '../plugins/merge/stacked/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import { staggeredStrategy } from '../strategies/staggered.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'staggered',
  summary:
    'Each head shows a few points of its pool and changes one or two of them about once an hour, at its own time.',
  from: stable,
  without: ['strategy/stable', 'merge/fair-share'],
  plugins: [strategyPlugin(staggeredStrategy), mergeStacked, exposure],
  // Two live of four: within a day each has its turn.
  defaults: { heads: { num_introduction_points: 4 }, exposure: { points_per_head: 4 } },
});
