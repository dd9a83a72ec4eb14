import { describe, expect, test } from 'vitest';
import {
  clientPublicKey,
  createMaterial,
  encodeDescriptor,
  introPointId,
  maxDescriptorBytes,
  openDescriptor,
  parseCertificate,
  readOuter,
  renewMaterial,
  signBlinded,
  verifyOuter,
} from '../../../core/onion/index.ts';
import type { EncodeOptions } from '../../../core/onion/index.ts';
import { decryptLayer } from '../../../core/onion/descriptor/cipher.ts';
import { cookieFor, parseMiddle } from '../../../core/onion/descriptor/middle.ts';
import { agreementKey } from '../../../core/onion/key-agreement.ts';
import { anyNow, anyPeriod, expectCode, makeIntroPoints, makeService, plainFeatures } from './support.ts';
import type { TestService } from './support.ts';

const service = await makeService();
const { address, period, random } = service;
const points = makeIntroPoints(20, random);
const pointsWithIpv6 = makeIntroPoints(20, random, true);
const opening = { address, periods: [period], now: anyNow };

function encode(options: Partial<EncodeOptions> = {}, of: TestService = service): string {
  return encodeDescriptor(of.material, {
    subcredential: of.subcredential,
    revision: 12_345n,
    introPoints: points.slice(0, 3),
    features: plainFeatures,
    now: anyNow,
    random,
    ...options,
  });
}

interface Layers {
  readonly middle: string;
  readonly middlePlaintextLength: number;
  readonly inner: string;
}

function layersOf(text: string, of: TestService = service, clientSecret?: Uint8Array): Layers {
  const outer = readOuter(text);
  const secrets = {
    blindedPublicKey: outer.blindedKey,
    subcredential: of.subcredential,
    revision: outer.revision,
  };
  const middle = decryptLayer('middle', secrets, outer.superencrypted)?.toString('latin1') ?? '';
  const parsed = parseMiddle(middle);
  const cookie = clientSecret && cookieFor(parsed, of.subcredential, agreementKey(clientSecret));
  const inner = decryptLayer('inner', { ...secrets, cookie }, parsed.encrypted)?.toString('latin1') ?? '';
  return { middle, middlePlaintextLength: outer.superencrypted.length - 48, inner };
}

describe('what is written can be read', () => {
  test('everything that a descriptor says comes back', () => {
    const descriptor = openDescriptor(encode(), opening);
    expect(descriptor).toEqual({
      address,
      period,
      blindedKey: service.blinded.publicKey,
      revision: 12_345n,
      lifetimeMinutes: 180,
      signingKeyExpiresAt: service.material.expiresAt,
      introPoints: points.slice(0, 3),
      features: plainFeatures,
      restricted: false,
    });
    expect(descriptor.introPoints.map(introPointId)).toEqual(points.slice(0, 3).map(introPointId));
  });

  test('as bytes, and without the final newline, it is the same', () => {
    const text = encode();
    const expected = openDescriptor(text, opening);
    expect(openDescriptor(Buffer.from(text), opening)).toEqual(expected);
    expect(openDescriptor(text.slice(0, -1), opening)).toEqual(expected);
  });

  test('all features come back', () => {
    const features = {
      singleOnionService: true,
      flowControl: { versions: '1-2', sendmeIncrement: 30 },
      proto: 'FlowCtrl=1-2 Relay=2',
      introAuthRequired: ['ed25519', 'other'],
    };
    expect(openDescriptor(encode({ features }), opening).features).toEqual(features);
    const none = { singleOnionService: false };
    expect(openDescriptor(encode({ features: none }), opening).features).toEqual(none);
  });

  test('an HSDir verifies it knowing nothing of the service', () => {
    const outer = verifyOuter(encode(), { now: anyNow });
    expect(outer.blindedKey).toEqual(service.blinded.publicKey);
    expect(outer.revision).toBe(12_345n);
    expect(outer.lifetimeMinutes).toBe(180);
  });
});

/** The text without the base64 of its objects, whose lines must be full but for the last. */
function withoutBodies(text: string): string {
  return text.replaceAll(/(?<=-----\n)(?:[A-Za-z0-9+/]{64}\n)*(?:[A-Za-z0-9+/=]{1,64}\n)(?=-----END)/g, '');
}

describe('the form is that of C tor', () => {
  test('outer layer: order, lines wrapped at 64, one final newline', () => {
    const shape = withoutBodies(encode());
    expect(shape.replace(/signature [A-Za-z0-9+/]{86}\n$/, 'signature\n')).toBe(
      [
        'hs-descriptor 3',
        'descriptor-lifetime 180',
        'descriptor-signing-key-cert',
        '-----BEGIN ED25519 CERT-----',
        '-----END ED25519 CERT-----',
        'revision-counter 12345',
        'superencrypted',
        '-----BEGIN MESSAGE-----',
        '-----END MESSAGE-----',
        'signature',
        '',
      ].join('\n'),
    );
  });

  test('middle layer: 16 clients, no final newline, padded to 10,000', () => {
    const { middle, middlePlaintextLength } = layersOf(encode());
    expect(withoutBodies(middle)).toMatch(
      /^desc-auth-type x25519\ndesc-auth-ephemeral-key [A-Za-z0-9+/]{43}=\n(?:auth-client [A-Za-z0-9+/]{11} [A-Za-z0-9+/]{22} [A-Za-z0-9+/]{22}\n){16}encrypted\n-----BEGIN MESSAGE-----\n-----END MESSAGE-----$/,
    );
    expect(middlePlaintextLength).toBe(10_000);
  });

  test('inner layer: order of features and of each introduction point, final newline, no padding', () => {
    const features = { ...plainFeatures, singleOnionService: true, introAuthRequired: ['ed25519'] };
    const { inner } = layersOf(encode({ features, introPoints: points.slice(0, 2) }));
    const point =
      /introduction-point [A-Za-z0-9+/=]+\nonion-key ntor [A-Za-z0-9+/]{43}=\nauth-key\n<cert>enc-key ntor [A-Za-z0-9+/]{43}=\nenc-key-cert\n<cert>/;
    expect(
      inner.replaceAll(
        /-----BEGIN ED25519 CERT-----\n(?:[A-Za-z0-9+/=]{1,64}\n){3}-----END ED25519 CERT-----\n/g,
        '<cert>',
      ),
    ).toMatch(
      new RegExp(
        `^create2-formats 2\\nintro-auth-required ed25519\\nsingle-onion-service\\nflow-control 1-2 31\\n(?:${point.source}){2}$`,
      ),
    );
  });

  test.each([
    [1, 14_106],
    [8, 14_106],
    [9, 27_646],
    [17, 27_646],
    [18, 41_186],
    [20, 41_186],
  ])('live tor 0.4.9.11: %i introduction points with IPv6 make %i bytes (counter of 5 digits)', (count, bytes) => {
    expect(encode({ introPoints: pointsWithIpv6.slice(0, count) })).toHaveLength(bytes);
  });

  test('certificates expire on the hours that tor takes', () => {
    const text = encode();
    const hour = anyNow - (anyNow % 3600);
    expect(readOuter(text).certificate.expiresAt).toBe(Math.ceil(anyNow / 3600) * 3600 + 54 * 3600);
    const certificates = [...layersOf(text).inner.matchAll(/-----BEGIN ED25519 CERT-----\n([^-]+)-----END/g)];
    expect(certificates).toHaveLength(6);
    for (const [, body = ''] of certificates) {
      expect(parseCertificate(Buffer.from(body, 'base64')).expiresAt).toBe(hour + 54 * 3600);
    }
  });
});

describe('material', () => {
  const certificatesIn = (text: string, of: TestService): string[] =>
    layersOf(text, of).inner.match(/-----BEGIN[^-]+-----[^-]+-----END/g) ?? [];

  test('signing key, ephemeral key, fake clients and certificates stay; salts do not', () => {
    const one = encode();
    const two = encode({ revision: 12_346n });
    const header = /^[^]*auth-client.*\n(?=encrypted)/;
    expect(header.exec(layersOf(one).middle)?.[0]).toBe(header.exec(layersOf(two).middle)?.[0]);
    expect(layersOf(one).inner).toBe(layersOf(two).inner);
    expect(readOuter(one).certificate).toEqual(readOuter(two).certificate);
    expect(Buffer.from(readOuter(one).superencrypted.subarray(0, 16))).not.toEqual(
      Buffer.from(readOuter(two).superencrypted.subarray(0, 16)),
    );
  });

  test('an unchanged introduction point is not certified again, a new one is', async () => {
    const own = await makeService(2);
    const certificatesOf = (from: number, to: number): string[] =>
      certificatesIn(encode({ introPoints: points.slice(from, to), subcredential: own.subcredential }, own), own);
    const before = certificatesOf(0, 3);
    const after = certificatesOf(1, 4);
    expect(after.slice(0, 4)).toEqual(before.slice(2));
    expect(own.material.introPointTexts.size).toBe(3);
  });

  test('renewed material keeps its keys, and certifies everything anew with the new hours', async () => {
    const own = await makeService(3);
    const later = anyNow + 30 * 3600;
    const renewed = await renewMaterial(own.material, {
      now: later,
      sign: (body) => Promise.resolve(signBlinded(own.blinded, body)),
    });
    expect(renewed.signingPublicKey).toEqual(own.material.signingPublicKey);
    expect(renewed.expiresAt).toBe(own.material.expiresAt + 30 * 3600);
    const text = encodeDescriptor(renewed, {
      subcredential: own.subcredential,
      revision: 5n,
      introPoints: points,
      features: plainFeatures,
      now: later,
      random,
    });
    const afterFirstExpiry = anyNow + 60 * 3600;
    expect(
      openDescriptor(text, { address: own.address, periods: [period], now: afterFirstExpiry }).introPoints,
    ).toEqual(points);
  });

  test('renewed within the same hour, introduction points are not certified again', async () => {
    const own = await makeService(4);
    const sign = (body: Uint8Array): Promise<Uint8Array> => Promise.resolve(signBlinded(own.blinded, body));
    const renewed = await renewMaterial(own.material, { now: anyNow + 1, sign });
    expect(renewed.introPointTexts).toBe(own.material.introPointTexts);
  });

  test('a wrong signature by the signer is refused', async () => {
    const other = await makeService(5);
    const making = createMaterial({
      random,
      blindedPublicKey: service.blinded.publicKey,
      now: anyNow,
      sign: (body) => Promise.resolve(signBlinded(other.blinded, body)),
    });
    await expect(making).rejects.toMatchObject({ code: 'ONION_SIGNATURE' });
  });

  test('expired material is refused', () => {
    expectCode('ONION_CERTIFICATE', () => encode({ now: anyNow + 55 * 3600 }));
  });
});

describe('the limits of the format', () => {
  test('no introduction points, or more than 20, are refused', () => {
    expectCode('ONION_DESCRIPTOR', () => encode({ introPoints: [] }));
    expectCode('ONION_DESCRIPTOR', () => encode({ introPoints: [...points, ...points.slice(0, 1)] }));
  });

  test('a counter beyond 64 bits is refused', () => {
    expectCode('ONION_DESCRIPTOR', () => encode({ revision: 2n ** 64n }));
    expectCode('ONION_DESCRIPTOR', () => encode({ revision: -1n }));
    expect(openDescriptor(encode({ revision: 2n ** 64n - 1n }), opening).revision).toBe(2n ** 64n - 1n);
  });

  test('features that would break their line are refused', () => {
    for (const features of [
      { singleOnionService: false, proto: 'a\nb' },
      { singleOnionService: false, introAuthRequired: ['ed25519\nintroduction-point x'] },
      { singleOnionService: false, flowControl: { versions: '1 2', sendmeIncrement: 31 } },
      { singleOnionService: false, flowControl: { versions: '1-2', sendmeIncrement: 0 } },
      { singleOnionService: false, flowControl: { versions: '1-2', sendmeIncrement: 255 } },
    ]) {
      expectCode('ONION_DESCRIPTOR', () => encode({ features }));
    }
  });

  test('an introduction point with a malformed key is refused', () => {
    const [point] = points;
    for (const change of [
      { authKey: new Uint8Array(31) },
      { encKey: new Uint8Array(31) },
      { onionKey: new Uint8Array(0) },
    ]) {
      expectCode('ONION_DESCRIPTOR', () =>
        encode({ introPoints: point === undefined ? [] : [{ ...point, ...change }] }),
      );
    }
  });

  test('HSV3MaxDescriptorSize: 112 clients fit beside 20 introduction points with IPv6, 113 do not', () => {
    const clients = Array.from({ length: 113 }, () => clientPublicKey(random.bytes(32)));
    const fits = encode({ introPoints: pointsWithIpv6, clients: clients.slice(0, 112) });
    expect(fits.length).toBeLessThan(maxDescriptorBytes);
    expectCode('ONION_DESCRIPTOR', () => encode({ introPoints: pointsWithIpv6, clients }));
    expectCode('ONION_DESCRIPTOR', () => encode({ maxBytes: 10_000 }));
  });
});

describe('client authorization', () => {
  const secret = random.bytes(32);
  const otherSecret = random.bytes(32);
  const clients = [clientPublicKey(secret), clientPublicKey(random.bytes(32))];

  test('an authorized client opens it', () => {
    const descriptor = openDescriptor(encode({ clients }), { ...opening, clientKey: secret });
    expect(descriptor.restricted).toBe(true);
    expect(descriptor.introPoints).toEqual(points.slice(0, 3));
  });

  test('without a key, or with another, it stays shut and says why', () => {
    const text = encode({ clients });
    expect(expectCode('ONION_DECRYPT', () => openDescriptor(text, opening)).message).toMatch(
      /requires client authorization, and no client key/,
    );
    expect(
      expectCode('ONION_DECRYPT', () => openDescriptor(text, { ...opening, clientKey: otherSecret })).message,
    ).toMatch(/requires client authorization, and this client key is not/);
    expectCode('ONION_DECRYPT', () => openDescriptor(text, { ...opening, clientKey: new Uint8Array(31) }));
  });

  test('a key does no harm where everybody may read', () => {
    expect(openDescriptor(encode(), { ...opening, clientKey: secret }).restricted).toBe(false);
  });

  test('16 lines hide 1 to 16 clients, 17 make 32', async () => {
    const own = await makeService(6);
    const linesFor = (count: number): number => {
      const keys = Array.from({ length: count }, () => clientPublicKey(random.bytes(32)));
      const text = encodeDescriptor(own.material, {
        subcredential: own.subcredential,
        revision: 1n,
        introPoints: points.slice(0, 1),
        features: plainFeatures,
        clients: keys,
        now: anyNow,
        random,
      });
      return layersOf(text, own).middle.match(/^auth-client /gm)?.length ?? 0;
    };
    expect([0, 1, 15, 16, 17, 32].map(linesFor)).toEqual([16, 16, 16, 16, 32, 32]);
  });

  test('the position of a client is shuffled', async () => {
    const positions = new Set<number>();
    for (let seed = 100; seed < 120; seed++) {
      const own = await makeService(seed);
      const text = encode({ clients: clients.slice(0, 1), subcredential: own.subcredential }, own);
      const middle = parseMiddle(layersOf(text, own).middle);
      positions.add(
        middle.clients.findIndex(
          (_, index) =>
            cookieFor(
              { ...middle, clients: middle.clients.slice(index, index + 1) },
              own.subcredential,
              agreementKey(secret),
            ) !== undefined,
        ),
      );
    }
    expect(positions.size).toBeGreaterThan(5);
  });

  test('a client taken off the list cannot read the next descriptor with the cookie it knows', () => {
    const before = encode({ clients });
    const outer = readOuter(before);
    const secrets = { blindedPublicKey: outer.blindedKey, subcredential: service.subcredential };
    const cookie = cookieFor(parseMiddle(layersOf(before).middle), service.subcredential, agreementKey(secret));
    expect(cookie).toBeDefined();
    const after = encode({ clients: clients.slice(1), revision: 12_346n });
    const middle = parseMiddle(layersOf(after).middle);
    expect(cookieFor(middle, service.subcredential, agreementKey(secret))).toBeUndefined();
    expect(decryptLayer('inner', { ...secrets, revision: 12_346n, cookie }, middle.encrypted)).toBeUndefined();
  });

  test('keys that are no X25519 keys are refused', () => {
    expectCode('ONION_DESCRIPTOR', () => encode({ clients: [new Uint8Array(32)] }));
    expectCode('ONION_DESCRIPTOR', () => encode({ clients: [new Uint8Array(31)] }));
  });
});

describe('what is refused when reading', () => {
  test('the descriptor of another service', async () => {
    const other = await makeService(7);
    const error = expectCode('ONION_WRONG_SERVICE', () =>
      openDescriptor(encode(), { ...opening, address: other.address }),
    );
    expect(error.message).toMatch(/not derived from that address/);
  });

  test('another time period, and the message names it', async () => {
    const error = expectCode('ONION_WRONG_SERVICE', () =>
      openDescriptor(encode(), { ...opening, periods: [{ ...anyPeriod, number: anyPeriod.number + 1 }] }),
    );
    expect(error.message).toContain(`is of time period ${anyPeriod.number}`);
    expectCode('ONION_WRONG_SERVICE', () => openDescriptor(encode(), { ...opening, periods: [] }));
    expectCode('ONION_WRONG_SERVICE', () =>
      openDescriptor(encode(), { ...opening, periods: [{ ...anyPeriod, lengthMinutes: 8 }] }),
    );
  });

  test('expired certificates', () => {
    const error = expectCode('ONION_CERTIFICATE', () =>
      openDescriptor(encode(), { ...opening, now: anyNow + 56 * 3600 }),
    );
    expect(error.message).toMatch(/expired/);
  });

  test('a right blinded key whose certificate is signed by somebody else', async () => {
    const thief = await makeService(8);
    const certificate = Uint8Array.from(thief.material.certificate);
    certificate.set(service.blinded.publicKey, 44);
    const stolen = { ...thief.material, certificate, blindedPublicKey: service.blinded.publicKey };
    expectCode('ONION_CERTIFICATE', () => openDescriptor(encode({}, { ...service, material: stolen }), opening));
  });

  test('a descriptor that is too long is refused before it is read', () => {
    expectCode('ONION_DESCRIPTOR', () => readOuter('x'.repeat(maxDescriptorBytes)));
    expectCode('ONION_DESCRIPTOR', () => readOuter(new Uint8Array(maxDescriptorBytes)));
    expectCode('ONION_DESCRIPTOR', () => readOuter('ü'.repeat(maxDescriptorBytes / 2)));
  });

  const text = encode();
  const lines = (change: (text: string) => string): string => change(text);
  test.each<[string, string]>([
    ['nothing', ''],
    ['another version', lines((t) => t.replace('hs-descriptor 3', 'hs-descriptor 2'))],
    ['another first line', lines((t) => `x\n${t}`)],
    ['a line after the signature', lines((t) => `${t}x\n`)],
    ['a blank after the signature', lines((t) => t.replace(/\n$/, ' '))],
    ['two signatures', lines((t) => t + t.slice(t.indexOf('signature ')))],
    [
      'a signature within an object',
      lines((t) => t.replace('revision', 'unknown\n-----BEGIN X-----\nsignature x\n-----END X-----\nrevision')),
    ],
    ['no signature', lines((t) => t.slice(0, t.indexOf('signature ')))],
    ['a lifetime that is too long', lines((t) => t.replace('descriptor-lifetime 180', 'descriptor-lifetime 721'))],
    ['a lifetime that is no number', lines((t) => t.replace('descriptor-lifetime 180', 'descriptor-lifetime -1'))],
    [
      'two lifetimes',
      lines((t) => t.replace('descriptor-lifetime 180', 'descriptor-lifetime 180\ndescriptor-lifetime 180')),
    ],
    ['no counter', lines((t) => t.replace('revision-counter 12345\n', ''))],
    ['a counter beyond 64 bits', lines((t) => t.replace('revision-counter 12345', `revision-counter ${2n ** 64n}`))],
    ['an object of another type', lines((t) => t.replaceAll('ED25519 CERT', 'CERT'))],
    ['an object without an end', lines((t) => t.replace('-----END MESSAGE-----\n', ''))],
    [
      'an object that is no base64',
      lines((t) => t.replace('-----BEGIN MESSAGE-----\n', '-----BEGIN MESSAGE-----\n!!!\n')),
    ],
    ['an object before any keyword', '-----BEGIN MESSAGE-----\n-----END MESSAGE-----\n'],
    ['a NUL byte', lines((t) => t.replace('revision', '\0revision'))],
  ])('%s is malformed', (_name, changed) => {
    expectCode('ONION_DESCRIPTOR', () => openDescriptor(changed, opening));
  });

  test('a changed counter is refused by the signature', () => {
    expectCode('ONION_SIGNATURE', () => openDescriptor(text.replace('counter 12345', 'counter 12346'), opening));
  });
});
