/** What a simulation remembers of its cryptography changes no answer: only what is the same to the byte is taken as known. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  rawPublicKey,
  rememberSigned,
  rememberVerified,
  signingKeyOfSeed,
  signPlain,
  verifyPlain,
} from '../../../core/onion/signature.ts';
import { open, rememberSealed, seal } from '../../../plugins/mesh/session/noise.ts';

const bytes = (length: number, fill: number): Buffer => Buffer.alloc(length, fill);
const changed = (from: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(from);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

beforeEach(() => {
  rememberVerified(2);
  rememberSealed(2);
});
afterEach(() => {
  rememberVerified(0);
  rememberSealed(0);
});

describe('remembered signatures', () => {
  const key = signingKeyOfSeed(bytes(32, 1));
  const publicKey = rawPublicKey(key);
  const other = rawPublicKey(signingKeyOfSeed(bytes(32, 2)));
  const message = bytes(50, 3);
  const signature = signPlain(key, message);

  test.each(['verified before', 'made here'])('%s: good for its key and message only', (how) => {
    if (how === 'made here') rememberSigned(publicKey, message, signature);
    for (let times = 0; times < 2; times++) {
      expect(verifyPlain(publicKey, message, signature)).toBe(true);
      expect(verifyPlain(other, message, signature)).toBe(false);
      expect(verifyPlain(publicKey, changed(message, 7), signature)).toBe(false);
      expect(verifyPlain(publicKey, message, changed(signature, 40))).toBe(false);
    }
  });

  test('a message that is changed in place afterwards is another one', () => {
    const mine = Buffer.from(message);
    expect(verifyPlain(publicKey, mine, signature)).toBe(true);
    mine[0] = 99;
    expect(verifyPlain(publicKey, mine, signature)).toBe(false);
  });
});

test('remembered seals open as any, and for their key, counter and associated data only', () => {
  const key = bytes(32, 4);
  const associated = bytes(20, 5);
  const plain = bytes(100, 6);
  const sealed = seal(key, 9, associated, plain);
  for (let times = 0; times < 2; times++) {
    expect(open(key, 9, associated, sealed)).toEqual(plain);
    expect(open(bytes(32, 7), 9, associated, sealed)).toBeUndefined();
    expect(open(key, 8, associated, sealed)).toBeUndefined();
    expect(open(key, 9, changed(associated, 0), sealed)).toBeUndefined();
    for (const at of [0, 50, sealed.length - 1]) expect(open(key, 9, associated, changed(sealed, at))).toBeUndefined();
  }
  open(key, 9, associated, sealed)?.fill(0);
  expect(open(key, 9, associated, sealed)).toEqual(plain);
  rememberSealed(0);
  expect(open(key, 9, associated, sealed)).toEqual(plain);
});
