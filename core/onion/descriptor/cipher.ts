/**
 * The encryption of both layers (rend-spec-v3, "Encrypting descriptors", and "Client authorization"): SHAKE-256 for
 * keys, AES-256-CTR, and a SHA3-256 MAC that is compared in constant time.
 *
 *   blob = salt (16) | ciphertext | MAC (32)
 */
import { timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { ascii, int8 } from '../bytes.ts';
import { aesCtr, sha3, shake256 } from '../hash.ts';
import { agree } from '../key-agreement.ts';

const layerConstants = {
  middle: ascii('hsdir-superencrypted-data'),
  inner: ascii('hsdir-encrypted-data'),
} as const;
export type LayerName = keyof typeof layerConstants;

export const saltLength = 16;
const macLength = 32;
const keyLengthPrefix = int8(32);
const saltLengthPrefix = int8(saltLength);
/** The middle layer is padded with NUL bytes to a multiple of this. */
const paddingMultiple = 10_000;

export interface LayerSecrets {
  readonly blindedPublicKey: Uint8Array;
  readonly subcredential: Uint8Array;
  readonly revision: bigint;
  /** The inner layer's descriptor cookie, 16 bytes, when client authorization is in use. */
  readonly cookie?: Uint8Array | undefined;
}

function layerKeys(
  layer: LayerName,
  secrets: LayerSecrets,
  salt: Uint8Array,
): { key: Buffer; iv: Buffer; macKey: Buffer } {
  const keys = shake256(
    80,
    secrets.blindedPublicKey,
    secrets.cookie ?? new Uint8Array(),
    secrets.subcredential,
    int8(secrets.revision),
    salt,
    layerConstants[layer],
  );
  return { key: keys.subarray(0, 32), iv: keys.subarray(32, 48), macKey: keys.subarray(48) };
}

function macOf(macKey: Uint8Array, salt: Uint8Array, ciphertext: Uint8Array): Buffer {
  return sha3(keyLengthPrefix, macKey, saltLengthPrefix, salt, ciphertext);
}

/** The blob of a layer; the middle layer is padded first. `salt` is 16 fresh random bytes. */
export function encryptLayer(layer: LayerName, secrets: LayerSecrets, salt: Uint8Array, plaintext: Uint8Array): Buffer {
  const { key, iv, macKey } = layerKeys(layer, secrets, salt);
  const length =
    layer === 'middle' ? Math.ceil(plaintext.length / paddingMultiple) * paddingMultiple : plaintext.length;
  const padded = length === plaintext.length ? plaintext : Buffer.alloc(length);
  if (padded !== plaintext) padded.set(plaintext);
  const ciphertext = aesCtr(key, iv, padded);
  return Buffer.concat([salt, ciphertext, macOf(macKey, salt, ciphertext)]);
}

/** The plaintext of a layer, up to its first NUL; `undefined` when the MAC does not match or nothing is in it. */
export function decryptLayer(layer: LayerName, secrets: LayerSecrets, blob: Uint8Array): Buffer | undefined {
  if (blob.length <= saltLength + macLength) return undefined;
  const salt = blob.subarray(0, saltLength);
  const ciphertext = blob.subarray(saltLength, blob.length - macLength);
  const { key, iv, macKey } = layerKeys(layer, secrets, salt);
  if (!timingSafeEqual(macOf(macKey, salt, ciphertext), blob.subarray(blob.length - macLength))) return undefined;
  const plaintext = aesCtr(key, iv, ciphertext);
  const padding = plaintext.indexOf(0);
  const text = padding < 0 ? plaintext : plaintext.subarray(0, padding);
  return text.length === 0 ? undefined : text;
}

export const clientIdLength = 8;
export const cookieLength = 16;
export const cookieIvLength = 16;

/** What client and service both derive: the client's id in the descriptor and the key of its cookie. */
export interface ClientKeys {
  readonly id: Buffer;
  readonly cookieKey: Buffer;
}

/** `undefined` when the peer's key is unusable (of small order). */
export function clientKeys(subcredential: Uint8Array, own: KeyObject, peer: Uint8Array): ClientKeys | undefined {
  const shared = agree(own, peer);
  if (shared === undefined) return undefined;
  const keys = shake256(clientIdLength + 32, subcredential, shared);
  return { id: keys.subarray(0, clientIdLength), cookieKey: keys.subarray(clientIdLength) };
}
