import { chmod, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { removeUnfinished, systemStore, type Store } from '../../../core/runtime/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chimera-store-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
const text = async (path: string): Promise<string | undefined> => {
  const bytes = await systemStore.read(path);
  return bytes && new TextDecoder().decode(bytes);
};

describe.each<[string, () => Store, () => string]>([
  ['the system’s', () => systemStore, () => directory],
  ['in memory', createMemoryStore, () => '/dir'],
])('a store, %s', (_name, make, where) => {
  test('keeps what was written, replaced as a whole', async () => {
    const store = make();
    const path = `${where()}/file`;
    await store.makeDirectory(where());
    expect(await store.read(path)).toBeUndefined();
    await store.write(path, 'a longer first text');
    await store.write(path, Uint8Array.of(1, 2, 3));
    expect(await store.read(path)).toEqual(Uint8Array.of(1, 2, 3));
    expect(await store.list(where())).toEqual(['file']);
  });

  test('makes directories with their parents, twice too; lists sorted; removes whole', async () => {
    const store = make();
    const inner = `${where()}/a/b`;
    await store.makeDirectory(inner);
    await store.makeDirectory(inner);
    await store.write(`${inner}/z`, '1');
    await store.write(`${inner}/y`, '2');
    expect(await store.list(inner)).toEqual(['y', 'z']);
    expect(await store.list(`${where()}/none`)).toEqual([]);
    await store.remove(`${where()}/a`);
    await store.remove(`${where()}/a`);
    expect(await store.read(`${inner}/z`)).toBeUndefined();
  });

  test('tells who may read a file', async () => {
    const store = make();
    await store.makeDirectory(`${where()}/inner`);
    const path = `${where()}/file`;
    expect(await store.mode(path)).toBeUndefined();
    await store.write(path, 'x');
    expect(await store.mode(path)).toBe(0o600);
    await store.write(path, 'x', 0o644);
    expect(await store.mode(path)).toBe(0o644);
    expect(await store.mode(`${where()}/inner`)).toBe(0o700);
  });

  test('writes into no directory that is not there', async () => {
    await expect(make().write(`${where()}/none/file`, 'x')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('reads no more than it may', async () => {
    const store = make();
    await store.makeDirectory(where());
    const path = `${where()}/file`;
    expect(await store.read(path, 4)).toBeUndefined();
    await store.write(path, 'x'.repeat(100));
    expect(await store.read(path, 100)).toHaveLength(100);
    await expect(store.read(path, 99)).rejects.toMatchObject({ code: 'EFBIG' });
    await store.write(path, '');
    expect(await store.read(path, 0)).toEqual(new Uint8Array());
    await expect(store.read(where(), 4)).rejects.toMatchObject({ code: 'EISDIR' });
  });
});

test('where no directory can be made it says so, and does not try for ever', async () => {
  await expect(systemStore.makeDirectory('/proc/chimera')).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(systemStore.makeDirectory('/proc/chimera/state')).rejects.toMatchObject({ code: 'ENOENT' });
  const nowhere = join(directory, 'nowhere');
  await symlink(join(directory, 'is', 'not', 'there'), nowhere);
  await expect(systemStore.makeDirectory(join(nowhere, 'inner'))).rejects.toMatchObject({ code: 'EEXIST' });
  const file = join(directory, 'a-file');
  await writeFile(file, '');
  await expect(systemStore.makeDirectory(join(file, 'inner'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  await expect(systemStore.makeDirectory(file)).rejects.toMatchObject({ code: 'EEXIST' });
});

test('directories that two make at once are there', async () => {
  const path = join(directory, 'x', 'y', 'z');
  await Promise.all([1, 2, 3, 4].map(() => systemStore.makeDirectory(path)));
  expect(await modeOf(path)).toBe(0o700);
});

test('files are for the owner alone unless said otherwise, whatever was there before', async () => {
  const path = join(directory, 'file');
  await writeFile(path, 'old', { mode: 0o644 });
  await systemStore.write(path, 'new');
  expect(await modeOf(path)).toBe(0o600);
  await systemStore.write(path, 'newer', 0o640);
  expect(await modeOf(path)).toBe(0o640);
  expect(await text(path)).toBe('newer');
});

test('new directories are for the owner alone; one that was there keeps its mode', async () => {
  await systemStore.makeDirectory(join(directory, 'new'));
  expect(await modeOf(join(directory, 'new'))).toBe(0o700);
  await chmod(join(directory, 'new'), 0o750);
  await systemStore.makeDirectory(join(directory, 'new'));
  expect(await modeOf(join(directory, 'new'))).toBe(0o750);
});

test('a write that fails leaves the old file and nothing beside it', async () => {
  const path = join(directory, 'file');
  await systemStore.write(path, 'old');
  await systemStore.makeDirectory(join(directory, 'taken', 'inside'));
  await expect(systemStore.write(join(directory, 'taken'), 'x')).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(systemStore.write(path, Symbol('no text') as unknown as string)).rejects.toThrow('Symbol');
  expect(await text(path)).toBe('old');
  expect((await readdir(directory)).sort()).toEqual(['file', 'taken']);
});

test('a reader never sees half a file, however many write at once', async () => {
  const path = join(directory, 'file');
  const sizes = [10, 200_000, 5, 90_000];
  await systemStore.write(path, 'x'.repeat(10));
  const written = new AbortController();
  const seen = new Set<number>();
  const reader = (async () => {
    while (!written.signal.aborted) seen.add((await systemStore.read(path))?.length ?? -1);
  })();
  for (let round = 0; round < 5; round++) {
    await Promise.all(sizes.map((size) => systemStore.write(path, 'x'.repeat(size))));
  }
  written.abort();
  await reader;
  expect([...seen].filter((size) => !sizes.includes(size))).toEqual([]);
  expect(await readdir(directory)).toEqual(['file']);
});

test('a link is replaced, not followed: what it points to stays', async () => {
  const target = join(directory, 'target');
  const link = join(directory, 'link');
  await writeFile(target, 'precious');
  await symlink(target, link);
  await systemStore.write(link, 'new');
  expect(await text(target)).toBe('precious');
  expect(await text(link)).toBe('new');
});

test('a device that never ends is not read to its end', async () => {
  await expect(systemStore.read('/dev/zero', 1000)).rejects.toMatchObject({ code: 'EFBIG' });
});

test('tells memory from a disk', async () => {
  expect(await systemStore.inMemory('/dev/shm')).toBe(true);
  expect(await systemStore.inMemory('/proc')).toBe(false);
  await expect(systemStore.inMemory(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  const store = createMemoryStore();
  await store.makeDirectory('/run/keys');
  expect(await store.inMemory('/run/keys')).toBe(false);
  store.tmpfs.add('/run');
  expect(await store.inMemory('/run/keys')).toBe(true);
});

describe('what a write that a crash ended has left', () => {
  const files = async (names: readonly string[]) => {
    for (const name of names) await writeFile(join(directory, name), 'secret');
  };

  test('is removed where its process is gone, or had this one’s id; all else stays', async () => {
    await files([
      'cluster_secrets.7-0.new',
      'roster.8-123.new',
      'revisions.json.9-1.new',
      'mine.new',
      'a.9.new',
      'roster',
    ]);
    await removeUnfinished(systemStore, directory, { pid: 7, alive: (pid) => pid === 9 });
    expect(await readdir(directory).then((names) => names.sort())).toEqual(
      ['revisions.json.9-1.new', 'mine.new', 'a.9.new', 'roster'].sort(),
    );
  });

  test('is known by the name that a write gives it', async () => {
    const target = join(directory, 'file');
    // A directory of that name: the write fails at its last step, and has named its temporary file.
    await systemStore.makeDirectory(join(target, 'inner'));
    const failure = (await systemStore.write(target, 'x').catch((error: unknown) => error)) as { path: string };
    expect(await readdir(directory)).toEqual(['file']);
    await writeFile(failure.path, 'x');
    await removeUnfinished(systemStore, directory);
    expect(await readdir(directory)).toEqual(['file']);
  });

  test('of a directory that is not there is nothing', async () => {
    await expect(removeUnfinished(systemStore, join(directory, 'none'))).resolves.toBeUndefined();
  });
});
