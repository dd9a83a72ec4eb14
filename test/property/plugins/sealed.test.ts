/** Laws of everything that comes from a disk or from another node: any bytes give a value or a coded error. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import { masterKeyFromSeed } from '../../../core/onion/index.ts';
import {
  encodeClusterSecrets,
  encodeNodeKey,
  identityOfSeed,
  openSealed,
  parseClusterSecrets,
  parseNodeKey,
  sealTo,
} from '../../../plugins/identity/index.ts';
import { openMasterKey, readSealedKey, sealMasterKey } from '../../../plugins/signer/vault/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const random = createSeededRandom('sealed');
const [a, b, c] = [1, 2, 3].map((fill) => identityOfSeed(new Uint8Array(32).fill(fill))) as [
  ReturnType<typeof identityOfSeed>,
  ReturnType<typeof identityOfSeed>,
  ReturnType<typeof identityOfSeed>,
];
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
const subject = fc.record({
  purpose: fc.string({ maxLength: 20 }),
  about: fc.array(fc.string({ maxLength: 20 }), { maxLength: 4 }),
});
const blob = Buffer.from(
  await sealMasterKey(masterKeyFromSeed(new Uint8Array(32)), Buffer.from('passphrase'), random, 14),
);

/** Garbage, and truth with something done to it. */
const damaged = (whole: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
      const changed = Uint8Array.from(whole);
      changed[at] = (changed[at] ?? 0) ^ by;
      return changed;
    }),
    fc.nat(whole.length - 1).map((length) => Uint8Array.from(whole.subarray(0, length))),
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map((more) => Uint8Array.from([...whole, ...more])),
  );

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return codeIn(error);
  }
}

function codeIn(error: unknown): string {
  return isChimeraError(error) ? error.code : `not coded: ${String(error)}`;
}

describe('files', () => {
  test('a node key is read as it was written', () => {
    fc.assert(
      fc.property(seed, (bytes) => {
        expect(parseNodeKey(Buffer.from(encodeNodeKey(bytes)))).toEqual(bytes);
      }),
    );
  });

  test('a damaged node key is refused', () => {
    const whole = Buffer.from(encodeNodeKey(new Uint8Array(32).fill(9)));
    fc.assert(
      fc.property(damaged(whole), (bytes) => {
        expect(codeOf(() => parseNodeKey(bytes))).toBe('IDENTITY_FILE');
      }),
    );
  });

  test('cluster secrets are read as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2 ** 32 - 1 }), fc.nat(1e6), seed, seed, (generation, back, one, other) => {
        const both = [
          { generation, secret: one },
          { generation: Math.max(1, generation - 1 - back), secret: other },
        ];
        expect(parseClusterSecrets(Buffer.from(encodeClusterSecrets(both)))).toEqual(both);
      }),
    );
  });

  test('what is no cluster secrets file is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(codeOf(() => parseClusterSecrets(bytes))).toBe('IDENTITY_FILE');
      }),
    );
  });

  test('a damaged sealed key is refused before or after the passphrase', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(blob), async (bytes) => {
        const form = codeOf(() => readSealedKey(bytes));
        // A higher cost would take its time; the law is the same.
        fc.pre(form !== undefined || readSealedKey(bytes).cost <= 15);
        const opened = await openMasterKey(bytes, Buffer.from('passphrase')).then(() => undefined, codeIn);
        expect(opened).toBe(form ?? 'VAULT_PASSPHRASE');
        expect([undefined, 'VAULT_FILE']).toContain(form);
      }),
      { numRuns: 150 },
    );
  });
});

describe('messages', () => {
  test('what is sealed opens for its receiver, and for nobody else', () => {
    fc.assert(
      fc.property(subject, fc.uint8Array({ maxLength: 2_000 }), (about, text) => {
        const sealed = sealTo(a, b.keys, about, text, random);
        expect(openSealed(b, a.keys, about, sealed)).toEqual(text);
        expect(codeOf(() => openSealed(c, a.keys, about, sealed))).toBe('SEALED_REFUSED');
        expect(codeOf(() => openSealed(b, c.keys, about, sealed))).toBe('SEALED_REFUSED');
      }),
    );
  });

  test('and about the same alone', () => {
    fc.assert(
      fc.property(subject, subject, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        const sealed = sealTo(a, b.keys, one, Uint8Array.of(1), random);
        expect(codeOf(() => openSealed(b, a.keys, other, sealed))).toBe('SEALED_REFUSED');
      }),
    );
  });

  test('whatever else comes is refused', () => {
    const about = { purpose: 'vault', about: ['x'] };
    fc.assert(
      fc.property(damaged(sealTo(a, b.keys, about, new Uint8Array(64), random)), (bytes) => {
        expect(codeOf(() => openSealed(b, a.keys, about, bytes))).toBe('SEALED_REFUSED');
      }),
    );
  });
});
