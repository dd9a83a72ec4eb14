/**
 * Descriptors and directory choices captured from C tor 0.4.9.11 on a private network with a voting interval of 20 s
 * (test/vectors/README.md). What C tor wrote is opened, taken apart and written again to the same bytes.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  blindedKey,
  buildRing,
  clientSlot,
  defaultRingRules,
  descriptorSlots,
  encodeDescriptor,
  createMaterial,
  fingerprintIn,
  hsdirIndex,
  isBetweenTimePeriodAndSrv,
  openDescriptor,
  opeRevision,
  parseCertificate,
  parseOnionAddress,
  parseSecretKeyFile,
  periodIdentity,
  readOuter,
  responsibleHsdirs,
  signBlinded,
} from '../../../core/onion/index.ts';
import type { ConsensusTimes, Relay } from '../../../core/onion/index.ts';
import { decryptLayer, encryptLayer } from '../../../core/onion/descriptor/cipher.ts';
import { formatFeatures, formatIntroPoint } from '../../../core/onion/descriptor/inner.ts';
import { cookieFor, formatMiddle, parseMiddle } from '../../../core/onion/descriptor/middle.ts';
import { formatSignature, formatSigned } from '../../../core/onion/descriptor/outer.ts';
import { agreementKey } from '../../../core/onion/key-agreement.ts';
import { expectCode, hex } from './support.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';

interface Captured {
  /** What the service is: plain, twenty introduction points, restricted, … */
  readonly name: string;
  /** "service" is GETINFO hs/service/desc/id; "hsdir" is HSFETCH by a client. */
  readonly source: 'service' | 'hsdir';
  readonly times: ConsensusTimes;
  readonly now: number;
  /** hs_ed25519_secret_key of a service that existed for this capture only. */
  readonly secretKeyFile: string;
  readonly address: string;
  readonly clientKey?: string;
  readonly introPoints: number;
  readonly text: string;
}

interface CapturedRing {
  readonly times: ConsensusTimes;
  readonly srvCurrent: string;
  readonly srvPrevious: string;
  /** Fingerprint, Ed25519 identity in base64. */
  readonly relays: readonly (readonly [string, string])[];
  /** Index of each relay by HSDIR_INDEX of the HS_DESC event, in the order of `relays`; null where tor never said. */
  readonly hsdirIndexes: readonly (string | null)[];
  /** Address → blinded key in base64, positions in `relays` of all HSDirs that tor's client asked. */
  readonly asked: Readonly<Record<string, readonly [string, readonly number[]]>>;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8'));
}

const rules = { testingNetwork: true };
const captured = read('c-tor-descriptors') as readonly Captured[];
const rings = read('c-tor-hsdirs') as readonly CapturedRing[];
const title = ({ name, source, times }: Captured): string =>
  `${name} by ${source}, ${isBetweenTimePeriodAndSrv(times, rules) ? 'period to SRV' : 'SRV to period'}`;

function open(vector: Captured) {
  const { first, second } = descriptorSlots(vector.times, rules, {});
  return openDescriptor(vector.text, {
    address: parseOnionAddress(vector.address),
    periods: [first.period, second.period],
    now: vector.now,
    clientKey: vector.clientKey === undefined ? undefined : hex(vector.clientKey),
  });
}

describe.each(captured.map((vector) => [title(vector), vector] as const))('C tor 0.4.9.11: %s', (_title, vector) => {
  const descriptor = open(vector);
  const outer = readOuter(vector.text);
  const { subcredential } = periodIdentity(descriptor.address, descriptor.period);
  const secrets = { blindedPublicKey: outer.blindedKey, subcredential, revision: outer.revision };
  const blinded = blindedKey(parseSecretKeyFile(hex(vector.secretKeyFile)), descriptor.period);
  const slots = descriptorSlots(vector.times, rules, {});
  const slot = descriptor.period.number === slots.first.period.number ? slots.first : slots.second;

  test('opens, with what the service was set up to have', () => {
    expect(descriptor.introPoints).toHaveLength(vector.introPoints);
    expect(descriptor.restricted).toBe(vector.clientKey !== undefined);
    expect(descriptor.features).toEqual({
      singleOnionService: vector.name === 'single',
      flowControl: { versions: '1-2', sendmeIncrement: 31 },
    });
    expect(descriptor.powParams !== undefined).toBe(vector.name === 'work');
    expect(descriptor.introPoints.every((point) => fingerprintIn(point.linkSpecifiers) !== undefined)).toBe(true);
  });

  test('a client finds the descriptor of the slot that clients use; the service shows its first', () => {
    expect(slot.name).toBe(vector.source === 'service' ? 'first' : slots.clientUses);
  });

  test('the blinded key derives from the secret key file', () => {
    expect(blinded.publicKey).toEqual(outer.blindedKey);
  });

  test("the revision counter is ours for a second of the descriptor's life", () => {
    const start = slot.revisionStart;
    const ages = Array.from({ length: vector.now - start }, (_, second) => second);
    expect(ages.some((second) => opeRevision(blinded, second) === descriptor.revision)).toBe(true);
  });

  test('every layer is written again to the same bytes', () => {
    const middle = decryptLayer('middle', secrets, outer.superencrypted) ?? Buffer.alloc(0);
    const parsed = parseMiddle(middle.toString('latin1'));
    expect(formatMiddle(parsed)).toBe(middle.toString('latin1'));
    const cookie =
      vector.clientKey === undefined
        ? undefined
        : cookieFor(parsed, subcredential, agreementKey(hex(vector.clientKey)));
    const inner = decryptLayer('inner', { ...secrets, cookie }, parsed.encrypted) ?? Buffer.alloc(0);
    const certificates = [...inner.toString('latin1').matchAll(/-----BEGIN ED25519 CERT-----\n([^-]+)-----END/g)].map(
      ([, body = '']) => Uint8Array.from(Buffer.from(body, 'base64')),
    );
    const points = descriptor.introPoints.map((point, index) =>
      formatIntroPoint(
        point,
        certificates[2 * index] ?? outer.signature,
        certificates[2 * index + 1] ?? outer.signature,
      ),
    );
    const powLine = /^pow-params .*\n/m.exec(inner.toString('latin1'))?.[0] ?? '';
    expect(formatFeatures(descriptor.features) + powLine + points.join('')).toBe(inner.toString('latin1'));

    const saltOf = (blob: Uint8Array): Uint8Array => blob.subarray(0, 16);
    expect(encryptLayer('inner', { ...secrets, cookie }, saltOf(parsed.encrypted), inner)).toEqual(
      Buffer.from(parsed.encrypted),
    );
    expect(encryptLayer('middle', secrets, saltOf(outer.superencrypted), middle)).toEqual(
      Buffer.from(outer.superencrypted),
    );
    const { body, signature } = outer.certificate;
    expect(
      formatSigned({ ...outer, certificate: Buffer.concat([body, signature]) }) + formatSignature(outer.signature),
    ).toBe(vector.text);
  });

  test('a descriptor that we make of its content has its length and its hours', async () => {
    const random = createSeededRandom(1);
    const clients = vector.clientKey === undefined ? [] : [hex(vector.clientKey), random.bytes(32)];
    const material = await createMaterial({
      random,
      blindedPublicKey: blinded.publicKey,
      now: vector.now,
      sign: (body) => Promise.resolve(signBlinded(blinded, body)),
    });
    const text = encodeDescriptor(material, {
      subcredential,
      revision: descriptor.revision,
      introPoints: descriptor.introPoints,
      features: descriptor.features,
      clients,
      now: vector.now,
      random,
    });
    expect(text).toHaveLength(vector.text.length);
    const hoursAgo = (outer.certificate.expiresAt - readOuter(text).certificate.expiresAt) / 3600;
    expect(hoursAgo === 0 || hoursAgo === -1).toBe(true);
    expect(parseCertificate(material.certificate).type).toBe(8);
  });
});

const restricted = captured.filter(({ clientKey }) => clientKey !== undefined);
test.each(restricted)('C tor 0.4.9.11: restricted by $source stays shut to another client key', (vector) => {
  expectCode('ONION_DECRYPT', () => open({ ...vector, clientKey: '42'.repeat(32) }));
});

test('C tor 0.4.9.11: the vectors hold both halves of the day, both sources and every kind of service', () => {
  const kinds = new Set(captured.map(title));
  for (const name of ['plain', 'nine', 'twenty', 'restricted', 'single', 'work']) {
    for (const half of ['SRV to period', 'period to SRV']) {
      expect(kinds).toContain(`${name} by hsdir, ${half}`);
    }
  }
  expect([...kinds].some((kind) => kind.includes('by service'))).toBe(true);
});

describe.each(
  rings.map(
    (ring) => [isBetweenTimePeriodAndSrv(ring.times, rules) ? 'period to SRV' : 'SRV to period', ring] as const,
  ),
)("C tor 0.4.9.11's client, %s", (_half, ring) => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
  const random = { current: bytes(ring.srvCurrent), previous: bytes(ring.srvPrevious) };
  const slot = clientSlot(ring.times, rules, random);
  const relays: Relay[] = ring.relays.map(([fingerprint, identity]) => ({ fingerprint, ed25519: bytes(identity) }));

  test('every relay stands where tor puts it', () => {
    const indexes = relays.map(({ ed25519 }) =>
      Buffer.from(hsdirIndex(ed25519, slot.srv, slot.period)).toString('hex'),
    );
    expect(ring.hsdirIndexes.filter((index) => index !== null).length).toBeGreaterThan(15);
    expect(indexes.map((index, position) => (ring.hsdirIndexes[position] === null ? null : index))).toEqual(
      ring.hsdirIndexes,
    );
  });

  test('blinded key and responsible HSDirs of random services agree', () => {
    const built = buildRing(relays, slot.srv, slot.period);
    expect(Object.keys(ring.asked).length).toBeGreaterThanOrEqual(100);
    for (const [address, [blinded, positions]] of Object.entries(ring.asked)) {
      const { blindedPublicKey } = periodIdentity(parseOnionAddress(address), slot.period);
      expect(Buffer.from(blindedPublicKey).toString('base64').replace('=', '')).toBe(blinded);
      const chosen = responsibleHsdirs(built, blindedPublicKey, slot.period, defaultRingRules, 'fetch');
      expect(new Set(chosen.map(({ fingerprint }) => fingerprint))).toEqual(
        new Set(positions.map((position) => ring.relays[position]?.[0])),
      );
    }
  });
});
