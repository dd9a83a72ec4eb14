import { describe, expect, test } from 'vitest';
import { ed25519 } from '@noble/curves/ed25519.js';
import {
  addressOfKey,
  blindedKey,
  blindedPublicKey,
  blindingFactor,
  masterKeyFromSeed,
  periodIdentity,
  signBlinded,
  subcredential,
} from '../../../core/onion/index.ts';
import { masterKeyFromExpanded } from '../../../core/onion/keys.ts';
import { verifyPlain } from '../../../core/onion/signature.ts';
import { expectCode, hex, toHex } from './support.ts';

const period = { number: 1234, lengthMinutes: 1440 };
const publicKey = hex('833990b085c1a688c1d4c8b1f6b56afaf5a2eca674449e1d704f83765ccb7bc6');
const secret = hex(
  'd8c7ff0e31295b66540d789af3e3df992038a9592eea01d8b7cba06d6e66d159' +
    '4d6167696320576f7264733a20737065697373636f62616c742062697669756d',
);
const blindedText = '3a50bf210e8f9ee955ae0014f7a6917fb65ebf098a86305abb508d1a7291b6d5';

describe('key blinding', () => {
  const master = masterKeyFromExpanded(secret);

  test('C tor test_blinding_basics, arti key_blinding_testvec: public key of the expanded secret', () => {
    expect(master.publicKey).toEqual(publicKey);
  });

  test('C tor test_blinding_basics, arti key_blinding_testvec: factor, clamped', () => {
    const unclamped = hex('379e50db31fee6775abd0af6fb7c371e060308f4f847db09fe4cfe13af602287');
    unclamped[0] = (unclamped[0] ?? 0) & 248;
    unclamped[31] = ((unclamped[31] ?? 0) & 63) | 64;
    expect(toHex(blindingFactor(publicKey, period))).toBe(toHex(unclamped));
  });

  test('C tor test_blinding_basics, arti key_blinding_testvec: blinded public key, both ways', () => {
    expect(toHex(blindedPublicKey(publicKey, period))).toBe(blindedText);
    expect(toHex(blindedKey(master, period).publicKey)).toBe(blindedText);
  });

  test('C tor test_blinding_basics, arti key_blinding_testvec: blinded secret', () => {
    expect(toHex(blindedKey(master, period).expandedSecret)).toBe(
      'a958dc83ac885f6814c67035de817a2c604d5d2f715282079448f789b656350b' +
        '4540fe1f80aa3f7e91306b7bf7a8e367293352b14a29fdcc8c19f3558075524b',
    );
  });

  test('C tor test_blinding_basics, arti key_blinding_testvec: subcredential', () => {
    expect(toHex(subcredential(publicKey, hex(blindedText)))).toBe(
      '635d55907816e8d76398a675a50b1c2f3e36b42a5ca77ba3a0441285161ae07d',
    );
  });

  test('the remembered identity is the computed one', () => {
    const address = addressOfKey(publicKey);
    const expected = { blindedPublicKey: hex(blindedText), subcredential: subcredential(publicKey, hex(blindedText)) };
    expect(periodIdentity(address, period)).toEqual(expected);
    expect(periodIdentity(address, period)).toEqual(expected);
    expect(periodIdentity(address, { ...period, number: 1235 })).not.toEqual(expected);
    expect(periodIdentity(address, { ...period, lengthMinutes: 8 })).not.toEqual(expected);
  });

  test('a signature verifies in OpenSSL and in noble, strictly; another message does not', () => {
    const key = blindedKey(master, period);
    const message = Buffer.from('a certificate');
    const signature = signBlinded(key, message);
    expect(verifyPlain(key.publicKey, message, signature)).toBe(true);
    expect(ed25519.verify(signature, message, key.publicKey, { zip215: false })).toBe(true);
    expect(verifyPlain(key.publicKey, Buffer.from('another'), signature)).toBe(false);
  });

  test('the nonce is deterministic, and depends on the message and on the whole of RH′', () => {
    const key = blindedKey(master, period);
    const nonceOf = (expandedSecret: Uint8Array, message: string): string =>
      toHex(signBlinded({ ...key, expandedSecret }, Buffer.from(message)).subarray(0, 32));
    expect(nonceOf(key.expandedSecret, 'm')).toBe(nonceOf(key.expandedSecret, 'm'));
    const nonces = new Set([nonceOf(key.expandedSecret, 'm'), nonceOf(key.expandedSecret, 'n')]);
    for (let position = 32; position < 64; position++) {
      const changed = Uint8Array.from(key.expandedSecret);
      changed[position] = (changed[position] ?? 0) ^ 1;
      nonces.add(nonceOf(changed, 'm'));
    }
    expect(nonces.size).toBe(34);
  });

  test('a key that is no point, or of small order, cannot be blinded', () => {
    const small = hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f');
    const identity = hex('0100000000000000000000000000000000000000000000000000000000000000');
    const noPoint = hex('0200000000000000000000000000000000000000000000000000000000000000');
    const point = ed25519.Point.fromBytes(masterKeyFromSeed(new Uint8Array(32)).publicKey);
    const withTorsion = point.add(ed25519.Point.fromBytes(small)).toBytes();
    for (const key of [small, identity, noPoint, withTorsion]) {
      expectCode('ONION_ADDRESS', () => blindedPublicKey(key, period));
    }
  });
});
