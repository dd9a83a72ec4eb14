import { expect, test } from 'vitest';
import { readAuthorizedClients } from '../../../plugins/restricted-discovery/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';

const key = Uint8Array.from({ length: 32 }, (_none, index) => index);
// base32 of 00 01 02 … 1f, without padding (RFC 4648).
const text = 'aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq';

async function storeWith(files: Readonly<Record<string, string>>) {
  const store = createMemoryStore();
  await store.makeDirectory('/clients');
  for (const [name, content] of Object.entries(files)) await store.write(`/clients/${name}`, content);
  return store;
}

test('reads tor’s own form, in the order of the names', async () => {
  const store = await storeWith({
    'b.auth': `descriptor:x25519:${text.toUpperCase()}\n`,
    'a.auth': `descriptor:x25519:${text}`,
  });
  expect(await readAuthorizedClients(store, '/clients')).toEqual([key, key]);
});

test.each([
  ['no file', {}, /no \*\.auth file/],
  ['another key type', { 'a.auth': `descriptor:ed25519:${text}` }, /a\.auth is not/],
  ['a short key', { 'a.auth': `descriptor:x25519:${text.slice(1)}` }, /a\.auth is not/],
  ['a private line', { 'a.auth': `x:descriptor:x25519:${text}` }, /a\.auth is not/],
  [
    'too many',
    Object.fromEntries(Array.from({ length: 113 }, (_none, n) => [`${n}.auth`, `descriptor:x25519:${text}`])),
    /112 fit/,
  ],
])('refuses %s', async (_what, files, message) => {
  const store = await storeWith(files as Record<string, string>);
  await expect(readAuthorizedClients(store, '/clients')).rejects.toMatchObject({
    code: 'AUTHORIZED_CLIENTS',
    message: expect.stringMatching(message) as string,
  });
});
