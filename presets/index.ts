/** The presets that ship, by name. */
import type { Preset } from '../core/config/preset.ts';
import cluster from './cluster.ts';
import hydra from './hydra.ts';
import sharedIdentity from './shared-identity.ts';
import stable from './stable.ts';
import standalone from './standalone.ts';

export const presets: ReadonlyMap<string, Preset> = new Map(
  [stable, cluster, standalone, sharedIdentity, hydra].map((preset) => [preset.name, preset]),
);
