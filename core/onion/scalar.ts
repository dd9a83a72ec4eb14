/** Ed25519's scalars: their bytes, and the group order that they are taken modulo. Points are multiplied in multiply.ts. */
import { ed25519 } from '@noble/curves/ed25519.js';

/** L, the order of the base point. */
export const groupOrder: bigint = ed25519.Point.Fn.ORDER;

/** A little-endian number of any width. */
export function fromLittleEndian(bytes: Uint8Array): bigint {
  const reversed = Buffer.from(bytes).reverse();
  return BigInt(`0x${reversed.toString('hex') || '0'}`);
}

/** 32 bytes, little-endian. */
export function toLittleEndian(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse());
}

/** RFC 8032's clamp, in place. */
export function clamp(bytes: Uint8Array): Uint8Array {
  bytes[0] = (bytes[0] ?? 0) & 248;
  bytes[31] = ((bytes[31] ?? 0) & 63) | 64;
  return bytes;
}
