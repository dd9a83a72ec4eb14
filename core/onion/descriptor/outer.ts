/**
 * The outer layer: what everybody sees, and all that a directory checks. `readOuter` only parses; `verifyOuter` is what
 * an HSDir does before it stores: certificate, signature, sizes.
 */
import { ChimeraError } from '../../errors.ts';
import { ascii, encodeBase64Unpadded } from '../bytes.ts';
import { certificateTypes, parseCertificate, verifyCertificate } from '../certificate.ts';
import type { Certificate } from '../certificate.ts';
import { verifyPlain, verifyingKey } from '../signature.ts';
import { bytesOf, decimalOf, formatObject, malformed, objectOf, parseItems, requiredItem } from './items.ts';
import { maxDescriptorBytes, maxLifetimeMinutes } from './model.ts';

export interface OuterDescriptor {
  readonly revision: bigint;
  readonly lifetimeMinutes: number;
  /** The signer of the certificate, 32 bytes. */
  readonly blindedKey: Uint8Array;
  /** Certifies the descriptor signing key. */
  readonly certificate: Certificate;
  /** The encrypted middle layer. */
  readonly superencrypted: Uint8Array;
  /** The bytes that the signature covers, without their prefix. */
  readonly signedBytes: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

const layer = 'outer';
const signaturePrefix = ascii('Tor onion service descriptor sig v3');
const shortestBlob = 16 + 32 + 1;

/** What the signature of a descriptor is made over. */
export function signatureInput(signedBytes: Uint8Array): Buffer {
  return Buffer.concat([signaturePrefix, signedBytes]);
}

/** The signed part of a descriptor as tor writes it; its signature line follows. `certificate` is 140 bytes. */
export function formatSigned(fields: {
  readonly lifetimeMinutes: number;
  readonly certificate: Uint8Array;
  readonly revision: bigint;
  readonly superencrypted: Uint8Array;
}): string {
  return [
    'hs-descriptor 3',
    `descriptor-lifetime ${fields.lifetimeMinutes}`,
    'descriptor-signing-key-cert',
    formatObject('ED25519 CERT', fields.certificate),
    `revision-counter ${fields.revision}`,
    'superencrypted',
    formatObject('MESSAGE', fields.superencrypted),
    '',
  ].join('\n');
}

/** The last line of a descriptor. */
export function formatSignature(signature: Uint8Array): string {
  return `signature ${encodeBase64Unpadded(signature)}\n`;
}

function asBytes(text: string | Uint8Array, maxBytes: number): Buffer {
  const bytes =
    typeof text === 'string'
      ? Buffer.from(text.length < maxBytes ? text : '')
      : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  if (text.length >= maxBytes || bytes.length >= maxBytes) {
    throw malformed(layer, `it has ${Math.max(text.length, bytes.length)} bytes; fewer than ${maxBytes} are allowed`);
  }
  if (bytes.length === 0) throw malformed(layer, 'it is empty');
  return bytes;
}

/**
 * Parses the outer layer; nothing is verified. Throws ONION_DESCRIPTOR or ONION_CERTIFICATE.
 * `maxBytes` is the consensus parameter HSV3MaxDescriptorSize.
 */
export function readOuter(text: string | Uint8Array, maxBytes: number = maxDescriptorBytes): OuterDescriptor {
  const bytes = asBytes(text, maxBytes);
  const content = bytes.toString('latin1');
  const items = parseItems(layer, content);
  const first = items[0];
  const last = items.at(-1);
  if (first?.keyword !== 'hs-descriptor') throw malformed(layer, 'it does not begin with "hs-descriptor"');
  if (first.rest !== '3') throw malformed(layer, 'its version is not 3');
  for (const keyword of ['hs-descriptor', 'signature']) requiredItem(layer, items, keyword);
  if (last?.keyword !== 'signature') throw malformed(layer, '"signature" is not its last line');
  const signatureAt = content.lastIndexOf('\nsignature ') + 1;
  // Strict to the byte: whatever follows the signed part is not covered by the signature.
  const signatureLine = /^signature ([A-Za-z0-9+/]{86})\n?$/.exec(content.slice(signatureAt));
  // Tor signs up to the first such line, wherever it stands: two readers must not see two signed parts.
  const elsewhere = content.indexOf('\nsignature ') + 1 !== signatureAt;
  if (signatureAt === 0 || elsewhere || signatureLine === null)
    throw malformed(layer, 'its "signature" line is malformed');

  const lifetime = decimalOf(layer, requiredItem(layer, items, 'descriptor-lifetime'));
  if (lifetime > BigInt(maxLifetimeMinutes)) {
    throw malformed(layer, `its lifetime of ${lifetime} min is over ${maxLifetimeMinutes} min`);
  }
  const certificate = parseCertificate(
    objectOf(layer, requiredItem(layer, items, 'descriptor-signing-key-cert'), 'ED25519 CERT'),
  );
  const superencrypted = objectOf(layer, requiredItem(layer, items, 'superencrypted'), 'MESSAGE');
  if (superencrypted.length < shortestBlob) throw malformed(layer, 'its encrypted part is too short');
  return {
    revision: decimalOf(layer, requiredItem(layer, items, 'revision-counter')),
    lifetimeMinutes: Number(lifetime),
    blindedKey: certificate.signingKey,
    certificate,
    superencrypted,
    signedBytes: bytes.subarray(0, signatureAt),
    signature: bytesOf(layer, 'signature', signatureLine[1], 64),
  };
}

/** Checks the certificate and the signature of a parsed outer layer. Throws ONION_CERTIFICATE or ONION_SIGNATURE. `now` in unix seconds. */
export function checkOuter(outer: OuterDescriptor, now: number): void {
  verifyCertificate(outer.certificate, {
    type: certificateTypes.descriptorSigningKey,
    now,
    what: 'the descriptor signing key',
  });
  if (!verifyPlain(verifyingKey(outer.certificate.certifiedKey), signatureInput(outer.signedBytes), outer.signature)) {
    throw new ChimeraError(
      'ONION_SIGNATURE',
      'the signature of the descriptor does not verify: it was changed or damaged',
      {
        remedy: 'Fetch the descriptor again, byte for byte.',
      },
    );
  }
}

/** What a hidden service directory does with a descriptor before it stores it. Throws ONION_*; `now` in unix seconds. */
export function verifyOuter(
  text: string | Uint8Array,
  options: { readonly now: number; readonly maxBytes?: number },
): OuterDescriptor {
  const outer = readOuter(text, options.maxBytes);
  checkOuter(outer, options.now);
  return outer;
}
