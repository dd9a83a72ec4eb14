/** From a loaded configuration and the known presets to what the engine takes: plugins and their checked options. */
import { resolve as resolvePath } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as v from 'valibot';
import type { AnyPlugin } from '../engine/index.ts';
import { ChimeraError } from '../errors.ts';
import { checkConfig, nearest } from './check.ts';
import { importComplaint, type LoadedConfig } from './load.ts';
import { presetDefaults, presetPlugins, switchPlugins, type Preset } from './preset.ts';
import { coreSections, type CoreConfig } from './schema.ts';

export interface ResolvedConfig {
  readonly preset: Preset;
  readonly plugins: readonly AnyPlugin[];
  /** Checked options by plugin name. */
  readonly options: ReadonlyMap<string, unknown>;
  readonly core: CoreConfig;
}

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The user's tables over the preset's defaults, one level deep. */
function overlay(defaults: Readonly<Record<string, Table>>, user: Table): Table {
  const merged: Table = { ...defaults };
  for (const [section, value] of Object.entries(user)) {
    const below = defaults[section];
    merged[section] = isTable(value) && below !== undefined ? { ...below, ...value } : value;
  }
  return merged;
}

/** What ships, by name. */
export interface Shipped {
  readonly presets: ReadonlyMap<string, Preset>;
  readonly plugins: ReadonlyMap<string, AnyPlugin>;
}

/** A shipped plugin by its name, or a module of the user's by its path. */
async function importPlugin(path: string, directory: string, shipped: Shipped): Promise<AnyPlugin> {
  const known = shipped.plugins.get(path);
  if (known !== undefined) return known;
  const file = resolvePath(directory, path);
  let module: { readonly default?: AnyPlugin };
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (error) {
    throw new ChimeraError('CONFIG_INVALID', `plugins.add: ${file} cannot be loaded: ${importComplaint(error)}`, {
      remedy: `name a shipped plugin (${[...shipped.plugins.keys()].join(', ')}), or a JavaScript module whose default export is a plugin; paths start at the configuration file`,
      cause: error,
    });
  }
  const plugin = module.default;
  if (typeof plugin?.name === 'string' && typeof plugin.apply === 'function') return plugin;
  throw new ChimeraError('CONFIG_INVALID', `plugins.add: ${file} has no plugin as its default export`, {
    remedy: 'export one: export default { name, summary, apply(host, options) { … } }',
  });
}

/** `presetName` from the command line wins over the file's; "stable" without either. */
export async function resolveConfig(
  loaded: LoadedConfig,
  shipped: Shipped,
  presetName?: string,
): Promise<ResolvedConfig> {
  const { presets } = shipped;
  const file = loaded.file ?? `no configuration file in ${loaded.directory} nor in /etc/chimera`;
  if (!isTable(loaded.value)) {
    throw new ChimeraError('CONFIG_INVALID', `${file}: the top level must be a table of settings`, {
      remedy: 'see docs/configuration.md for an example',
    });
  }
  const named = presetName ?? loaded.value.preset ?? 'stable';
  const preset = typeof named === 'string' ? presets.get(named) : undefined;
  if (preset === undefined) {
    const near = nearest(typeof named === 'string' ? named : '', [...presets.keys()]);
    throw new ChimeraError(
      'CONFIG_INVALID',
      `${presetName === undefined ? file : '--preset'}: preset = ${JSON.stringify(named)}: there is no such preset`,
      {
        remedy: near === undefined ? `choose one of ${[...presets.keys()].join(', ')}` : `did you mean "${near}"?`,
      },
    );
  }

  const switches = v.safeParse(v.looseObject({ plugins: coreSections.plugins }), loaded.value);
  const { add = [], remove = [] } = switches.success ? (switches.output.plugins ?? {}) : {};
  const { strategy } = loaded.value;
  const strategyFile = isTable(strategy) && typeof strategy.file === 'string' ? strategy.file : undefined;
  const ownStrategy = strategyFile === undefined ? undefined : shipped.plugins.get('strategy/file');
  let plugins = presetPlugins(preset);
  // Nobody has reckoned yet with what a strategy of the operator's shows.
  const check = ownStrategy === undefined ? undefined : shipped.plugins.get('exposure');
  if (check !== undefined && !plugins.some(({ name }) => name === check.name)) plugins.push(check);
  for (const name of remove) {
    const known = plugins.map((plugin) => plugin.name);
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new ChimeraError('CONFIG_INVALID', `${file}: plugins.remove: preset ${preset.name} has no plugin ${name}`, {
      remedy: near === undefined ? `it has: ${known.join(', ')}` : `did you mean "${near}"?`,
    });
  }
  if (ownStrategy !== undefined) {
    plugins = [...plugins.filter(({ name }) => !name.startsWith('strategy/')), ownStrategy];
  }
  const added = await Promise.all(add.map((path) => importPlugin(path, loaded.directory, shipped)));
  plugins = switchPlugins(plugins, { add: added, remove });

  const sections: Record<string, v.GenericSchema> = {};
  const owners = new Map<string, AnyPlugin>();
  for (const plugin of plugins) {
    if (plugin.section === undefined || plugin.options === undefined) continue;
    const other = owners.get(plugin.section);
    if (other !== undefined || plugin.section in coreSections) {
      throw new ChimeraError(
        'ENGINE_CONTRACT',
        `table [${plugin.section}] belongs to ${other?.name ?? 'the core'} and to ${plugin.name}`,
        {
          remedy: 'keep one of the two plugins',
        },
      );
    }
    owners.set(plugin.section, plugin);
    sections[plugin.section] = v.optional(plugin.options as unknown as v.GenericSchema<Table>, {}) as v.GenericSchema;
  }
  // A plugin that was left out takes the preset's defaults for its table with it.
  const defaults = Object.entries(presetDefaults(preset)).filter(([name]) => name in coreSections || name in sections);
  const known = ownStrategy === undefined ? defaults : defaults.filter(([name]) => name !== 'strategy');
  const value = overlay(Object.fromEntries(known), loaded.value);
  // As with plugins.add, the path starts at the file that names it.
  if (strategyFile !== undefined && isTable(value.strategy)) {
    value.strategy = { ...value.strategy, file: resolvePath(loaded.directory, strategyFile) };
  }
  const checked = checkConfig(
    v.strictObject({ ...coreSections, ...sections }),
    value,
    file,
    loaded.file === undefined
      ? 'write a chimera.toml (docs/configuration.md has an example), name one with --config, or let chimera init write one'
      : undefined,
  ) as CoreConfig & Table;
  const options = new Map<string, unknown>();
  for (const [section, plugin] of owners) options.set(plugin.name, checked[section]);
  return { preset, plugins, options, core: checked };
}
