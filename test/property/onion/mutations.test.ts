/**
 * Parsers are total: whatever comes, they return a value or throw a ChimeraError. CHIMERA_MUTATIONS sets the number of
 * mutated inputs (default 10,000; the million is run by hand), CHIMERA_SEED the seed of their making.
 *
 * A signature refuses nearly every mutated descriptor before its content is looked at, so each layer's parser, each
 * small format and the whole are fed alike; inner layers are mutated before they are encrypted and signed.
 */
import { describe, expect, test } from 'vitest';
import { isChimeraError, messageOf } from '../../../core/errors.ts';
import {
  certificateBody,
  clientPublicKey,
  decodeLinkSpecifiers,
  encodeDescriptor,
  encodeLinkSpecifiers,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  openDescriptor,
  parseAuthorizedClient,
  parseCertificate,
  parseClientKey,
  parseOnionAddress,
  parsePublicKeyFile,
  parseSecretKeyFile,
  readOuter,
} from '../../../core/onion/index.ts';
import type { RandomSource } from '../../../core/onion/index.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import { decryptLayer, encryptLayer } from '../../../core/onion/descriptor/cipher.ts';
import { parseInner } from '../../../core/onion/descriptor/inner.ts';
import { formatMiddle, parseMiddle } from '../../../core/onion/descriptor/middle.ts';
import { formatSignature, formatSigned, signatureInput } from '../../../core/onion/descriptor/outer.ts';
import { signPlain } from '../../../core/onion/signature.ts';
import { anyNow, makeIntroPoints, makeService, plainFeatures } from '../../unit/onion/support.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

const total = Number(process.env['CHIMERA_MUTATIONS'] ?? 10_000);
const random = createSeededRandom(Number(process.env['CHIMERA_SEED'] ?? 1));

const service = await makeService(21);
const { address, period } = service;
const opening = { address, periods: [period], now: anyNow };
const clientSecret = random.bytes(32);
const points = makeIntroPoints(3, random);
const encodeWith = (clients: readonly Uint8Array[]): string =>
  encodeDescriptor(service.material, {
    subcredential: service.subcredential,
    revision: 4242n,
    introPoints: points,
    features: { ...plainFeatures, singleOnionService: true },
    clients,
    now: anyNow,
    random,
  });
const text = encodeWith([]);
const restricted = encodeWith([clientPublicKey(clientSecret)]);
const outer = readOuter(text);
const secrets = {
  blindedPublicKey: outer.blindedKey,
  subcredential: service.subcredential,
  revision: outer.revision,
};
const middleText = decryptLayer('middle', secrets, outer.superencrypted) ?? Buffer.alloc(0);
const middle = parseMiddle(middleText.toString('latin1'));
const plainInner = decryptLayer('inner', secrets, middle.encrypted) ?? Buffer.alloc(0);
const innerText = Buffer.concat([
  plainInner.subarray(0, plainInner.indexOf('introduction-point')),
  Buffer.from('pow-params v1 vLRtNM3eD3VU4Fn4KJHRv++iD3O5dmGqpl8g/sLh6Ak= 7 2026-11-21T06:14:47\nunknown x\n'),
  plainInner.subarray(plainInner.indexOf('introduction-point')),
]);

/** A descriptor that is rightly encrypted and signed around any middle layer. */
function sealed(middleLayer: Uint8Array): string {
  const certificate = service.material.certificate;
  const superencrypted = encryptLayer('middle', secrets, random.bytes(16), middleLayer);
  const signed = formatSigned({ lifetimeMinutes: 180, certificate, revision: secrets.revision, superencrypted });
  return signed + formatSignature(signPlain(service.material.signingKey, signatureInput(Buffer.from(signed))));
}

/** One to four edits: flips, cuts, copies, and tokens that the formats give a meaning to. */
function mutate(original: Uint8Array, chance: RandomSource): Buffer {
  const tokens = [
    '\n',
    '\0',
    ' ',
    '-----BEGIN ',
    '-----END ',
    'signature ',
    'introduction-point ',
    '=',
    '\xff',
    '\r\n',
    '9'.repeat(30),
  ];
  let current = Buffer.from(original);
  for (let edits = 1 + chance.int(4); edits > 0; edits--) {
    const at = chance.int(current.length + 1);
    const to = Math.min(current.length, at + chance.int(1 + chance.int(200)));
    const before = current.subarray(0, at);
    const edit = chance.int(6);
    if (edit === 0 && at < current.length) current[at] = chance.int(256);
    else if (edit === 1 && at < current.length) current[at] = (current[at] ?? 0) ^ (1 << chance.int(8));
    else if (edit === 2) current = Buffer.concat([before, current.subarray(to)]);
    else if (edit === 3) current = Buffer.concat([before, current.subarray(at, to), current.subarray(at)]);
    else if (edit === 4) current = Buffer.concat([before, chance.bytes(chance.int(20)), current.subarray(at)]);
    else
      current = Buffer.concat([
        before,
        Buffer.from(tokens[chance.int(tokens.length)] ?? '', 'latin1'),
        current.subarray(at),
      ]);
  }
  return current;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const certificate = Buffer.concat([
  certificateBody({ type: 9, expiresAt: 3600, certifiedKey: random.bytes(32), signingKey: random.bytes(32) }),
  random.bytes(64),
]);
const targets: readonly {
  readonly name: string;
  readonly original: Uint8Array;
  readonly parse: (input: Buffer) => unknown;
}[] = [
  { name: 'a descriptor', original: Buffer.from(text), parse: (input) => openDescriptor(input, opening) },
  { name: 'the outer layer', original: Buffer.from(text), parse: (input) => readOuter(latin1(input)) },
  {
    name: 'a restricted descriptor',
    original: Buffer.from(restricted),
    parse: (input) => openDescriptor(input, { ...opening, clientKey: clientSecret }),
  },
  { name: 'the middle layer', original: middleText, parse: (input) => parseMiddle(latin1(input)) },
  {
    name: 'a middle layer within a descriptor',
    original: middleText,
    parse: (input) => openDescriptor(sealed(input), opening),
  },
  {
    name: 'the inner layer',
    original: innerText,
    parse: (input) => parseInner(latin1(input), { signingKey: service.material.signingPublicKey, now: anyNow }),
  },
  {
    name: 'an inner layer within a descriptor',
    original: innerText,
    parse: (input) => {
      const encrypted = encryptLayer('inner', secrets, random.bytes(16), input);
      return openDescriptor(sealed(Buffer.from(formatMiddle({ ...middle, encrypted }))), opening);
    },
  },
  { name: 'a certificate', original: certificate, parse: parseCertificate },
  {
    name: 'link specifiers',
    original: encodeLinkSpecifiers(points[0]?.linkSpecifiers ?? []),
    parse: decodeLinkSpecifiers,
  },
  { name: 'an address', original: Buffer.from(`${address}.onion`), parse: (input) => parseOnionAddress(latin1(input)) },
  { name: 'a secret key file', original: encodeSecretKeyFile(service.master), parse: parseSecretKeyFile },
  { name: 'a public key file', original: encodePublicKeyFile(service.master.publicKey), parse: parsePublicKeyFile },
  {
    name: 'a client key',
    original: Buffer.from(`${address}:descriptor:x25519:${encodeBase32(clientSecret)}`),
    parse: (input) => parseClientKey(latin1(input)),
  },
  {
    name: 'an authorized client',
    original: Buffer.from(`descriptor:x25519:${encodeBase32(clientPublicKey(clientSecret))}`),
    parse: (input) => parseAuthorizedClient(latin1(input)),
  },
];
const each = Math.ceil(total / targets.length);

describe(`${each} mutated inputs each`, () => {
  test.each(targets)('$name: the original parses', ({ original, parse }) => {
    expect(() => parse(Buffer.from(original))).not.toThrow();
  });

  test.each(targets)('$name: a value or a coded error', { timeout: 3_600_000 }, ({ original, parse }) => {
    const wrong: string[] = [];
    let refused = 0;
    for (let round = 0; round < each; round++) {
      const input = mutate(original, random);
      try {
        parse(input);
      } catch (error) {
        refused++;
        if (!isChimeraError(error)) wrong.push(`${messageOf(error)} at ${input.toString('base64')}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(refused).toBeGreaterThan(0);
  });
});
