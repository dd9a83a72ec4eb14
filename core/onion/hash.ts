/** The hashes and the stream cipher of rend-spec-v3, all from node:crypto (its one-shot forms where it has them). */
import { createCipheriv, createHash, hash } from 'node:crypto';

/** H of the specification: SHA3-256 of the parts, one after another. */
export function sha3(...parts: readonly Uint8Array[]): Buffer {
  return hash('sha3-256', parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts), 'buffer');
}

/** KDF of the specification: `length` bytes of SHAKE-256. */
export function shake256(length: number, ...parts: readonly Uint8Array[]): Buffer {
  return createHash('shake256', { outputLength: length }).update(Buffer.concat(parts)).digest();
}

/** SHA-512 of the parts, one after another. */
export function sha512(...parts: readonly Uint8Array[]): Buffer {
  return hash('sha512', Buffer.concat(parts), 'buffer');
}

/** AES-256 in counter mode; the same call encrypts and decrypts. `key` is 32 bytes, `iv` 16. */
export function aesCtr(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  return createCipheriv('aes-256-ctr', key, iv).update(data);
}
