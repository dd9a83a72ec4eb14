/**
 * Multiples of Ed25519 points, computed by OpenSSL's X25519: some thirty times faster than big integers, and constant
 * in time for a secret scalar. Enter at `timesBase` and `timesPublicPoint`.
 *
 * X25519 gives u(k·P) on the birationally equivalent curve v² = u³ + Au² + u (RFC 7748, section 4.1), for k = 8t with
 * 2^251 <= t < 2^252. Of any scalar s, either s/8 or −s/8 modulo the group order is such a t, and both have the same u.
 * Which of the two points it is, u(s·P + P) tells: by the addition law it gives v. Whatever is computed in big integers
 * follows from the result, and that is public.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { agree, agreementKey } from './key-agreement.ts';
import { fromLittleEndian, groupOrder, toLittleEndian } from './scalar.ts';

const field = ed25519.Point.Fp;
const scalars = ed25519.Point.Fn;
const coefficientA = 486_662n;
/** Either root will do: the other one mirrors all v. */
const rootOfMinus486664: bigint = field.sqrt(field.create(-486_664n));
const eighth: bigint = scalars.inv(8n);
const smallestT: bigint = 2n ** 251n;
const largestT: bigint = 2n ** 252n - 1n;

/** A point by its Montgomery coordinates. */
interface MontgomeryPoint {
  readonly u: bigint;
  readonly v: bigint;
  readonly uBytes: Uint8Array;
}

/** u = (1 + y)/(1 − y), v = √−486664 · u/x. For every point but those of order 1 and 2. */
function toMontgomery({ x, y }: { readonly x: bigint; readonly y: bigint }): MontgomeryPoint {
  const inverse = field.inv(field.mul(field.sub(1n, y), x));
  const u = field.mul(field.mul(field.add(1n, y), x), inverse);
  const v = field.mul(field.mul(rootOfMinus486664, u), field.mul(field.sub(1n, y), inverse));
  return { u, v, uBytes: toLittleEndian(u) };
}

const base: MontgomeryPoint = toMontgomery(ed25519.Point.BASE.toAffine());

/** u of ±scalar · point, of the point's part in the prime-order group; `undefined` for the few scalars that X25519 cannot take. */
function uOfMultiple(scalar: bigint, { uBytes }: MontgomeryPoint): bigint | undefined {
  const even = scalars.mul(scalar, eighth);
  const t = even < smallestT ? groupOrder - even : even;
  if (t > largestT) return undefined;
  const shared = agree(agreementKey(toLittleEndian(8n * t)), uBytes);
  return shared && fromLittleEndian(shared);
}

/** scalar · point, encoded; `undefined` for the few scalars that X25519 cannot take. The point is of prime order. */
function times(scalar: bigint, point: MontgomeryPoint): Uint8Array | undefined {
  const u = uOfMultiple(scalar, point);
  const uNext = uOfMultiple(scalars.add(scalar, 1n), point);
  if (u === undefined || uNext === undefined) return undefined;
  // From uNext = ((v − v₀)/(u − u₀))² − A − u − u₀, with v² and v₀² put in: v = numerator / 2v₀.
  const square = field.mul(u, field.add(field.mul(u, field.add(u, coefficientA)), 1n));
  const sum = field.add(field.add(uNext, coefficientA), field.add(u, point.u));
  const numerator = field.sub(field.add(square, field.sqr(point.v)), field.mul(sum, field.sqr(field.sub(u, point.u))));
  // Back to x = √−486664 · u/v and y = (u − 1)/(u + 1), with one inversion for both.
  const above = field.add(u, 1n);
  const inverse = field.inv(field.mul(numerator, above));
  const x = [rootOfMinus486664, u, 2n, point.v, above, inverse].reduce((left, right) => field.mul(left, right));
  const y = [field.sub(u, 1n), numerator, inverse].reduce((left, right) => field.mul(left, right));
  const encoded = toLittleEndian(y);
  if ((x & 1n) === 1n) encoded[31] = (encoded[31] ?? 0) | 0x80;
  return encoded;
}

/** value · B, encoded. `value` may be secret; it is reduced, and zero gives the identity. */
export function timesBase(value: bigint): Uint8Array {
  const scalar = scalars.create(value);
  const found = times(scalar, base);
  if (found !== undefined) return found;
  return (scalar === 0n ? ed25519.Point.ZERO : ed25519.Point.BASE.multiply(scalar)).toBytes();
}

/** value · point for public values, or `undefined` when the bytes are no point of the prime-order group. */
export function timesPublicPoint(value: bigint, bytes: Uint8Array): Uint8Array | undefined {
  try {
    const decoded = ed25519.Point.fromBytes(bytes);
    const affine = decoded.toAffine();
    // Points of order 1, 2 and 4; the others of small order, and those with a part of small order, are found below.
    if (affine.x === 0n || affine.y === 0n) return undefined;
    const point = toMontgomery(affine);
    // 1 as a multiple of 8 takes away the part of small order: only then u changes.
    if (uOfMultiple(1n, point) !== point.u) return undefined;
    const scalar = scalars.create(value);
    return times(scalar, point) ?? decoded.multiplyUnsafe(scalar).toBytes();
  } catch {
    return undefined;
  }
}
