import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importComplaint, loadConfig } from '../../../core/config/index.ts';
import { directoryWith } from './support.ts';

const value = { preset: 'stable', heads: { virtual_port: 80, controls: ['127.0.0.1:9051'] } };
const texts = {
  'chimera.toml': 'preset = "stable"\n[heads]\nvirtual_port = 80\ncontrols = ["127.0.0.1:9051"]\n',
  'chimera.yaml': 'preset: stable\nheads:\n  virtual_port: 80\n  controls: ["127.0.0.1:9051"]\n',
  'chimera.yml': 'preset: stable\nheads: { virtual_port: 80, controls: ["127.0.0.1:9051"] }\n',
  'chimera.json': JSON.stringify(value),
  'chimera.mjs': `export default ${JSON.stringify(value)};`,
};

describe.each(Object.entries(texts))('%s', (name, text) => {
  test('is read by its path, which may be relative to the directory', async () => {
    const directory = await directoryWith({ [name]: text });
    const expected = { file: join(directory, name), directory, value };
    expect(await loadConfig(name, directory)).toEqual(expected);
    expect(await loadConfig(join(directory, name), '/')).toEqual(expected);
  });

  test('is found in the directory', async () => {
    const directory = await directoryWith({ [name]: text });
    expect(await loadConfig(undefined, directory)).toEqual({ file: join(directory, name), directory, value });
  });
});

test('a .js file beside a package.json of type module is read', async () => {
  const directory = await directoryWith({ 'package.json': '{"type":"module"}', 'chimera.js': texts['chimera.mjs'] });
  expect((await loadConfig('chimera.js', directory)).value).toEqual(value);
});

test('TOML comes before the others', async () => {
  const directory = await directoryWith({ ...texts, 'chimera.toml': 'preset = "standalone"' });
  expect((await loadConfig(undefined, directory)).value).toEqual({ preset: 'standalone' });
});

test('without a file the defaults are used; a file in a directory above is not taken', async () => {
  const above = await directoryWith({ 'chimera.toml': 'preset = "stable"' });
  const directory = join(above, 'inner');
  await mkdir(directory);
  expect(await loadConfig(undefined, directory)).toEqual({ file: undefined, directory, value: {} });
});

test.each(['chimera.toml', 'chimera.yaml', 'chimera.json'])(
  'an empty %s is an empty table, or says what is wrong',
  async (name) => {
    const directory = await directoryWith({ [name]: '' });
    expect((await loadConfig(name, directory)).value).toEqual({});
  },
);

const unreadable = async (files: Record<string, string>, name: string) => {
  const directory = await directoryWith(files);
  const error: unknown = await loadConfig(name, directory).catch((caught: unknown) => caught);
  return { error: error as Error & { remedy: string }, file: join(directory, name) };
};

test('a missing file is named', async () => {
  const { error, file } = await unreadable({}, 'none.toml');
  expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE', message: `${file}: no such file` });
  expect(error.remedy).toContain('--config');
});

test.each([
  ['a.toml', '[tor]\npassword = "hunter2\n', 'line 2, column 20'],
  ['b.toml', '[tor]\npassword = hunter2\n', 'line 2, column 12'],
  ['a.yaml', 'tor:\n  password: hunter2\n bad: [', 'line 3, column 2'],
  ['b.yaml', 'password: *hunter2', 'line 1'],
  ['c.yaml', 'password: !!hunter2 x', 'line 1'],
  ['a.json', '{\n"password": "hunter2" "x"}', 'line 2, column 23'],
  ['b.json', '{"password": hunter2}', 'invalid JSON'],
  ['c.json', '{"password": "hunter2', 'invalid JSON'],
  ['d.json', '{"password": "hunter2",\n "x": tru', 'invalid JSON'],
])(
  '%s with a mistake in its syntax: the file and the place are named, what is in it is not',
  async (name, text, place) => {
    const { error, file } = await unreadable({ [name]: text }, name);
    expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE' });
    expect(error.message.startsWith(`${file}: `)).toBe(true);
    expect(error.message).toContain(place);
    expect(error.message).not.toContain('hunter2');
    expect(error.message).not.toContain('\n');
  },
);

test('a syntax error in a file that was found names that file', async () => {
  const directory = await directoryWith({ 'chimera.toml': 'x = [' });
  const file = join(directory, 'chimera.toml');
  await expect(loadConfig(undefined, directory)).rejects.toMatchObject({
    code: 'CONFIG_UNREADABLE',
    message: expect.stringContaining(file) as string,
  });
});

test('what is there and cannot be read is no fault of syntax', async () => {
  const directory = await directoryWith({});
  await mkdir(join(directory, 'chimera.toml'));
  const error: unknown = await loadConfig('chimera.toml', directory).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining('EISDIR') as string });
  expect((error as Error & { remedy: string }).remedy).toContain('may read');
});

test('a module that throws, and one without a default export', async () => {
  const thrown = await unreadable({ 'a.mjs': 'throw new Error("on purpose")' }, 'a.mjs');
  expect(thrown.error).toMatchObject({ code: 'CONFIG_UNREADABLE', message: `${thrown.file}: on purpose` });
  const broken = await unreadable({ 'c.mjs': 'export default {' }, 'c.mjs');
  expect(broken.error.message).not.toContain('require');
  expect(broken.error.remedy).toContain(`node --check ${broken.file}`);
  const bare = await unreadable({ 'b.mjs': 'export const preset = "stable"' }, 'b.mjs');
  expect(bare.error).toMatchObject({
    code: 'CONFIG_UNREADABLE',
    message: `${bare.file}: the module has no default export`,
  });
});

test.skipIf((process.features as { typescript?: unknown }).typescript)(
  'TypeScript on a node that cannot strip types: the message says so, and what to do',
  async () => {
    const { error } = await unreadable({ 'chimera.ts': 'export default {}' }, 'chimera.ts');
    expect(error).toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringContaining(`this node (${process.version}) cannot read TypeScript`) as string,
    });
    expect(error.remedy).toContain('.mjs');
  },
);

test('what cannot be imported: TypeScript is named as such, and nobody is told who imported it', () => {
  const unknown = Object.assign(new Error('Unknown file extension ".ts" for /a.ts'), {
    code: 'ERR_UNKNOWN_FILE_EXTENSION',
  });
  expect(importComplaint(unknown)).toContain(`this node (${process.version}) cannot read TypeScript`);
  expect(importComplaint(new Error('Cannot find module /a imported from /b'))).toBe('Cannot find module /a');
});

test('an ending that no syntax has', async () => {
  const { error } = await unreadable({ 'torrc.ini': 'x=1' }, 'torrc.ini');
  expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE' });
  expect(error.remedy).toContain('.toml');
});
