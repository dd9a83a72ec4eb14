import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import {
  certificateBody,
  certificateExpiry,
  certificateLength,
  certificateTypes,
  introCertificateExpiry,
  parseCertificate,
  verifyCertificate,
} from '../../../core/onion/index.ts';
import { ed25519FormOf, isEd25519FormOf } from '../../../core/onion/key-agreement.ts';
import { rawPublicKey, signPlain, signingKeyOfSeed } from '../../../core/onion/signature.ts';
import { expectCode, hex, toHex } from './support.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const signer = signingKeyOfSeed(new Uint8Array(32).fill(5));
const signingKey = rawPublicKey(signer);
const certifiedKey = new Uint8Array(32).fill(6);
const expiresAt = 1_795_201_200 + 54 * 3600;

function makeCertificate(type: number = certificateTypes.introAuthKey): Uint8Array {
  const body = certificateBody({ type, expiresAt, certifiedKey, signingKey });
  return Uint8Array.from(Buffer.concat([body, signPlain(signer, body)]));
}

/** A certificate with these extensions, signed as it is. */
function withExtensions(count: number, extensions: string): Uint8Array {
  const body = Buffer.concat([makeCertificate().subarray(0, 39), Uint8Array.of(count), hex(extensions)]);
  return Uint8Array.from(Buffer.concat([body, signPlain(signer, body)]));
}

const signerExtension = `00200400${toHex(signingKey)}`;
const demands = { type: certificateTypes.introAuthKey, now: expiresAt, what: 'a key' };

describe('certificates', () => {
  test('cert-spec: the layout of a certificate, byte for byte', () => {
    const bytes = makeCertificate();
    expect(bytes).toHaveLength(certificateLength);
    const hours = (expiresAt / 3600).toString(16).padStart(8, '0');
    expect(toHex(bytes.subarray(0, 76))).toBe(`0109${hours}01${'06'.repeat(32)}01${signerExtension}`);
    const { body, signature, ...fields } = parseCertificate(bytes);
    expect(fields).toEqual({ type: 9, expiresAt, certifiedKey, signingKey });
    expect(Buffer.concat([body, signature])).toEqual(Buffer.from(bytes));
  });

  test("tor's expiry: 54 hours, rounded up for the signing key, from the full hour for introduction points", () => {
    const hour = 1_795_201_200;
    expect(certificateExpiry(hour)).toBe(hour + 54 * 3600);
    expect(certificateExpiry(hour + 1)).toBe(hour + 55 * 3600);
    expect(introCertificateExpiry(hour + 3599)).toBe(hour + 54 * 3600);
  });

  test('a good certificate verifies until its last second', () => {
    const certificate = parseCertificate(makeCertificate());
    verifyCertificate(certificate, demands);
    verifyCertificate(certificate, { ...demands, signingKey });
    const error = expectCode('ONION_CERTIFICATE', () => {
      verifyCertificate(certificate, { ...demands, now: expiresAt + 1 });
    });
    expect(error.message).toMatch(/expired/);
  });

  test('a certificate that was verified before is still refused when it expires or another one is demanded', () => {
    const certificate = parseCertificate(makeCertificate());
    verifyCertificate(certificate, demands);
    for (const change of [{ now: expiresAt + 1 }, { type: 8 }, { signingKey: certifiedKey }]) {
      expectCode('ONION_CERTIFICATE', () => {
        verifyCertificate(certificate, { ...demands, ...change });
      });
    }
    const changed = Uint8Array.from(certificate.signature);
    changed[63] = (changed[63] ?? 0) ^ 1;
    expectCode('ONION_CERTIFICATE', () => {
      verifyCertificate({ ...certificate, signature: changed }, demands);
    });
  });

  test('another type, signer or signature is refused', () => {
    const certificate = parseCertificate(makeCertificate());
    const refused = (changed: typeof certificate, more: object = {}): void => {
      expectCode('ONION_CERTIFICATE', () => {
        verifyCertificate(changed, { ...demands, ...more });
      });
    };
    refused(parseCertificate(makeCertificate(certificateTypes.introEncKey)));
    refused(certificate, { signingKey: certifiedKey });
    refused({ ...certificate, signature: new Uint8Array(64) });
    refused({ ...certificate, signature: new Uint8Array(63) });
    refused({ ...certificate, signingKey: certifiedKey });
  });

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a cut one', makeCertificate().subarray(0, 139)],
    ['one byte more', Uint8Array.from([...makeCertificate(), 0])],
    ['another version', Uint8Array.from([2, ...makeCertificate().subarray(1)])],
    ['no signer', withExtensions(0, '')],
    ['two signers', withExtensions(2, signerExtension + signerExtension)],
    ['a short signer', withExtensions(1, `001f0400${'00'.repeat(31)}`)],
    ['fewer extensions than said', withExtensions(2, signerExtension)],
    ['more extensions than said', withExtensions(1, signerExtension + signerExtension)],
    ['an extension longer than the rest', withExtensions(2, `${signerExtension}ffff0900`)],
    ['an unknown extension that affects validation', withExtensions(2, `${signerExtension}00010901aa`)],
    ['too many bytes', new Uint8Array(5000)],
  ])('%s does not parse', (_name, bytes) => {
    expectCode('ONION_CERTIFICATE', () => parseCertificate(bytes));
  });

  test('an unknown extension that does not affect validation passes', () => {
    const certificate = parseCertificate(withExtensions(2, `${signerExtension}00010900aa`));
    expect(() => {
      verifyCertificate(certificate, demands);
    }).not.toThrow();
  });

  test('a body needs an expiry on the hour and 32-byte keys', () => {
    const fields = { type: 8, expiresAt, certifiedKey, signingKey };
    expectCode('ONION_CERTIFICATE', () => certificateBody({ ...fields, expiresAt: expiresAt + 1 }));
    expectCode('ONION_CERTIFICATE', () => certificateBody({ ...fields, certifiedKey: new Uint8Array(31) }));
  });
});

describe('the Ed25519 form of an X25519 key', () => {
  test('RFC 7748 4.1: u = 9 of the base point is y = 4/5', () => {
    const base = new Uint8Array(32);
    base[0] = 9;
    expect(toHex(ed25519FormOf(base) ?? new Uint8Array())).toBe(`58${'66'.repeat(31)}`);
  });

  test('the check agrees with the computation, and the sign bit is 0', () => {
    const random = createSeededRandom(3);
    for (let round = 0; round < 200; round++) {
      const key = random.bytes(32);
      const form = ed25519FormOf(key);
      if (form === undefined) continue;
      expect((form[31] ?? 0) >> 7).toBe(0);
      expect(isEd25519FormOf(form, key)).toBe(true);
      const negative = Uint8Array.from(form);
      negative[31] = (negative[31] ?? 0) | 0x80;
      expect(isEd25519FormOf(negative, key)).toBe(false);
      expect(isEd25519FormOf(form, random.bytes(32))).toBe(false);
    }
  });

  test('the check comes first, and what it remembers is the form', () => {
    const random = createSeededRandom(4);
    for (let round = 0; round < 20; round++) {
      const form = ed25519.getPublicKey(random.bytes(32));
      form[31] = (form[31] ?? 0) & 0x7f;
      const key = ed25519.utils.toMontgomery(form);
      const wrong = Uint8Array.from(form);
      wrong[0] = (wrong[0] ?? 0) ^ 1;
      expect(isEd25519FormOf(wrong, key)).toBe(false);
      expect(isEd25519FormOf(form, key)).toBe(true);
      expect(isEd25519FormOf(wrong, key)).toBe(false);
      expect(ed25519FormOf(key)).toEqual(form);
    }
  });

  test('u = −1 has none', () => {
    const minusOne = hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f');
    expect(ed25519FormOf(minusOne)).toBeUndefined();
    expect(isEd25519FormOf(new Uint8Array(32), minusOne)).toBe(false);
  });
});
