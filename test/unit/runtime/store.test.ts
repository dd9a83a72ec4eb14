import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemStore } from '../../../core/runtime/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'chimera-store-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe.each([
  ['the disk', () => systemStore],
  ['memory', createMemoryStore],
])('%s', (_name, make) => {
  test('reads a file whole up to its limit, and refuses what is longer', async () => {
    const store = make();
    const path = `${directory}/file`;
    await store.makeDirectory(directory);
    expect(await store.read(path, 4)).toBeUndefined();
    await store.write(path, 'four');
    expect(Buffer.from((await store.read(path, 4)) ?? []).toString()).toBe('four');
    await expect(store.read(path, 3)).rejects.toMatchObject({ code: 'EFBIG' });
    await store.write(path, '');
    expect(await store.read(path, 0)).toEqual(new Uint8Array());
    await expect(store.read(directory, 4)).rejects.toMatchObject({ code: 'EISDIR' });
  });
});

test('a device that never ends is left at the limit', async () => {
  await expect(systemStore.read('/dev/zero', 64)).rejects.toMatchObject({ code: 'EFBIG' });
});

test('a write that fails leaves the old file, and nothing beside it', async () => {
  const path = `${directory}/file`;
  writeFileSync(path, 'old');
  await expect(systemStore.write(path, Symbol('no text') as unknown as string)).rejects.toThrow();
  expect(readdirSync(directory)).toEqual(['file']);
  expect(Buffer.from((await systemStore.read(path)) ?? []).toString()).toBe('old');
});
