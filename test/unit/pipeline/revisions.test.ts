import { expect, test } from 'vitest';
import { storedRevisions, volatileRevisions } from '../../../core/pipeline/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';

const path = '/state/revisions.json';
const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

async function stored() {
  const store = createMemoryStore();
  await store.makeDirectory('/state');
  return { store, memory: await storedRevisions(store, path) };
}
const write = async (text: string | Uint8Array) => {
  const { store } = await stored();
  await store.write(path, text);
  return storedRevisions(store, path);
};

test('the maximum is kept, in memory and across a restart', async () => {
  const { store, memory } = await stored();
  expect(memory.lastSeen(key(1))).toBeUndefined();
  await memory.record([
    { blindedKey: key(1), revision: 7n },
    { blindedKey: key(2), revision: 2n ** 63n },
  ]);
  await memory.record([{ blindedKey: key(1), revision: 5n }]);
  expect(memory.lastSeen(key(1))).toBe(7n);
  const again = await storedRevisions(store, path);
  expect(again.lastSeen(key(1))).toBe(7n);
  expect(again.lastSeen(key(2))).toBe(2n ** 63n);
  expect(again.lastSeen(key(3))).toBeUndefined();
});

test('the file is bounded: old blinded keys go, those in use stay', async () => {
  const { store, memory } = await stored();
  for (let period = 0; period < 60; period++) {
    await memory.record([
      { blindedKey: key(period), revision: 10n },
      { blindedKey: key(200), revision: BigInt(period) },
    ]);
  }
  const file = JSON.parse(new TextDecoder().decode(await store.read(path))) as Record<string, string>;
  expect(Object.keys(file).length).toBeLessThanOrEqual(16);
  expect(memory.lastSeen(key(200))).toBe(59n);
  expect(memory.lastSeen(key(59))).toBe(10n);
  expect(memory.lastSeen(key(0))).toBeUndefined();
});

test('the volatile memory keeps the maximum too', async () => {
  const memory = volatileRevisions();
  await memory.record([{ blindedKey: key(1), revision: 7n }]);
  await memory.record([{ blindedKey: key(1), revision: 6n }]);
  expect(memory.lastSeen(key(1))).toBe(7n);
});

test.each([
  ['cut', '{"00'],
  ['empty', ''],
  ['a list', '[]'],
  ['null', 'null'],
  ['a bad key', '{"zz": "1"}'],
  ['a number for a text', `{"${'0'.repeat(64)}": 1}`],
  ['a negative counter', `{"${'0'.repeat(64)}": "-1"}`],
  ['a counter of 21 digits', `{"${'0'.repeat(64)}": "${'9'.repeat(21)}"}`],
  ['too large', `{"${'0'.repeat(64)}": "1"${' '.repeat(70_000)}}`],
])('a damaged file is refused with its path and a remedy: %s', async (_name, text) => {
  await expect(write(text)).rejects.toMatchObject({
    code: 'STATE_FILE',
    message: expect.stringContaining(path) as string,
  });
});

test('a file that is no UTF-8 is refused', async () => {
  await expect(write(Uint8Array.of(0x7b, 0xff, 0x7d))).rejects.toMatchObject({ code: 'STATE_FILE' });
});

test('a full disk rejects with STATE_FILE', async () => {
  const { store, memory } = await stored();
  store.full = true;
  await expect(memory.record([{ blindedKey: key(1), revision: 1n }])).rejects.toMatchObject({ code: 'STATE_FILE' });
});

test('a file that may not be read is STATE_FILE, not a bare error', async () => {
  const { store } = await stored();
  const locked = { ...store, read: () => Promise.reject(new Error('EACCES: permission denied')) };
  await expect(storedRevisions(locked, path)).rejects.toMatchObject({ code: 'STATE_FILE' });
});
