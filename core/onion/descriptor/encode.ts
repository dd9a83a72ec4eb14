/** Writing a descriptor: synchronous, and in form what C tor writes, to the byte. */
import { ChimeraError } from '../../errors.ts';
import { ascii } from '../bytes.ts';
import { introCertificateExpiry } from '../certificate.ts';
import { signPlain } from '../signature.ts';
import { encryptLayer, saltLength } from './cipher.ts';
import { formatFeatures } from './inner.ts';
import { authorizationFor, introPointTexts } from './material.ts';
import type { DescriptorMaterial, RandomSource } from './material.ts';
import { formatMiddle } from './middle.ts';
import { defaultLifetimeMinutes, maxDescriptorBytes, maxIntroPoints } from './model.ts';
import type { IntroPoint, ServiceFeatures } from './model.ts';
import { formatSignature, formatSigned, signatureInput } from './outer.ts';

export interface EncodeOptions {
  readonly subcredential: Uint8Array;
  readonly revision: bigint;
  /** 1 to 20, written in this order. */
  readonly introPoints: readonly IntroPoint[];
  readonly features: ServiceFeatures;
  /** X25519 public keys of the authorized clients; none means that everybody may read. */
  readonly clients?: readonly Uint8Array[];
  /** Unix seconds. */
  readonly now: number;
  readonly random: RandomSource;
  /** Consensus parameter HSV3MaxDescriptorSize. */
  readonly maxBytes?: number;
  /** Takes no introduction points too: what tor itself shows of a service whose circuits are not up yet. Nobody publishes it. */
  readonly allowNoIntroPoints?: boolean;
}

function refuse(what: string, remedy: string): ChimeraError {
  return new ChimeraError('ONION_DESCRIPTOR', what, { remedy });
}

/** The text of a descriptor. Throws ONION_DESCRIPTOR beyond the limits of the format, ONION_CERTIFICATE when the material has expired. */
export function encodeDescriptor(material: DescriptorMaterial, options: EncodeOptions): string {
  const { subcredential, revision, introPoints, features, clients = [], now, random } = options;
  const fewest = options.allowNoIntroPoints === true ? 0 : 1;
  if (introPoints.length < fewest || introPoints.length > maxIntroPoints) {
    throw refuse(
      `a descriptor has 1 to ${maxIntroPoints} introduction points, not ${introPoints.length}`,
      'Select the introduction points before encoding.',
    );
  }
  if (revision < 0n || revision >= 2n ** 64n)
    throw refuse('a revision counter is a number below 2^64', 'Make it by revisionCounter.');
  if (now > introCertificateExpiry(material.issuedAt)) {
    throw new ChimeraError('ONION_CERTIFICATE', "the certificate of the descriptor's own signing key has expired", {
      remedy: 'Renew the material before encoding.',
    });
  }
  const authorization = authorizationFor(material, subcredential, clients, random);
  const secrets = { blindedPublicKey: material.blindedPublicKey, subcredential, revision };

  const inner = formatFeatures(features) + introPointTexts(material, introPoints).join('');
  const encrypted = encryptLayer(
    'inner',
    { ...secrets, cookie: authorization.cookie },
    random.bytes(saltLength),
    ascii(inner),
  );
  const middle = formatMiddle({
    ephemeralKey: authorization.ephemeralPublicKey,
    clients: authorization.lines,
    encrypted,
  });
  const superencrypted = encryptLayer('middle', secrets, random.bytes(saltLength), ascii(middle));
  const signed = formatSigned({
    lifetimeMinutes: defaultLifetimeMinutes,
    certificate: material.certificate,
    revision,
    superencrypted,
  });
  const text = signed + formatSignature(signPlain(material.signingKey, signatureInput(ascii(signed))));
  const maxBytes = options.maxBytes ?? maxDescriptorBytes;
  if (text.length >= maxBytes) {
    throw refuse(
      `the descriptor would have ${text.length} bytes; directories take fewer than ${maxBytes}`,
      'Publish fewer introduction points, or authorize fewer clients (112 with 20 introduction points).',
    );
  }
  return text;
}
