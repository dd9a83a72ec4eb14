/**
 * Bytes and their texts: fixed-width integers, Tor's base32 and a strict base64. Pure; every decoder answers `undefined`
 * for what it refuses, so that its caller can name the field in a coded error.
 */

/** ASCII text as bytes. */
export function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** INT_8 of the specification: eight bytes, big-endian. */
export function int8(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** Equality of public bytes. Secrets are compared with node:crypto's timingSafeEqual. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && Buffer.compare(left, right) === 0;
}

/** An own copy: not a window into a larger buffer, and not a Buffer. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

const base32Alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** Lower-case base32 without padding (RFC 4648 alphabet, as Tor prints it). */
export function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += base32Alphabet.charAt((value >>> bits) & 31);
    }
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + base32Alphabet.charAt((value << (5 - bits)) & 31);
}

/** Base32 in any case, without padding; `undefined` for another alphabet or left-over bits that are not zero. */
export function decodeBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let length = 0;
  let bits = 0;
  let value = 0;
  for (const character of text.toLowerCase()) {
    const digit = base32Alphabet.indexOf(character);
    if (digit < 0) return undefined;
    value = (value << 5) | digit;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[length++] = value >>> bits;
      value &= (1 << bits) - 1;
    }
  }
  return value === 0 && bits < 5 ? bytes : undefined;
}

/** Base64 with padding, on one line. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Base64 without padding. */
export function encodeBase64Unpadded(bytes: Uint8Array): string {
  const text = encodeBase64(bytes);
  return text.endsWith('==') ? text.slice(0, -2) : text.endsWith('=') ? text.slice(0, -1) : text;
}

/** Base64 in the alphabet for URLs and JWK, without padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/**
 * Base64, padded or not. `undefined` unless it is the one canonical text of its bytes: a second spelling of a signed
 * value would be a change that the signature does not notice.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const canonical = bytes.toString('base64');
  if (text === canonical || text === encodeBase64Unpadded(bytes)) return bytes;
  return undefined;
}
