/**
 * X25519 by node:crypto from and to raw 32-byte keys (through JWK, as in signature.ts), and the Ed25519 form of an X25519
 * key that certificates carry.
 */
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { copyOf, encodeBase64Url, sameBytes } from './bytes.ts';
import { remember } from './remembered.ts';
import { fromLittleEndian, toLittleEndian } from './scalar.ts';

const type = { kty: 'OKP', crv: 'X25519' } as const;

const field = ed25519.Point.Fp;

/** The key object of a 32-byte X25519 secret. */
export function agreementKey(secret: Uint8Array): KeyObject {
  // Node takes the secret alone, and derives the public half.
  return createPrivateKey({ key: { ...type, x: '', d: encodeBase64Url(secret) }, format: 'jwk' });
}

const publicKeys = new WeakMap<KeyObject, Uint8Array>();

/** The raw public key of an X25519 secret key object. */
export function agreementPublicKey(key: KeyObject): Uint8Array {
  let known = publicKeys.get(key);
  if (known === undefined) {
    known = copyOf(Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'));
    publicKeys.set(key, known);
  }
  return copyOf(known);
}

/** Both public keys, as one text, the smaller first → what they agree on. */
const agreed = new Map<string, Buffer>();
let mostAgreed = 0;

/**
 * From now on the last `count` shared secrets are remembered, for either side. None is by default. For a simulation, where one process
 * holds both.
 */
export function rememberAgreed(count: number): void {
  mostAgreed = count;
  if (count === 0) agreed.clear();
}

function agreeNow(key: KeyObject, peer: Uint8Array): Buffer | undefined {
  try {
    const publicKey = createPublicKey({ key: { ...type, x: encodeBase64Url(peer) }, format: 'jwk' });
    return diffieHellman({ privateKey: key, publicKey });
  } catch {
    return undefined;
  }
}

/** The 32-byte shared secret, or `undefined` when the peer's key is one of the few that give everybody the same secret. */
export function agree(key: KeyObject, peer: Uint8Array): Buffer | undefined {
  if (mostAgreed === 0) return agreeNow(key, peer);
  const own = Buffer.from(agreementPublicKey(key)).toString('latin1');
  const other = Buffer.from(peer).toString('latin1');
  const name = own < other ? own + other : other + own;
  const known = agreed.get(name);
  if (known !== undefined) return Buffer.from(known);
  const shared = agreeNow(key, peer);
  if (shared === undefined) return undefined;
  remember(agreed, name, Buffer.from(shared), mostAgreed);
  return shared;
}

function montgomeryU(encKey: Uint8Array): bigint {
  return field.create(fromLittleEndian(encKey) & ((1n << 255n) - 1n));
}

/** X25519 key, as bytes in a text → its Ed25519 form. */
const rememberedForms = new Map<string, Uint8Array>();
const mostRemembered = 1024;

/**
 * The Ed25519 form of an X25519 public key, y = (u − 1)/(u + 1) with sign bit 0; `undefined` where u = −1 has none.
 * Remembered: the inversion costs as much as the signature over its result.
 */
export function ed25519FormOf(encKey: Uint8Array): Uint8Array | undefined {
  const name = Buffer.from(encKey).toString('latin1');
  const known = rememberedForms.get(name);
  if (known !== undefined) return known;
  const u = montgomeryU(encKey);
  const denominator = field.add(u, field.ONE);
  if (field.is0(denominator)) return undefined;
  const form = toLittleEndian(field.div(field.sub(u, field.ONE), denominator));
  return remember(rememberedForms, name, form, mostRemembered);
}

/**
 * True when `certified` is the Ed25519 form of `encKey`: checked as y·(u + 1) = u − 1, which needs no inversion. The form
 * is remembered: who republishes the introduction point needs it.
 */
export function isEd25519FormOf(certified: Uint8Array, encKey: Uint8Array): boolean {
  const name = Buffer.from(encKey).toString('latin1');
  const known = rememberedForms.get(name);
  if (known !== undefined) return sameBytes(certified, known);
  const y = fromLittleEndian(certified);
  if (certified.length !== 32 || y >= field.ORDER) return false;
  const u = montgomeryU(encKey);
  const denominator = field.add(u, field.ONE);
  const holds = !field.is0(denominator) && field.eql(field.mul(y, denominator), field.sub(u, field.ONE));
  if (holds) remember(rememberedForms, name, copyOf(certified), mostRemembered);
  return holds;
}
