import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { x25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import {
  addressOfKey,
  clientPublicKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  parseAuthorizedClient,
  parseClientKey,
  parsePublicKeyFile,
  parseSecretKeyFile,
} from '../../../core/onion/index.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import { expectCode, hex } from './support.ts';

// RFC 8032 section 7.1, test 1.
const seed = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
const publicKey = hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
const text = (content: string): Uint8Array => Buffer.from(content, 'latin1');

describe('master keys', () => {
  test('RFC 8032 7.1 test 1: the public key of a seed', () => {
    expect(masterKeyFromSeed(seed).publicKey).toEqual(publicKey);
  });

  test("Tor's own files are read and written to the byte", () => {
    const key = masterKeyFromSeed(seed);
    const secretFile = encodeSecretKeyFile(key);
    expect(secretFile).toHaveLength(96);
    expect(Buffer.from(secretFile).toString('latin1').slice(0, 32)).toBe('== ed25519v1-secret: type0 ==\0\0\0');
    expect(parseSecretKeyFile(secretFile)).toEqual(key);
    const publicFile = encodePublicKeyFile(key.publicKey);
    expect(Buffer.from(publicFile).toString('latin1').slice(0, 32)).toBe('== ed25519v1-public: type0 ==\0\0\0');
    expect(parsePublicKeyFile(publicFile)).toEqual(key.publicKey);
  });

  test("a bare seed and OnionBalance's PEM give the same key", () => {
    const pem = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    }).export({ format: 'pem', type: 'pkcs8' });
    expect(parseSecretKeyFile(seed)).toEqual(masterKeyFromSeed(seed));
    expect(parseSecretKeyFile(text(String(pem)))).toEqual(masterKeyFromSeed(seed));
  });

  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const secretFile = encodeSecretKeyFile(masterKeyFromSeed(seed));
  test.each<[string, Uint8Array, RegExp]>([
    ['a public key file', encodePublicKeyFile(publicKey), /public key file/],
    ['a cut secret key file', secretFile.subarray(0, 95), /95 bytes instead of 96/],
    ['a v2 RSA key', text(String(rsa.privateKey.export({ format: 'pem', type: 'pkcs1' }))), /version 2/],
    ['an RSA PKCS #8 key', text(String(rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }))), /type rsa/],
    [
      'an encrypted key',
      text(
        String(
          generateKeyPairSync('ed25519').privateKey.export({
            format: 'pem',
            type: 'pkcs8',
            cipher: 'aes-128-cbc',
            passphrase: 'x',
          }),
        ),
      ),
      /passphrase/,
    ],
    ['a PEM public key', text(String(rsa.publicKey.export({ format: 'pem', type: 'spki' }))), /PUBLIC KEY/],
    ['a broken PEM key', text('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'), /cannot be read/],
    ['a hostname file', text(`${addressOfKey(publicKey)}.onion\n`), /onion address/],
    ['a client authorization key', text('descriptor:x25519:AAAA'), /client authorization/],
    ['an empty file', new Uint8Array(), /empty/],
    ['noise', new Uint8Array(97), /97 bytes/],
    ['a huge file', new Uint8Array(70_000), /70000 bytes/],
  ])('%s is refused, and the message says what it looks like', (_name, bytes, why) => {
    const error = expectCode('ONION_KEY_FILE', () => parseSecretKeyFile(bytes));
    expect(error.message).toMatch(why);
    expect(error.remedy).toBeDefined();
  });

  test('a secret whose scalar is not clamped is refused', () => {
    const file = Uint8Array.from(secretFile);
    file[32] = (file[32] ?? 0) | 1;
    expectCode('ONION_KEY_FILE', () => parseSecretKeyFile(file));
  });

  test('an error says nothing of the key', () => {
    const error = expectCode('ONION_KEY_FILE', () => parseSecretKeyFile(secretFile.subarray(0, 90)));
    expect(JSON.stringify([error.message, error.remedy])).not.toContain(Buffer.from(seed).toString('hex').slice(0, 8));
  });

  test('a secret key file is no public key file', () => {
    expectCode('ONION_KEY_FILE', () => parsePublicKeyFile(secretFile));
  });
});

describe('client authorization keys', () => {
  const secret = new Uint8Array(32).fill(0x77);
  const address = addressOfKey(publicKey);

  test("the public key is noble's", () => {
    expect(clientPublicKey(secret)).toEqual(x25519.getPublicKey(secret));
  });

  test("Tor's .auth_private and .auth lines, and bare keys", () => {
    const base32 = encodeBase32(secret).toUpperCase();
    expect(parseClientKey(`${address}:descriptor:x25519:${base32}\n`)).toEqual({ address, secret });
    expect(parseClientKey(base32)).toEqual({ secret });
    expect(parseClientKey(Buffer.from(secret).toString('hex'))).toEqual({ secret });
    const key = clientPublicKey(secret);
    expect(parseAuthorizedClient(`descriptor:x25519:${encodeBase32(key).toUpperCase()}\n`)).toEqual(key);
  });

  test.each(['', 'descriptor:x25519:AAAA', 'x'.repeat(2000), `${'a'.repeat(56)}:descriptor:x25519:AAAA`, 'a:b:c:d'])(
    '%j is not a client key',
    (line) => {
      expectCode('ONION_KEY_FILE', () => parseClientKey(line));
    },
  );

  test('a line of another form is not an authorized client', () => {
    for (const line of ['', 'descriptor:x25519:AAAA', 'descriptor:rsa:AAAA', `${address}:descriptor:x25519:AAAA`]) {
      expectCode('ONION_KEY_FILE', () => parseAuthorizedClient(line));
    }
  });
});
