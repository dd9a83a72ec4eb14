/**
 * The little arithmetic of Ed25519 that node:crypto does not offer: scalars modulo the group order, multiples of the
 * base point, and multiples of a public point by a public scalar (noble-curves). A secret scalar is only ever
 * multiplied with the base point: noble does not blind any other multiplication.
 */
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

/** value · B, encoded. `value` may be secret; it is reduced, and zero gives the identity. */
export function timesBase(value: bigint): Uint8Array {
  const scalar = value % groupOrder;
  return (scalar === 0n ? ed25519.Point.ZERO : ed25519.Point.BASE.multiply(scalar)).toBytes();
}

/** value · point for public values, or `undefined` when the bytes are no point of the prime-order group. */
export function timesPublicPoint(value: bigint, point: Uint8Array): Uint8Array | undefined {
  try {
    const decoded = ed25519.Point.fromBytes(point);
    if (decoded.is0() || !decoded.isTorsionFree()) return undefined;
    return decoded.multiplyUnsafe(value % groupOrder).toBytes();
  } catch {
    return undefined;
  }
}
