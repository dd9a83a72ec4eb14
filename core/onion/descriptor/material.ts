/**
 * What lives as long as a descriptor does, as in tor: its signing key and the certificate of that key, the ephemeral
 * key, cookie and fake clients of client authorization, and the certificates of its introduction points.
 *
 *   createMaterial (signs once) → encodeDescriptor, many times → renewMaterial (same keys, signs once) → …
 *
 * The blinded key signs only the 76-byte body of the certificate, outside and asynchronously: by a key file, a vault or
 * a threshold of shares. Certificates of introduction points expire with the hour of that signature, as if tor had
 * made all of them at that moment, so that a reader cannot tell when a point joined.
 */
import type { KeyObject } from 'node:crypto';
import { ChimeraError } from '../../errors.ts';
import { copyOf } from '../bytes.ts';
import {
  certificateBody,
  certificateExpiry,
  certificateLength,
  certificateTypes,
  introCertificateExpiry,
} from '../certificate.ts';
import { agreementKey, agreementPublicKey, ed25519FormOf } from '../key-agreement.ts';
import { rawPublicKey, signPlain, signingKeyOfSeed, verifyPlain } from '../signature.ts';
import { aesCtr } from '../hash.ts';
import { clientIdLength, clientKeys, cookieIvLength, cookieLength } from './cipher.ts';
import { formatIntroPoint } from './inner.ts';
import type { AuthClient } from './middle.ts';
import type { IntroPoint } from './model.ts';

/** The chance that this module draws from. */
export interface RandomSource {
  bytes(length: number): Uint8Array;
  int(below: number): number;
}

/** Client authorization as it stands in a descriptor. */
export interface Authorization {
  readonly ephemeralPublicKey: Uint8Array;
  readonly lines: readonly AuthClient[];
  /** Absent when no client is authorized, and everybody may read. */
  readonly cookie?: Uint8Array;
}

export interface DescriptorMaterial {
  readonly blindedPublicKey: Uint8Array;
  /** The descriptor signing key's public half. */
  readonly signingPublicKey: Uint8Array;
  readonly signingKey: KeyObject;
  /** 140 bytes. */
  readonly certificate: Uint8Array;
  /** Unix seconds at which the certificate was made. */
  readonly issuedAt: number;
  /** Unix seconds; introduction-point certificates expire with it or up to an hour before. */
  readonly expiresAt: number;
  /** Clients and subcredential → authorization. Holds the last one only: another client list gets a new cookie and key. */
  readonly authorizations: Map<string, Authorization>;
  /** Introduction point → its text in the descriptor with both certificates. */
  readonly introPointTexts: Map<string, string>;
}

export interface MaterialOptions {
  readonly random: RandomSource;
  readonly blindedPublicKey: Uint8Array;
  /** Unix seconds. */
  readonly now: number;
  /** Signs a 76-byte certificate body with the blinded key; 64 bytes. */
  readonly sign: (body: Uint8Array) => Promise<Uint8Array>;
}

/** New material: a fresh signing key, certified by the blinded key. Throws ONION_SIGNATURE when `sign` gives a wrong signature. */
export async function createMaterial(options: MaterialOptions): Promise<DescriptorMaterial> {
  const signingKey = signingKeyOfSeed(options.random.bytes(32));
  const signingPublicKey = rawPublicKey(signingKey);
  return {
    blindedPublicKey: copyOf(options.blindedPublicKey),
    signingPublicKey,
    signingKey,
    ...(await certify(signingPublicKey, options)),
    authorizations: new Map(),
    introPointTexts: new Map(),
  };
}

/** The same material with a new certificate: what tor does before each upload. Keys, cookie and fake clients stay. */
export async function renewMaterial(
  material: DescriptorMaterial,
  options: Pick<MaterialOptions, 'now' | 'sign'>,
): Promise<DescriptorMaterial> {
  const certified = await certify(material.signingPublicKey, {
    ...options,
    blindedPublicKey: material.blindedPublicKey,
  });
  const sameExpiry = introCertificateExpiry(certified.issuedAt) === introCertificateExpiry(material.issuedAt);
  return {
    ...material,
    ...certified,
    introPointTexts: sameExpiry ? material.introPointTexts : new Map<string, string>(),
  };
}

async function certify(
  signingPublicKey: Uint8Array,
  { blindedPublicKey, now, sign }: Omit<MaterialOptions, 'random'>,
): Promise<Pick<DescriptorMaterial, 'certificate' | 'issuedAt' | 'expiresAt'>> {
  const expiresAt = certificateExpiry(now);
  const body = certificateBody({
    type: certificateTypes.descriptorSigningKey,
    expiresAt,
    certifiedKey: signingPublicKey,
    signingKey: blindedPublicKey,
  });
  const signature = await sign(body);
  if (!verifyPlain(blindedPublicKey, body, signature)) {
    throw new ChimeraError('ONION_SIGNATURE', 'the signer gave a wrong signature for the descriptor signing key', {
      remedy: 'Check that the signer holds the key of this service, and blinds it for this time period.',
    });
  }
  return { certificate: copyOf(Buffer.concat([body, signature])), issuedAt: now, expiresAt };
}

/** Clients come in multiples of this, so that their number does not show. */
const clientMultiple = 16;

/** The authorization of a client list: kept while the list stays, made anew (key, cookie, fakes) when it changes. */
export function authorizationFor(
  material: DescriptorMaterial,
  subcredential: Uint8Array,
  clients: readonly Uint8Array[],
  random: RandomSource,
): Authorization {
  const name = Buffer.concat([subcredential, ...clients]).toString('latin1');
  const known = material.authorizations.get(name);
  if (known !== undefined) return known;
  const ephemeral = agreementKey(random.bytes(32));
  const cookie = clients.length === 0 ? undefined : random.bytes(cookieLength);
  const lines =
    cookie === undefined ? [] : clients.map((client) => authClient(subcredential, ephemeral, client, cookie, random));
  while (lines.length === 0 || lines.length % clientMultiple !== 0) {
    lines.push({
      id: random.bytes(clientIdLength),
      iv: random.bytes(cookieIvLength),
      encryptedCookie: random.bytes(cookieLength),
    });
  }
  shuffle(lines, random);
  const authorization = {
    ephemeralPublicKey: agreementPublicKey(ephemeral),
    lines,
    ...(cookie === undefined ? {} : { cookie }),
  };
  material.authorizations.clear();
  material.authorizations.set(name, authorization);
  return authorization;
}

function authClient(
  subcredential: Uint8Array,
  ephemeral: KeyObject,
  client: Uint8Array,
  cookie: Uint8Array,
  random: RandomSource,
): AuthClient {
  const keys = client.length === 32 ? clientKeys(subcredential, ephemeral, client) : undefined;
  if (keys === undefined) {
    throw new ChimeraError('ONION_DESCRIPTOR', 'the public key of an authorized client is not an X25519 key', {
      remedy: 'Give the key from the line "descriptor:x25519:…" of the client.',
    });
  }
  const iv = random.bytes(cookieIvLength);
  return { id: keys.id, iv, encryptedCookie: aesCtr(keys.cookieKey, iv, cookie) };
}

function shuffle(items: AuthClient[], random: RandomSource): void {
  for (let last = items.length - 1; last > 0; last--) {
    const other = random.int(last + 1);
    [items[last], items[other]] = [items[other] as AuthClient, items[last] as AuthClient];
  }
}

/** The texts of introduction points with their certificates; those of the last call are not signed again. */
export function introPointTexts(material: DescriptorMaterial, points: readonly IntroPoint[]): string[] {
  const known = material.introPointTexts;
  const texts = points.map((point) => {
    const name = contentOf(point);
    return { name, text: known.get(name) ?? certifiedText(material, point) };
  });
  known.clear();
  for (const { name, text } of texts) known.set(name, text);
  return texts.map(({ text }) => text);
}

function contentOf(point: IntroPoint): string {
  const parts: Uint8Array[] = [point.authKey, point.encKey, point.onionKey];
  for (const { type, data } of point.linkSpecifiers) parts.push(Uint8Array.of(type, data.length), data);
  return Buffer.concat(parts).toString('latin1');
}

function certifiedText(material: DescriptorMaterial, point: IntroPoint): string {
  const encKey = point.encKey.length === 32 ? ed25519FormOf(point.encKey) : undefined;
  if (encKey === undefined || point.authKey.length !== 32 || point.onionKey.length !== 32) {
    throw new ChimeraError('ONION_DESCRIPTOR', 'an introduction point to be published has a malformed key', {
      remedy: 'Take introduction points from verified descriptors only.',
    });
  }
  const certify = (type: number, certifiedKey: Uint8Array): Uint8Array => {
    const certificate = new Uint8Array(certificateLength);
    const body = certificateBody({
      type,
      expiresAt: introCertificateExpiry(material.issuedAt),
      certifiedKey,
      signingKey: material.signingPublicKey,
    });
    certificate.set(body);
    certificate.set(signPlain(material.signingKey, body), body.length);
    return certificate;
  };
  return formatIntroPoint(
    point,
    certify(certificateTypes.introAuthKey, point.authKey),
    certify(certificateTypes.introEncKey, encKey),
  );
}
