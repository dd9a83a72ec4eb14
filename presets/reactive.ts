/** reactive: as stable, but besieged heads are left out while others are calm. Who says that a head is besieged is the siege plugin's. */
import { definePreset } from '../core/config/preset.ts';
import exposure from '../plugins/exposure/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import { reactiveStrategy } from '../strategies/reactive.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'reactive',
  summary: 'As stable, but a besieged head is left out until it has been calm for a while; never below a floor.',
  from: stable,
  without: ['strategy/stable'],
  plugins: [strategyPlugin(reactiveStrategy), exposure],
});
