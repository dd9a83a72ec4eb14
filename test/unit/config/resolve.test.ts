import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import {
  definePreset,
  integer,
  presetDefaults,
  presetPlugins,
  resolveConfig,
  type Preset,
  type ResolvedConfig,
} from '../../../core/config/index.ts';
import { definePlugin, type AnyPlugin } from '../../../core/engine/index.ts';
import { addressOfKey, masterKeyFromSeed } from '../../../core/onion/index.ts';
import { plugins as shippedPlugins } from '../../../plugins/index.ts';
import { presets as shippedPresets } from '../../../presets/index.ts';
import { directoryWith } from './support.ts';

function plugin(name: string, section?: string): AnyPlugin {
  return definePlugin({
    name,
    summary: name,
    ...(section === undefined
      ? {}
      : {
          section,
          options: v.strictObject({ size: v.optional(integer(1, 9), 1), other: v.optional(integer(1, 9), 1) }),
        }),
    apply: () => undefined,
  }) as AnyPlugin;
}
const a = plugin('a', 'alpha');
const b = plugin('b', 'beta');
const c = plugin('c');
const base = definePreset({ name: 'base', summary: '', plugins: [a, b], defaults: { alpha: { size: 2, other: 3 } } });
const derived = definePreset({
  name: 'derived',
  summary: '',
  from: base,
  without: ['b'],
  plugins: [c],
  defaults: { alpha: { size: 4 } },
});
const extra = plugin('extra', 'extra');
const byName = <T extends { name: string }>(items: readonly T[]) => new Map(items.map((item) => [item.name, item]));
const shipped = {
  presets: byName<Preset>([base, derived, { ...base, name: 'stable' }]),
  plugins: byName([a, b, c, extra]),
};

const resolve = (value: unknown, preset?: string, directory = '/conf'): Promise<ResolvedConfig> =>
  resolveConfig({ file: `${directory}/chimera.toml`, directory, value }, shipped, preset);
const names = ({ plugins }: ResolvedConfig): string[] => plugins.map(({ name }) => name);
const failure = async (value: unknown, preset?: string, directory?: string) => {
  const error: unknown = await resolve(value, preset, directory).catch((caught: unknown) => caught);
  return error as Error & { code: string; remedy: string };
};

describe('presets', () => {
  test('start from one another: plugins replaced, left out and added, defaults overlaid', () => {
    expect(presetPlugins(derived).map(({ name }) => name)).toEqual(['a', 'c']);
    expect(presetDefaults(derived)).toEqual({ alpha: { size: 4, other: 3 } });
    const other = plugin('a');
    const replacing = definePreset({ name: 'x', summary: '', from: derived, plugins: [other] });
    expect(presetPlugins(replacing)).toEqual([c, other]);
  });

  test('the command line’s wins over the file’s; "stable" without either', async () => {
    expect((await resolve({ preset: 'derived' })).preset.name).toBe('derived');
    expect((await resolve({ preset: 'derived' }, 'base')).preset.name).toBe('base');
    expect((await resolve({})).preset.name).toBe('stable');
  });

  test('what is missing without a file is said of no file, with the ways to one', async () => {
    const nothing = { file: undefined, directory: '/empty', value: {} };
    const presets = byName<Preset>([...shippedPresets.values()]);
    await expect(resolveConfig(nothing, { presets, plugins: shippedPlugins })).rejects.toMatchObject({
      message: expect.stringMatching(
        /^no configuration file in \/empty nor in \/etc\/chimera: master.identity_key_path: missing/,
      ),
      remedy: expect.stringContaining('chimera init'),
    });
  });

  test('a typo is answered with the nearest name, and with where it is', async () => {
    expect(await failure({ preset: 'derivd' })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: '/conf/chimera.toml: preset = "derivd": there is no such preset',
      remedy: 'did you mean "derived"?',
    });
    expect((await failure({}, 'derivd')).message).toContain('--preset: ');
    expect((await failure({ preset: 'zzzzzzzzz' })).remedy).toBe('choose one of base, derived, stable');
    expect(await failure({ preset: 5 })).toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test.each([
    ['stable', {}],
    ['shared-identity', {}],
    ['standalone', { backends: { addresses: [addressOfKey(masterKeyFromSeed(new Uint8Array(32)).publicKey)] } }],
  ])('shipped preset %s needs no more than a key', async (preset, tables) => {
    const value = { preset, master: { identity_key_path: '/key' }, ...tables };
    const loaded = { file: '/conf/chimera.toml', directory: '/conf', value };
    const resolved = await resolveConfig(loaded, { presets: shippedPresets, plugins: shippedPlugins });
    expect(resolved.preset.name).toBe(preset);
    expect(names(resolved)).toContain('publish');
  });

  test.each([
    ['hydra', true],
    ['roulette', true],
    ['distinct', true],
    ['stable', false],
    ['staggered', false],
  ])(
    'shipped preset %s: the relays’ limit on introductions is %s, unless the operator says otherwise',
    async (preset, on) => {
      const limit = async (heads: object): Promise<unknown> => {
        const value = { preset, master: { identity_key_path: '/key' }, heads };
        const loaded = { file: '/conf/chimera.toml', directory: '/conf', value };
        const { options } = await resolveConfig(loaded, { presets: shippedPresets, plugins: shippedPlugins });
        return (options.get('heads/disposable') as { introduction_limit: unknown }).introduction_limit;
      };
      expect(await limit({ torrc: { HiddenServiceMaxStreams: '100' } })).toBe(on);
      expect(await limit({ introduction_limit: !on })).toBe(!on);
    },
  );
});

test('options: the user’s over the preset’s over the plugin’s', async () => {
  const { options, core } = await resolve({ preset: 'derived', alpha: { other: 9 }, log: { level: 'debug' } });
  expect(options.get('a')).toEqual({ size: 4, other: 9 });
  expect(core.log).toEqual({ level: 'debug', format: 'text' });
  expect((await resolve({ preset: 'base' })).options.get('b')).toEqual({ size: 1, other: 1 });
});

test('a table of a plugin that is not there is an unknown setting', async () => {
  expect((await failure({ preset: 'derived', beta: {} })).message).toContain('beta: unknown setting');
});

test.each([[[]], ['text'], [null], [3]])('a top level that is no table is refused: %j', async (value) => {
  expect(await failure(value)).toMatchObject({ code: 'CONFIG_INVALID' });
});

describe('plugins.remove', () => {
  test('leaves one out, with its table', async () => {
    expect(names(await resolve({ preset: 'base', plugins: { remove: ['a'] } }))).toEqual(['b']);
    expect((await failure({ preset: 'base', plugins: { remove: ['a'] }, alpha: {} })).message).toContain(
      'alpha: unknown',
    );
  });

  test('a typo is answered with the nearest name', async () => {
    const long = { ...base, plugins: [plugin('schedule'), plugin('publish')] };
    const error: unknown = await resolveConfig(
      { file: 'f', directory: '/', value: { plugins: { remove: ['schedul'] } } },
      { presets: byName<Preset>([{ ...long, name: 'stable' }]), plugins: new Map() },
    ).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'f: plugins.remove: preset stable has no plugin schedul',
      remedy: 'did you mean "schedule"?',
    });
  });
});

describe('plugins.add', () => {
  test('a shipped plugin by its name, with its table', async () => {
    const resolved = await resolve({ preset: 'base', plugins: { add: ['extra'] }, extra: { size: 5 } });
    expect(names(resolved)).toEqual(['a', 'b', 'extra']);
    expect(resolved.options.get('extra')).toEqual({ size: 5, other: 1 });
  });

  test('a module of the user’s, by its path from the configuration file; it replaces one of its name', async () => {
    const directory = await directoryWith({
      'mine.mjs': `export default { name: 'b', summary: 'mine', apply() {} };`,
    });
    const resolved = await resolve({ preset: 'base', plugins: { add: ['./mine.mjs'] } }, undefined, directory);
    expect(resolved.plugins.map(({ summary, name }) => [name, summary])).toEqual([
      ['a', 'a'],
      ['b', 'mine'],
    ]);
  });

  test.each([
    ['is missing', undefined, 'cannot be loaded'],
    ['throws', 'throw new Error("on purpose")', 'cannot be loaded: on purpose'],
    ['does not parse', 'export default {', 'cannot be loaded'],
    ['exports no plugin', 'export const plugin = {}', 'has no plugin as its default export'],
    ['exports something else', 'export default 5', 'has no plugin as its default export'],
  ])('a module that %s', async (_name, text, says) => {
    const directory = await directoryWith(text === undefined ? {} : { 'mine.mjs': text });
    const error = await failure({ plugins: { add: ['./mine.mjs'] } }, undefined, directory);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toContain(`${directory}/mine.mjs`);
    expect(error.message).toContain(says);
    expect(error.remedy).not.toBe('');
  });

  test('two plugins with one table, or a plugin with one of the core’s', async () => {
    const directory = await directoryWith({
      'mine.mjs': `export default { name: 'mine', summary: '', section: 'alpha', options: {}, apply() {} };`,
      'core.mjs': `export default { name: 'mine', summary: '', section: 'log', options: {}, apply() {} };`,
    });
    for (const [file, owner] of [
      ['./mine.mjs', 'a'],
      ['./core.mjs', 'the core'],
    ]) {
      const error = await failure({ preset: 'base', plugins: { add: [file] } }, undefined, directory);
      expect(error).toMatchObject({ code: 'ENGINE_CONTRACT' });
      expect(error.message).toContain(`belongs to ${owner} and to mine`);
    }
  });

  test('a value that is no list is refused like any other', async () => {
    expect((await failure({ plugins: { add: './mine.mjs' } })).message).toContain(
      'plugins.add = "./mine.mjs": must be a list',
    );
  });
});
