/**
 * hydra: as stable, and the cluster defends itself: a head under an introduction flood is cut out of the descriptor, another
 * one grows in its place, and the flood is left to a ghost.
 */
import { definePreset } from '../core/config/preset.ts';
import ghost from '../plugins/ghost/index.ts';
import hydra from '../plugins/hydra/index.ts';
import siege from '../plugins/siege/index.ts';
import stable from './stable.ts';

export default definePreset({
  name: 'hydra',
  summary: 'As stable, and a head under siege gives way to another one.',
  from: stable,
  plugins: [siege, hydra, ghost],
  // docs/decisions/introduction-limit.md
  defaults: { heads: { introduction_limit: true } },
});
