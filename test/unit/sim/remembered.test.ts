/** What a simulation remembers of its cryptography changes no answer: only what is the same to the byte is taken as known. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agree, agreementKey, agreementPublicKey, rememberAgreed } from '../../../core/onion/key-agreement.ts';
import {
  rawPublicKey,
  rememberSigned,
  rememberVerified,
  signingKeyOfSeed,
  signPlain,
  verifyPlain,
} from '../../../core/onion/signature.ts';
import { open, rememberSealed, seal } from '../../../plugins/mesh/session/noise.ts';
import { masterKeyFromSeed } from '../../../core/onion/index.ts';
import { openMasterKey, rememberDerived, sealMasterKey } from '../../../plugins/signer/vault/blob.ts';
import { chachaPoly } from '../../kit/sim/chacha-poly.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const bytes = (length: number, fill: number): Buffer => Buffer.alloc(length, fill);
const changed = (from: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(from);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

beforeEach(() => {
  rememberVerified(2);
  rememberSealed(2);
  rememberAgreed(2);
});
afterEach(() => {
  rememberVerified(0);
  rememberSealed(0);
  rememberAgreed(0);
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

test('remembered agreements are those of both keys, and of no other', () => {
  const keys = [1, 2, 3].map((fill) => agreementKey(bytes(32, fill)));
  const [a, b, c] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
  const [A, B, C] = keys.map(agreementPublicKey) as [Uint8Array, Uint8Array, Uint8Array];
  rememberAgreed(0);
  const expected = [agree(a, B), agree(b, C), agree(a, C)];
  rememberAgreed(2);
  for (let times = 0; times < 2; times++) {
    for (const [one, other, at] of [
      [a, B, 0],
      [b, A, 0],
      [b, C, 1],
      [c, B, 1],
      [a, C, 2],
      [c, A, 2],
    ] as const) {
      const shared = agree(one, other);
      expect(shared).toEqual(expected[at]);
      shared?.fill(0);
    }
  }
  expect(agree(a, bytes(32, 0))).toBeUndefined();
});

test('the seal of the simulation comes to the bytes of the real one', () => {
  const random = createSeededRandom('seals');
  const lengths = [0, 1, 15, 16, 17, 63, 64, 65, 200, 1_000];
  for (const length of lengths)
    for (const associated of lengths) {
      const draw = (size: number): Uint8Array => (random.int(8) === 0 ? bytes(size, 255) : random.bytes(size));
      const [key, data, plain] = [draw(32), draw(associated), draw(length)];
      const counter = random.int(2) === 0 ? random.int(1_000) : 2 ** 33 + random.int(1_000);
      rememberSealed(0);
      const real = seal(key, counter, data, plain);
      expect(chachaPoly(key, counter, data, plain)).toEqual(real);
      rememberSealed(2, chachaPoly);
      expect(seal(key, counter, data, plain)).toEqual(real);
    }
});

test('a remembered key of a passphrase opens what that passphrase and salt have sealed, and nothing else', async () => {
  const key = masterKeyFromSeed(bytes(32, 7));
  const [right, wrong] = [Buffer.from('right'), Buffer.from('wrong')];
  const sealed = Buffer.from(await sealMasterKey(key, right, createSeededRandom('salt'), 14));
  rememberDerived(1);
  try {
    // Made at once: no thread is waited for.
    for (let times = 0; times < 2; times++) {
      expect((await openMasterKey(sealed, right)).expandedSecret).toEqual(key.expandedSecret);
      await expect(openMasterKey(sealed, wrong)).rejects.toThrow('does not open');
    }
    const again = Buffer.from(await sealMasterKey(key, right, createSeededRandom('salt'), 14));
    expect(again).toEqual(sealed);
  } finally {
    rememberDerived(0);
  }
  expect((await openMasterKey(sealed, right)).publicKey).toEqual(key.publicKey);
});
