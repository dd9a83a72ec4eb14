import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { registerImportOnionbalance } from '../../../core/cli/commands/import-onionbalance.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import { addressOfKey, masterKeyFromSeed } from '../../../core/onion/index.ts';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { runCli } from './support.ts';

const addresses = [1, 2].map((fill) => addressOfKey(masterKeyFromSeed(new Uint8Array(32).fill(fill)).publicKey));
/** As onionbalance-config writes it. */
const yaml = `services:
- instances:
  - address: ${addresses[0]}.onion
    name: node1
  - address: ${addresses[1]}.onion
    name: node2
  key: master.key
`;

async function run(text: string, ...options: string[]) {
  const store = createMemoryStore();
  await store.makeDirectory('/ob');
  await store.write('/ob/config.yaml', text);
  const result = await runCli(['import-onionbalance', '/ob/config.yaml', ...options], {
    runtime: { ...systemRuntime(), store },
    commands: [registerImportOnionbalance],
  });
  return { store, result };
}

test('writes a configuration that Chimera takes', async () => {
  const { store, result } = await run(yaml, '--out', '/etc/chimera');
  expect(result.exitCode).toBe(0);
  const text = Buffer.from((await store.read('/etc/chimera/chimera.toml')) ?? []).toString('utf8');
  const loaded = { file: '/etc/chimera/chimera.toml', directory: '/etc/chimera', value: parse(text) };
  const resolved = await resolveConfig(loaded, { presets, plugins });
  expect(resolved.preset.name).toBe('standalone');
  expect(resolved.options.get('signer/file')).toEqual({ identity_key_path: '/ob/master.key' });
  expect(resolved.options.get('backends')).toMatchObject({ addresses });
});

test('one file for each service', async () => {
  const two = `${yaml}- instances:\n  - address: ${addresses[0]}.onion\n  key: other.key\n`;
  const { store } = await run(two, '--out', '/out');
  expect(await store.list('/out')).toEqual(['master.toml', 'other.toml']);
});

test.each([
  ['no services', 'services: []\n', /services = \[\]: must have at least one service/],
  ['a v2 service without key', 'services:\n- instances:\n  - address: x\n', /services\.0\.key: missing/],
  ['not YAML', 'services: [', /config\.yaml/],
  ['an address that is none', yaml.replace(addresses[0] ?? '', 'abc'), /abc/],
])('refuses %s, by name', async (_what, text, message) => {
  const { result } = await run(text);
  expect(result.exitCode).toBe(2);
  expect(result.err).toMatch(message);
});
