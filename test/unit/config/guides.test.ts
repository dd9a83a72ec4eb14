/** The snippets of docs/guides/under-attack.md over the configuration that `chimera init` writes: what a node starts with. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { configText, placeOf } from '../../../core/cli/setup.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import { orderPlugins, type NodeIdentity } from '../../../core/engine/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';

const guide = await readFile(resolve(import.meta.dirname, '../../../docs/guides/under-attack.md'), 'utf8');
const vault = ['[vault]', 'onion_address = "q7yb4tpajt3nueyz5njldpz4qabz3goppud5aa5rfznercrody5so5qd.onion"'];
const made = configText('chimera init', placeOf('/etc/chimera'), { node: 'abcd' } as NodeIdentity, vault, {
  tor: { host: '127.0.0.1', port: 9051 },
  target: '127.0.0.1:8080',
  virtualPort: 80,
});

/** The names of the plugins that a node of a cluster has with the snippet `name`. */
async function pluginsWith(name: string): Promise<string[]> {
  const [, snippet = ''] = new RegExp(`^\`\`\`toml ${name}\n([^\`]+)`, 'm').exec(guide) ?? [];
  const value = { ...parse(made), ...parse(snippet) };
  const loaded = { file: '/etc/chimera/chimera.toml', directory: '/etc/chimera', value };
  const resolved = await resolveConfig(loaded, { presets, plugins });
  return orderPlugins(resolved.plugins).map((plugin) => plugin.name);
}

test.each([
  ['hydra', ['mesh', 'signer/vault', 'join', 'siege', 'hydra', 'ghost', 'strategy/stable']],
  ['roulette', ['mesh', 'signer/vault', 'join', 'siege', 'hydra', 'ghost', 'roulette', 'election/time-hash']],
])('a cluster goes over to %s', async (name, wanted) => {
  expect(await pluginsWith(name)).toEqual(expect.arrayContaining(wanted));
});
