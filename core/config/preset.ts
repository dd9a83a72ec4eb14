/** A preset: a few lines of composition. One preset may start from another and override the differences. */
import type { AnyPlugin } from '../engine/index.ts';

export interface Preset {
  readonly name: string;
  /** One sentence: for whom, and what it does. */
  readonly summary: string;
  readonly from?: Preset;
  readonly plugins: readonly AnyPlugin[];
  /** Names of plugins of `from` to leave out. */
  readonly without?: readonly string[];
  /** Defaults for the configuration's tables, weaker than the user's file. */
  readonly defaults?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export function definePreset(preset: Preset): Preset {
  return preset;
}

/** The plugins of a preset with those of its ancestors; a plugin of the same name replaces the ancestor's. */
export function presetPlugins(preset: Preset): AnyPlugin[] {
  const without = new Set([...(preset.without ?? []), ...preset.plugins.map(({ name }) => name)]);
  const inherited = preset.from === undefined ? [] : presetPlugins(preset.from);
  return [...inherited.filter(({ name }) => !without.has(name)), ...preset.plugins];
}

/** Plugins with `plugins.add` and `plugins.remove` done: what is added takes the place of what has its name, and comes last. */
export function switchPlugins<Named extends { readonly name: string }>(
  own: readonly Named[],
  { add, remove }: { readonly add: readonly Named[]; readonly remove: readonly string[] },
): Named[] {
  const replaced = new Set([...remove, ...add.map(({ name }) => name)]);
  return [...own.filter(({ name }) => !replaced.has(name)), ...add];
}

/** The defaults of a preset over those of its ancestors. */
export function presetDefaults(preset: Preset): Record<string, Record<string, unknown>> {
  const merged: Record<string, Record<string, unknown>> = preset.from === undefined ? {} : presetDefaults(preset.from);
  for (const [section, values] of Object.entries(preset.defaults ?? {}))
    merged[section] = { ...merged[section], ...values };
  return merged;
}
