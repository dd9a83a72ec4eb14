import { ed25519 } from '@noble/curves/ed25519.js';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { timesBase, timesPublicPoint } from '../../../core/onion/multiply.ts';
import { groupOrder } from '../../../core/onion/scalar.ts';

const { BASE, ZERO } = ed25519.Point;
type Point = typeof BASE;

const multiple = (scalar: bigint, point: Point): Point => {
  const reduced = scalar % groupOrder;
  return reduced === 0n ? ZERO : point.multiplyUnsafe(reduced);
};

/** All scalars, the ends of the group and of what X25519 takes among them. */
const scalar = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
  fc
    .tuple(
      fc.constantFrom(0n, groupOrder, (8n * 2n ** 251n) % groupOrder, (8n * 2n ** 252n) % groupOrder),
      fc.bigInt({ min: -64n, max: 64n }),
    )
    .map(([at, offset]) => (at + offset + groupOrder) % groupOrder),
);
const point = scalar.map((value) => multiple(value, BASE)).filter((value) => !value.is0());
/** A point of order 8, and its multiples. */
const orderEight = ed25519.Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa');

describe('multiples of Ed25519 points by X25519', () => {
  test('of the base point are those of noble-curves', () => {
    fc.assert(
      fc.property(scalar, (value) => {
        expect(timesBase(value)).toEqual(multiple(value, BASE).toBytes());
      }),
    );
  });

  test('of any point of the group are those of noble-curves', () => {
    fc.assert(
      fc.property(scalar, point, (value, of) => {
        expect(timesPublicPoint(value, of.toBytes())).toEqual(multiple(value, of).toBytes());
      }),
    );
  });

  test('of a point with a part of small order are refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.constant(ZERO), point), fc.bigInt({ min: 1n, max: 7n }), (of, order) => {
        const stained = of.add(multiple(order, orderEight));
        expect(stained.isTorsionFree()).toBe(false);
        expect(timesPublicPoint(5n, stained.toBytes())).toBeUndefined();
      }),
    );
  });

  test('of bytes that are no point of the group are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 31, maxLength: 33 }), (bytes) => {
        let expected: Uint8Array | undefined;
        try {
          const decoded = ed25519.Point.fromBytes(bytes);
          if (decoded.isTorsionFree() && !decoded.is0()) expected = multiple(5n, decoded).toBytes();
        } catch {
          // No point: noble refuses it as well.
        }
        expect(timesPublicPoint(5n, bytes)).toEqual(expected);
      }),
    );
  });
});
