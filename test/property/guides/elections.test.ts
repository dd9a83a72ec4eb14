/** The guide on elections, run as it stands: its plugin under the laws, by its own test file. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'smol-toml';
import { resolveConfig } from '../../../core/config/index.ts';
import type { Plugin } from '../../../core/engine/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';

const root = resolve(import.meta.dirname, '../../..');
/** What a user's own project finds by its name. */
const packages: Readonly<Record<string, string>> = {
  'chimera-mtd/plugins/election': join(root, 'plugins/election/index.ts'),
  'chimera-mtd/testing': join(root, 'test/kit/index.ts'),
  valibot: import.meta.resolve('valibot'),
};

const place = await mkdtemp(join(tmpdir(), 'chimera-guide-'));
afterAll(() => rm(place, { recursive: true }));
const guide = await readFile(join(root, 'docs/guides/elections.md'), 'utf8');
const snippets = [...guide.matchAll(/^```ts (\S+)\n([\s\S]*?)^```$/gm)].map(([, path = '', text = '']) => ({
  path: join(place, path),
  text: text.replaceAll(/from '([^.'][^']*)'/g, (_whole, name: string) => `from '${packages[name] ?? name}'`),
}));
for (const { path, text } of snippets) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
await import(join(place, 'elections/nearest.test.ts'));

test('the plugin of the guide is one', async () => {
  const { default: plugin } = (await import(join(place, 'elections/nearest.ts'))) as { default: Plugin };
  expect(plugin).toMatchObject({ name: 'election/nearest', section: 'election' });
});

test.each(['stable', 'cluster'])('its configuration puts it in the place of the one of preset %s', async (preset) => {
  const [, snippet = ''] = /^```toml\n([\s\S]*?)^```$/m.exec(guide) ?? [];
  const needed = {
    node: { state_directory: place },
    ...(preset === 'cluster' ? { vault: { sealed_key_path: 'key' } } : { master: { identity_key_path: 'key' } }),
    heads: { target: '127.0.0.1:8080' },
  };
  const loaded = { file: join(place, 'chimera.toml'), directory: place, value: { ...needed, ...parse(snippet) } };
  const resolved = await resolveConfig(loaded, { presets, plugins }, preset);
  const elections = resolved.plugins.map(({ name }) => name).filter((name) => name.startsWith('election/'));
  expect(elections).toEqual(['election/nearest']);
  expect(resolved.options.get('election/nearest')).toMatchObject({ distance_ms: 40 });
});
