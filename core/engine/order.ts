/** Checks at boot that a list of plugins fits together, and sorts it so that givers come before those who need them. */
import { ChimeraError } from '../errors.ts';
import type { AnyPlugin } from './plugin.ts';

/** Returns the plugins sorted; stable where nothing forces an order. Throws ENGINE_CONTRACT or ENGINE_PLUGIN. */
export function orderPlugins(plugins: readonly AnyPlugin[]): AnyPlugin[] {
  const names = new Set<string>();
  const givers = new Map<string, AnyPlugin[]>();
  for (const plugin of plugins) {
    if (typeof plugin?.name !== 'string' || typeof plugin.apply !== 'function') {
      throw new ChimeraError('ENGINE_PLUGIN', `${JSON.stringify(plugin)?.slice(0, 80)} is not a plugin`, {
        remedy: 'a plugin is an object { name, summary, needs?, gives?, apply(host, options) }; export it as default',
      });
    }
    if (names.has(plugin.name)) {
      throw new ChimeraError('ENGINE_PLUGIN', `plugin ${plugin.name} is listed twice`, { remedy: 'list it once' });
    }
    names.add(plugin.name);
    for (const { name, several } of plugin.gives ?? []) {
      const others = givers.get(name) ?? [];
      const [other] = others;
      if (other !== undefined && several !== true) {
        throw new ChimeraError('ENGINE_CONTRACT', `${other.name} and ${plugin.name} both give ${name}`, {
          remedy: 'keep one of the two: a contract has one giver',
        });
      }
      givers.set(name, [...others, plugin]);
    }
  }
  for (const plugin of plugins) {
    for (const { name } of plugin.needs ?? []) {
      if (!givers.has(name)) {
        throw new ChimeraError('ENGINE_CONTRACT', `${plugin.name} needs ${name}, which no plugin gives`, {
          remedy: `add a plugin that gives ${name} to the preset or to plugins.add`,
        });
      }
    }
  }

  const sorted: AnyPlugin[] = [];
  const state = new Map<AnyPlugin, 'open' | 'done'>();
  const giversOf = (name: string): readonly AnyPlugin[] => givers.get(name) ?? [];
  /** Whether `plugin`, or anything that it needs in turn, is being visited now. */
  const waitsForOpen = (plugin: AnyPlugin, seen = new Set<AnyPlugin>()): boolean => {
    if (state.get(plugin) !== undefined) return state.get(plugin) === 'open';
    if (seen.has(plugin)) return false;
    seen.add(plugin);
    return (plugin.needs ?? []).some(({ name }) => giversOf(name).some((giver) => waitsForOpen(giver, seen)));
  };
  const visit = (plugin: AnyPlugin, path: readonly string[]): void => {
    if (state.get(plugin) === 'done') return;
    if (state.get(plugin) === 'open') {
      throw new ChimeraError(
        'ENGINE_CONTRACT',
        `plugins need each other in a circle: ${[...path, plugin.name].join(' → ')}`,
        {
          remedy: 'break the circle: turn one need into a hook or a want',
        },
      );
    }
    state.set(plugin, 'open');
    for (const { name } of plugin.needs ?? []) for (const giver of giversOf(name)) visit(giver, [...path, plugin.name]);
    for (const giver of (plugin.wants ?? []).flatMap(({ name }) => giversOf(name))) {
      // A want does not close a circle: it only prefers an order.
      if (!waitsForOpen(giver)) visit(giver, [...path, plugin.name]);
    }
    state.set(plugin, 'done');
    sorted.push(plugin);
  };
  for (const plugin of plugins) visit(plugin, []);
  return sorted;
}
