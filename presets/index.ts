/** The presets that ship, by name. */
import type { Preset } from '../core/config/preset.ts';
import single from './single.ts';
import standalone from './standalone.ts';

export const presets: ReadonlyMap<string, Preset> = new Map(
  [single, standalone].map((preset) => [preset.name, preset]),
);
