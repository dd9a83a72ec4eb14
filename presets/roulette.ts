/**
 * roulette: as hydra, and ready for panic mode (`chimera panic on`): another set of heads and another publisher every ten
 * minutes while it lasts. Nothing rotates before the operator says so.
 */
import { definePreset } from '../core/config/preset.ts';
import electionTimeHash from '../plugins/election/time-hash/index.ts';
import { roulettePlugin } from '../plugins/roulette/index.ts';
import { rouletteStrategy } from '../strategies/roulette.ts';
import hydra from './hydra.ts';

export default definePreset({
  name: 'roulette',
  summary: 'As hydra, with panic mode: while it is on, other heads and another publisher every ten minutes.',
  from: hydra,
  without: ['election/uptime'],
  plugins: [electionTimeHash, roulettePlugin(rouletteStrategy)],
  defaults: {
    election: { rotate: 'panic' },
    // Longer than a head is out: nobody who holds the descriptor of an earlier turn is refused.
    ghost: { grace_secs: 3_600 },
  },
});
