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

const [, snippet = ''] = /^```toml\n([^`]+)/m.exec(guide) ?? [];

test.each([
  ['hydra', ['siege', 'hydra', 'ghost', 'strategy/stable']],
  ['roulette', ['siege', 'hydra', 'ghost', 'roulette', 'election/time-hash']],
  ['distinct', ['strategy/distinct', 'merge/distinct']],
  ['staggered', ['strategy/staggered', 'merge/stacked']],
])('a cluster goes over to %s', async (preset, wanted) => {
  expect(snippet).toContain(`"${preset}"`);
  const value = { ...parse(made), ...parse(snippet), preset };
  const loaded = { file: '/etc/chimera/chimera.toml', directory: '/etc/chimera', value };
  const { plugins: names } = await resolveConfig(loaded, { presets, plugins });
  const all = orderPlugins(names).map(({ name }) => name);
  expect(all).toEqual(expect.arrayContaining(['identity', 'mesh', 'signer/vault', 'join', ...wanted]));
});
