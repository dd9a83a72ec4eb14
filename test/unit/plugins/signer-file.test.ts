import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { masterContract, masterKeyContract, signerContract } from '../../../core/engine/index.ts';
import type { ChimeraError } from '../../../core/errors.ts';
import {
  addressOfKey,
  blindedKey,
  blindedPublicKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  revisionKey,
  signBlinded,
} from '../../../core/onion/index.ts';
import { verifyPlain } from '../../../core/onion/signature.ts';
import { signerFile } from '../../../plugins/signer/file/index.ts';
import { createBareHost, type BareHost } from './support.ts';

const seed = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
const key = masterKeyFromSeed(seed);
const address = addressOfKey(key.publicKey);
const pem = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
  format: 'der',
  type: 'pkcs8',
}).export({ format: 'pem', type: 'pkcs8' });
const path = '/keys/hs_ed25519_secret_key';
const period = { number: 20_777, lengthMinutes: 1440 };

async function withFile(bytes: Uint8Array | string | undefined, options = {}): Promise<BareHost> {
  const bare = createBareHost();
  await bare.store.makeDirectory('/keys');
  if (bytes !== undefined) await bare.store.write(path, bytes);
  bare.apply(signerFile, { identity_key_path: path, ...options });
  return bare;
}
async function failure(bytes: Uint8Array | string | undefined, options = {}): Promise<ChimeraError> {
  const bare = await withFile(bytes, options);
  return bare.start().then(
    () => {
      throw new Error('it started');
    },
    (error: unknown) => error as ChimeraError,
  );
}

test.each([
  [0o600, 0],
  [0o640, 0],
  [0o644, 1],
  [0o602, 1],
])('a key file of mode %o is told of %d times: everybody could have it', async (mode, times) => {
  const bare = await withFile(encodeSecretKeyFile(key));
  bare.store.setMode(path, mode);
  await bare.start();
  const told = bare.lines.filter(({ message }) => message === 'everybody on this machine may read the master key');
  expect(told.map(({ level, fields }) => [level, fields['path']])).toEqual(
    Array.from({ length: times }, () => ['warn', path]),
  );
  await bare.stop();
});

describe.each<[string, Uint8Array | string]>([
  ['Tor’s own file', encodeSecretKeyFile(key)],
  ['OnionBalance’s PEM', pem.toString()],
  ['a 32-byte seed', seed],
])('from %s', (_name, bytes) => {
  test('gives the signer, the address and the key', async () => {
    const bare = await withFile(bytes);
    await bare.start();
    const signer = bare.given(signerContract);
    expect(signer.publicKey).toEqual(key.publicKey);
    expect(bare.given(masterContract).address).toBe(address);
    expect(bare.given(masterKeyContract).secretKeyFile()).toEqual(encodeSecretKeyFile(key));
    expect(bare.given(masterKeyContract).publicKeyFile()).toEqual(encodePublicKeyFile(key.publicKey));
  });

  test('signs with the key blinded for the period', async () => {
    const bare = await withFile(bytes);
    await bare.start();
    const signer = bare.given(signerContract);
    const message = Uint8Array.of(1, 2, 3);
    const blinded = blindedKey(key, period);
    const signature = await signer.sign(period, message);
    expect(verifyPlain(blindedPublicKey(key.publicKey, period), message, signature)).toBe(true);
    expect(signature).toEqual(signBlinded(blinded, message));
    expect(await signer.revisionKey(period)).toEqual(revisionKey(blinded));
  });
});

test('the address may be named, in any of its forms', async () => {
  for (const onion_address of [address, `${address}.onion`, `${address.toUpperCase()}.ONION`]) {
    const bare = await withFile(seed, { onion_address });
    await bare.start();
    expect(bare.given(masterContract).address).toBe(address);
  }
});

describe('refuses', () => {
  const other = masterKeyFromSeed(new Uint8Array(32).fill(9));
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  test.each<[string, Uint8Array | string | undefined, string, RegExp]>([
    ['a file that is not there', undefined, 'MASTER_KEY_UNREADABLE', /no such file/],
    ['an empty file', '', 'ONION_KEY_FILE', /empty/],
    ['the public key', encodePublicKeyFile(key.publicKey), 'ONION_KEY_FILE', /public key/],
    ['the hostname', `${address}.onion\n`, 'ONION_KEY_FILE', /onion address/],
    ['a cut file', encodeSecretKeyFile(key).subarray(0, 80), 'ONION_KEY_FILE', /80 bytes/],
    ['an RSA key in PKCS #8', rsa.export({ format: 'pem', type: 'pkcs8' }).toString(), 'ONION_KEY_FILE', /rsa/],
    ['an RSA key of version 2', rsa.export({ format: 'pem', type: 'pkcs1' }).toString(), 'ONION_KEY_FILE', /RSA/],
    ['a client’s key', `descriptor:x25519:${'A'.repeat(52)}\n`, 'ONION_KEY_FILE', /client authorization/],
    ['noise', 'x'.repeat(500), 'ONION_KEY_FILE', /500 bytes/],
  ])('%s, and says which file and what to do', async (_name, bytes, code, says) => {
    const error = await failure(bytes);
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(`master.identity_key_path: ${path}: `);
    expect(error.message).toMatch(says);
    expect(error.remedy).toBeTruthy();
  });

  test('a file that may not be read', async () => {
    const bare = await withFile(seed);
    Object.assign(bare.store, { read: () => Promise.reject(new Error('EACCES: permission denied')) });
    await expect(bare.start()).rejects.toMatchObject({
      code: 'MASTER_KEY_UNREADABLE',
      message: expect.stringContaining('permission denied') as string,
    });
  });

  test('a key of another address than the one expected, and names both', async () => {
    const error = await failure(encodeSecretKeyFile(other), { onion_address: `${address}.onion` });
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toContain(address);
    expect(error.message).toContain(addressOfKey(other.publicKey));
  });

  test('an address that is none, when the configuration is read', async () => {
    await expect(withFile(seed, { onion_address: 'example.onion' })).rejects.toThrow(
      'an onion address has 56 characters',
    );
  });

  test('its use before the start', async () => {
    const bare = await withFile(seed);
    await expect(bare.given(signerContract).sign(period, seed)).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
    expect(() => bare.given(masterContract).address).toThrow(expect.objectContaining({ code: 'ENGINE_CONTRACT' }));
  });
});

/** Every spelling in which the secret might show. */
function spellings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes);
  return [
    buffer.toString('hex'),
    buffer.toString('base64').slice(0, 40),
    buffer.toString('latin1'),
    [...bytes.subarray(0, 8)].join(', '),
  ];
}

test.each<[string, Uint8Array | string]>([
  ['cut', encodeSecretKeyFile(key).subarray(0, 90)],
  ['of the wrong length', Buffer.concat([seed, seed])],
  ['a broken PEM', pem.toString().replace('-----END PRIVATE KEY-----', '')],
])('no error and no log shows a secret: %s', async (_name, bytes) => {
  const bare = await withFile(bytes);
  const error: unknown = await bare.start().catch((caught: unknown) => caught);
  const shown = inspect([error, bare.lines], { depth: 20 });
  const base64 = pem.toString().split('\n')[1] ?? '';
  for (const secret of [...spellings(seed), ...spellings(key.expandedSecret), base64])
    expect(shown).not.toContain(secret);
});

test('at the stop every copy of the secret is overwritten, and the signer is of no more use', async () => {
  const bare = await withFile(seed);
  await bare.start();
  const signer = bare.given(signerContract);
  await signer.sign(period, seed);
  await bare.stop();
  await expect(signer.sign(period, seed)).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
  expect(() => bare.given(masterKeyContract).secretKeyFile()).toThrow(
    expect.objectContaining({ code: 'ENGINE_CONTRACT' }),
  );
});

test('what was read is overwritten at once, whether it was a key or not', async () => {
  for (const bytes of [seed, encodeSecretKeyFile(key), Buffer.concat([seed, seed])]) {
    const bare = await withFile(bytes);
    const read = Uint8Array.from(bytes);
    Object.assign(bare.store, { read: () => Promise.resolve(read) });
    await bare.start().catch(() => undefined);
    expect(read.every((byte) => byte === 0)).toBe(true);
  }
});

test('more periods than are kept do no harm', async () => {
  const bare = await withFile(seed);
  await bare.start();
  const signer = bare.given(signerContract);
  for (const number of [1, 2, 3, 4, 5, 6, 1, 2]) {
    const signature = await signer.sign({ ...period, number }, seed);
    expect(verifyPlain(blindedPublicKey(key.publicKey, { ...period, number }), seed, signature)).toBe(true);
  }
});

test('a start that fails later leaves no key either', async () => {
  const bare = await withFile(seed);
  bare.hooks.start.tap('later', () => {
    throw new Error('later');
  });
  await expect(bare.start()).rejects.toThrow('later');
  await bare.stop();
  await expect(bare.given(signerContract).sign(period, seed)).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
});
