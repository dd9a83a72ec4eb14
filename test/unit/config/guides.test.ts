/** The configuration snippets of the guides over the configuration that `chimera init` writes: what a node starts with. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { configText, placeOf } from '../../../core/cli/setup.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import { orderPlugins, type NodeIdentity } from '../../../core/engine/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';

/** The TOML blocks of a guide, in order. */
const snippetsOf = (guide: string): Promise<string[]> => snippetsIn(`docs/guides/${guide}.md`);
async function snippetsIn(path: string): Promise<string[]> {
  const text = await readFile(resolve(import.meta.dirname, '../../..', path), 'utf8');
  return [...text.matchAll(/^```toml\n([^`]+)/gm)].map(([, snippet = '']) => snippet.replaceAll('….onion', address));
}
const address = 'q7yb4tpajt3nueyz5njldpz4qabz3goppud5aa5rfznercrody5so5qd.onion';
const vault = { lines: ['[vault]', `onion_address = "${address}"`] };
const made = configText('chimera init', placeOf('/etc/chimera'), { node: 'abcd' } as NodeIdentity, vault, {
  tor: { host: '127.0.0.1', port: 9051 },
  target: '127.0.0.1:8080',
  virtualPort: 80,
  wireguard: false,
});

/** The plugins of a node whose configuration has `changes` (undefined: without that table); rejects or throws when it would not start with them. */
async function pluginsWith(changes: Readonly<Record<string, unknown>>): Promise<string[]> {
  const all = Object.entries({ ...parse(made), ...changes });
  return pluginsOf(Object.fromEntries(all.filter(([, table]) => table !== undefined)));
}
/** The same of a whole configuration. */
async function pluginsOf(value: Readonly<Record<string, unknown>>): Promise<string[]> {
  const loaded = { file: '/etc/chimera/chimera.toml', directory: '/etc/chimera', value };
  const resolved = await resolveConfig(loaded, { presets, plugins });
  return orderPlugins(resolved.plugins).map(({ name }) => name);
}

test.each([
  ['hydra', ['siege', 'hydra', 'ghost', 'strategy/stable', 'election/uptime']],
  ['roulette', ['siege', 'hydra', 'ghost', 'roulette', 'election/time-hash']],
  ['distinct', ['strategy/distinct', 'merge/distinct', 'election/uptime']],
  ['staggered', ['strategy/staggered', 'merge/stacked', 'election/uptime']],
])('under attack: a cluster goes over to %s', async (preset, wanted) => {
  const [snippet = ''] = await snippetsOf('under-attack');
  expect(snippet).toContain(`"${preset}"`);
  const all = await pluginsWith({ ...parse(snippet), preset });
  expect(all).toEqual(expect.arrayContaining(['identity', 'mesh', 'signer/vault', 'join', ...wanted]));
});

test('transports: each snippet is a change to the preset `cluster`', async () => {
  const found = await Promise.all(
    (await snippetsOf('transports')).map(async (snippet) => {
      const changes = parse(snippet);
      const withoutUdp = snippet.includes('remove = ["transport/udp"] # and its table [udp]');
      const all = await pluginsWith(withoutUdp ? { ...changes, udp: undefined } : changes);
      return all.filter((name) => name.startsWith('transport/'));
    }),
  );
  expect(found).toEqual([
    ['transport/udp'],
    ['transport/wireguard'],
    ['transport/udp', 'transport/wireguard'],
    ['transport/redis'],
    ['transport/udp', 'transport/redis'],
  ]);
});

test('the vault, in place of the key file, in any preset', async () => {
  const snippets = await snippetsOf('vault');
  expect(snippets).toHaveLength(2);
  for (const snippet of snippets) {
    const all = await pluginsWith({ ...parse(snippet), preset: 'stable', udp: undefined });
    expect(all).toContain('signer/vault');
  }
});

test.each([
  ['README.md', [['backends']]],
  ['docs/configuration.md', [['heads/disposable'], ['backends']]],
])('%s: each example is a whole configuration', async (path, wanted) => {
  const all = await Promise.all((await snippetsIn(path)).map((snippet) => pluginsOf(parse(snippet))));
  expect(all).toEqual(wanted.map((names) => expect.arrayContaining(names) as string[]));
});

test('repair: its example is a change to what chimera init writes', async () => {
  const [example = ''] = await snippetsIn('plugins/repair/README.md');
  expect(await pluginsWith(parse(example))).toContain('repair');
});

test('what chimera init writes works as it is, and with each line that is only a comment at work', async () => {
  expect(await pluginsOf(parse(made))).toContain('repair');
  const lines = made.replaceAll(/^# (?=\[|\w+ = )/gm, '').replaceAll(/^# .*: (?=advertise = )/gm, '');
  expect(parse(lines)).toMatchObject({
    repair: { tors: [{ unit: 'tor@default.service' }] },
    udp: { advertise: '192.0.2.1:7411' },
  });
  expect(await pluginsOf(parse(lines))).toContain('repair');
});
