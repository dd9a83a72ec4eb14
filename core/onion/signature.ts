/**
 * Plain Ed25519 by node:crypto, from and to raw 32-byte keys. Making a key object costs about as much as using it:
 * keep the object of a key that is used more than once. Keys go through JWK, which takes a tenth of the time of DER.
 */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { copyOf, encodeBase64Url } from './bytes.ts';
import { remember } from './remembered.ts';

const type = { kty: 'OKP', crv: 'Ed25519' } as const;

/** The signing key of a 32-byte seed. */
export function signingKeyOfSeed(seed: Uint8Array): KeyObject {
  // Node takes the seed alone, and derives the public half.
  return createPrivateKey({ key: { ...type, x: '', d: encodeBase64Url(seed) }, format: 'jwk' });
}

/** The raw 32-byte public key of a signing key. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  return Uint8Array.from(Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'));
}

/** Raw key, as a text → its object. */
const rememberedKeys = new Map<string, KeyObject>();
const mostRemembered = 256;

/** The verifying key of 32 raw bytes. Remembered: a descriptor has two signers, and the next one of its service the same. */
export function verifyingKey(publicKey: Uint8Array): KeyObject {
  const x = encodeBase64Url(publicKey);
  const known = rememberedKeys.get(x);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: { ...type, x }, format: 'jwk' });
  return remember(rememberedKeys, x, key, mostRemembered);
}

/** A 64-byte signature. */
export function signPlain(key: KeyObject, message: Uint8Array): Uint8Array {
  return sign(null, message, key);
}

/** Signature, as a text → what it was found good for. */
const verified = new Map<string, { readonly key: KeyObject; readonly message: Uint8Array }>();
let mostVerified = 0;

/**
 * From now on the last `count` good signatures are remembered, with key and message, and not verified again. None is by
 * default: a node hardly ever meets the same one twice. A simulation does, where one process holds all nodes.
 */
export function rememberVerified(count: number): void {
  mostVerified = count;
  if (count === 0) verified.clear();
}

/** Remembers a signature as good that this process has made itself, if any are remembered. */
export function rememberSigned(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): void {
  if (mostVerified > 0) rememberGood(textOf(signature), verifyingKey(publicKey), message);
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

function rememberGood(name: string, key: KeyObject, message: Uint8Array): void {
  remember(verified, name, { key, message: copyOf(message) }, mostVerified);
}

/** True when the 64-byte signature verifies; false for anything else, malformed keys and signatures included. */
export function verifyPlain(key: KeyObject | Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  try {
    const object = key instanceof Uint8Array ? verifyingKey(key) : key;
    if (mostVerified === 0) return verify(null, message, object, signature);
    const name = textOf(signature);
    const known = verified.get(name);
    if (known?.key === object && Buffer.compare(known.message, message) === 0) return true;
    if (!verify(null, message, object, signature)) return false;
    rememberGood(name, object, message);
    return true;
  } catch {
    return false;
  }
}
