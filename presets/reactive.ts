/**
 * reactive: as stable, but besieged heads are left out while others are calm. `siege` says who is besieged, and `ghost` drains
 * what left the descriptor. No relays' limit on introductions: with all other heads live it costs more than it saves.
 */
import { definePreset } from '../core/config/preset.ts';
import exposure from '../plugins/exposure/index.ts';
import ghost from '../plugins/ghost/index.ts';
import siege from '../plugins/siege/index.ts';
import { strategyPlugin } from '../plugins/strategy/index.ts';
import { reactiveStrategy } from '../strategies/reactive.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'reactive',
  summary: 'As stable, but a besieged head is left out until it has been calm for a while; never below a floor.',
  from: stable,
  without: ['strategy/stable'],
  plugins: [siege, strategyPlugin(reactiveStrategy), ghost, exposure],
});
