/** The guide on elections, run as it stands: its plugin under the laws, by its own test file. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Plugin } from '../../../core/engine/index.ts';

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
