/** Laws of descriptors: what is built is parsed back, what is changed is refused, whatever comes is survived. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import {
  clientPublicKey,
  decodeLinkSpecifiers,
  encodeDescriptor,
  encodeLinkSpecifiers,
  openDescriptor,
} from '../../../core/onion/index.ts';
import type { IntroPoint, LinkSpecifier, ServiceFeatures } from '../../../core/onion/index.ts';
import { ed25519FormOf } from '../../../core/onion/key-agreement.ts';
import { anyNow, makeIntroPoints, makeService, plainFeatures } from '../../unit/onion/support.ts';

const service = await makeService(20);
const { address, period, random } = service;

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const knownSpecifier = fc.constantFrom<readonly [number, number]>([0, 6], [1, 18], [2, 20], [3, 32]);
const linkSpecifier: fc.Arbitrary<LinkSpecifier> = fc.oneof(
  knownSpecifier.chain(([type, length]) => bytes(length).map((data) => ({ type, data }))),
  fc.record({ type: fc.integer({ min: 4, max: 255 }), data: fc.uint8Array({ maxLength: 40 }) }),
);
const linkSpecifiers = fc.array(linkSpecifier, { minLength: 1, maxLength: 5 });
const introPoint: fc.Arbitrary<IntroPoint> = fc.record({
  linkSpecifiers,
  onionKey: bytes(32),
  authKey: bytes(32),
  encKey: bytes(32).filter((key) => ed25519FormOf(key) !== undefined),
});
const word = fc.stringMatching(/^[A-Za-z0-9=,-]{1,12}$/);
const features: fc.Arbitrary<ServiceFeatures> = fc.record(
  {
    singleOnionService: fc.boolean(),
    flowControl: fc.record({
      versions: fc.constantFrom('1', '2', '1-2', '1,3-4'),
      sendmeIncrement: fc.integer({ min: 1, max: 254 }),
    }),
    proto: fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(' ')),
    introAuthRequired: fc.array(word, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['singleOnionService'] },
);
const clientSecrets = fc.array(bytes(32), { maxLength: 20 });

describe('descriptors', () => {
  test('build, then open, is the identity', () => {
    const revisions = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const lists = fc.array(introPoint, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(lists, features, clientSecrets, revisions, (introPoints, someFeatures, secrets, revision) => {
        const text = encodeDescriptor(service.material, {
          subcredential: service.subcredential,
          revision,
          introPoints,
          features: someFeatures,
          clients: secrets.map(clientPublicKey),
          now: anyNow,
          random,
        });
        for (const clientKey of secrets.length === 0 ? [undefined] : secrets) {
          const descriptor = openDescriptor(text, { address, periods: [period], now: anyNow, clientKey });
          expect(descriptor).toEqual({
            address,
            period,
            blindedKey: service.blinded.publicKey,
            revision,
            lifetimeMinutes: 180,
            signingKeyExpiresAt: service.material.expiresAt,
            introPoints,
            features: someFeatures,
            restricted: clientKey !== undefined,
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  test('link specifiers come back', () => {
    fc.assert(
      fc.property(linkSpecifiers, (specifiers) => {
        expect(decodeLinkSpecifiers(encodeLinkSpecifiers(specifiers))).toEqual(specifiers);
      }),
    );
  });

  const text = encodeDescriptor(service.material, {
    subcredential: service.subcredential,
    revision: 987_654_321n,
    introPoints: makeIntroPoints(3, random),
    features: plainFeatures,
    now: anyNow,
    random,
  });
  const original = Buffer.from(text);

  function refuses(changed: Uint8Array): boolean {
    try {
      openDescriptor(changed, { address, periods: [period], now: anyNow });
      return false;
    } catch (error) {
      return isChimeraError(error);
    }
  }

  // The encrypted body is one long run of base64: a sample of it does, unless many mutations are asked for.
  const bodyBegin = text.indexOf('\n', text.indexOf('BEGIN MESSAGE')) + 1;
  const bodyEnd = text.indexOf('-----END MESSAGE');
  const step = Number(process.env['CHIMERA_MUTATIONS'] ?? 0) >= 1_000_000 ? 1 : 29;

  test(
    'a change of one byte is refused, at every position outside the encrypted body and many within',
    { timeout: 300_000 },
    () => {
      const accepted: number[] = [];
      const changed = Buffer.from(original);
      for (let position = 0; position < original.length; position++) {
        if (position > bodyBegin && position < bodyEnd && position % step !== 0) continue;
        const byte = original[position] ?? 0;
        // A neighbour in the alphabet: most changes still parse, and the signature must refuse them.
        changed[position] = byte ^ 1;
        if (!refuses(changed)) accepted.push(position);
        changed[position] = byte;
      }
      expect(accepted).toEqual([]);
    },
  );

  test('a change of any byte to any other is refused', () => {
    const positions = fc.nat({ max: original.length - 1 });
    fc.assert(
      fc.property(positions, fc.integer({ min: 0, max: 255 }), (position, byte) => {
        fc.pre(original[position] !== byte);
        const changed = Buffer.from(original);
        changed[position] = byte;
        expect(refuses(changed)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('a missing byte is refused; only the final newline may be missing', () => {
    fc.assert(
      fc.property(fc.nat({ max: original.length - 2 }), (position) => {
        const changed = Buffer.concat([original.subarray(0, position), original.subarray(position + 1)]);
        expect(refuses(changed)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
