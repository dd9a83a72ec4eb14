/** The presets that ship, by name. */
import type { Preset } from '../core/config/preset.ts';
import cluster from './cluster.ts';
import hydra from './hydra.ts';
import distinct from './distinct.ts';
import reactive from './reactive.ts';
import roulette from './roulette.ts';
import sharedIdentity from './shared-identity.ts';
import stable from './stable.ts';
import stacked from './stacked.ts';
import staggered from './staggered.ts';
import standalone from './standalone.ts';

export const presets: ReadonlyMap<string, Preset> = new Map(
  [stable, cluster, standalone, sharedIdentity, reactive, hydra, roulette, staggered, stacked, distinct].map(
    (preset) => [preset.name, preset],
  ),
);
