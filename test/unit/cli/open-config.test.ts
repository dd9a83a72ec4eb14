import { expect, test } from 'vitest';
import { warnOfOpenConfig } from '../../../core/cli/node.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { recordingLog, type LogLine } from '../plugins/support.ts';

test.each([
  ['a password, for everybody', 'hunter2', 0o644, 1],
  ['a password, for its owner', 'hunter2', 0o600, 0],
  ['no password, for everybody', undefined, 0o644, 0],
])('%s', async (_name, password, mode, times) => {
  const store = createMemoryStore();
  await store.write('/chimera.toml', '', mode);
  const tor = { control: '127.0.0.1:9051', ...(password === undefined ? {} : { password }) };
  const value = { tor, master: { identity_key_path: '/key' }, heads: { target: '127.0.0.1:80' } };
  const loaded = { file: '/chimera.toml', directory: '/', value };
  const resolved = await resolveConfig(loaded, { presets, plugins }, 'stable');
  const lines: LogLine[] = [];
  await warnOfOpenConfig({ store, log: recordingLog(lines) }, loaded, resolved);
  expect(lines).toHaveLength(times);
  expect(JSON.stringify(lines)).not.toContain('hunter2');
});
