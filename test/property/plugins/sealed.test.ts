/** Laws of everything that comes from a disk or from another node: any bytes give a value or a coded error. */
import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
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
    return isChimeraError(error) ? error.code : `not coded: ${String(error)}`;
  }
}

describe('files', () => {
  test.prop([seed])('a node key is read as it was written', (bytes) => {
    expect(parseNodeKey(Buffer.from(encodeNodeKey(bytes)))).toEqual(bytes);
  });

  test.prop([damaged(Buffer.from(encodeNodeKey(new Uint8Array(32).fill(9))))])(
    'a damaged node key is refused',
    (bytes) => {
      expect(codeOf(() => parseNodeKey(bytes))).toBe('IDENTITY_FILE');
    },
  );

  test.prop([fc.integer({ min: 2, max: 2 ** 32 - 1 }), fc.nat(1e6), seed, seed])(
    'cluster secrets are read as they were written',
    (generation, back, one, other) => {
      const older = Math.max(1, generation - 1 - back);
      const both = [
        { generation, secret: one },
        { generation: older, secret: other },
      ];
      expect(parseClusterSecrets(Buffer.from(encodeClusterSecrets(both)))).toEqual(both);
    },
  );

  test.prop([fc.uint8Array({ maxLength: 400 })])('what is no cluster secrets file is refused', (bytes) => {
    expect(codeOf(() => parseClusterSecrets(bytes))).toBe('IDENTITY_FILE');
  });

  test.prop([damaged(blob)], { numRuns: 200 })(
    'a damaged sealed key is refused before or after the passphrase',
    async (bytes) => {
      const form = codeOf(() => readSealedKey(bytes));
      if (form !== undefined) {
        expect(form).toBe('VAULT_FILE');
        return;
      }
      // A higher cost would take its time; the property is the same.
      if (readSealedKey(bytes).cost > 15) return;
      await expect(openMasterKey(bytes, Buffer.from('passphrase'))).rejects.toMatchObject({ code: 'VAULT_PASSPHRASE' });
    },
  );
});

describe('messages', () => {
  test.prop([subject, fc.uint8Array({ maxLength: 2_000 })])(
    'what is sealed opens for its receiver, and for nobody else',
    (about, text) => {
      const sealed = sealTo(a, b.keys, about, text, random);
      expect(openSealed(b, a.keys, about, sealed)).toEqual(text);
      expect(codeOf(() => openSealed(c, a.keys, about, sealed))).toBe('SEALED_REFUSED');
      expect(codeOf(() => openSealed(b, c.keys, about, sealed))).toBe('SEALED_REFUSED');
    },
  );

  test.prop([subject, subject])('and about the same alone', (one, other) => {
    fc.pre(JSON.stringify(one) !== JSON.stringify(other));
    const sealed = sealTo(a, b.keys, one, Uint8Array.of(1), random);
    expect(codeOf(() => openSealed(b, a.keys, other, sealed))).toBe('SEALED_REFUSED');
  });

  const about = { purpose: 'vault', about: ['x'] };
  test.prop([damaged(sealTo(a, b.keys, about, new Uint8Array(64), random))])(
    'whatever else comes is refused',
    (bytes) => {
      expect(codeOf(() => openSealed(b, a.keys, about, bytes))).toBe('SEALED_REFUSED');
    },
  );
});
