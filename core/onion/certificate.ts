/**
 * Ed25519 certificates (cert-spec) as descriptors use them: 0x08 certifies the descriptor signing key, 0x09 an
 * introduction point's authentication key, 0x0B its encryption key. All carry their signer in an extension.
 *
 *   01 | type | expiry in hours (4) | 01 | certified key (32) | 01 | 0020 04 00 signer (32) | signature (64)  = 140 bytes
 */
import { ChimeraError } from '../errors.ts';
import { copyOf, sameBytes } from './bytes.ts';
import { verifyPlain } from './signature.ts';

export const certificateTypes = { descriptorSigningKey: 0x08, introAuthKey: 0x09, introEncKey: 0x0b } as const;

export interface Certificate {
  readonly type: number;
  /** Unix seconds, always a whole hour. */
  readonly expiresAt: number;
  /** The certified key, 32 bytes. */
  readonly certifiedKey: Uint8Array;
  /** The signer's key from the certificate's own extension, 32 bytes. */
  readonly signingKey: Uint8Array;
  /** The signed bytes: everything before the signature. */
  readonly body: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export const certificateLength = 140;
const bodyLength = 76;
const hourSeconds = 3600;
/** Tor gives every certificate of a descriptor this life: 54 hours. */
export const certificateLifetimeSeconds = 54 * hourSeconds;
const ed25519KeyType = 1;
const signedWithKeyExtension = 4;
const affectsValidation = 1;
const longestCertificate = 4096;

function refuse(what: string): ChimeraError {
  return new ChimeraError('ONION_CERTIFICATE', what, {
    remedy: 'Fetch the descriptor again; if it stays so, its service or the clock of this machine is at fault.',
  });
}

/** Unix seconds at which C tor lets a descriptor-signing-key certificate (0x08) made at `now` expire: 54 hours, rounded up to the hour. */
export function certificateExpiry(now: number): number {
  return Math.ceil((now + certificateLifetimeSeconds) / hourSeconds) * hourSeconds;
}

/** The same for an introduction point's certificates (0x09, 0x0B), which tor counts from the last full hour. */
export function introCertificateExpiry(now: number): number {
  return Math.floor(now / hourSeconds) * hourSeconds + certificateLifetimeSeconds;
}

/** The 76 bytes that the signer signs. Append the 64-byte signature for the whole certificate. */
export function certificateBody(fields: {
  readonly type: number;
  /** Unix seconds, a whole hour. */
  readonly expiresAt: number;
  readonly certifiedKey: Uint8Array;
  readonly signingKey: Uint8Array;
}): Uint8Array {
  if (fields.certifiedKey.length !== 32 || fields.signingKey.length !== 32 || fields.expiresAt % hourSeconds !== 0) {
    throw refuse('a certificate needs two 32-byte keys and an expiry on the hour');
  }
  const body = new Uint8Array(bodyLength);
  body[0] = 1;
  body[1] = fields.type;
  new DataView(body.buffer).setUint32(2, fields.expiresAt / hourSeconds);
  body[6] = ed25519KeyType;
  body.set(fields.certifiedKey, 7);
  body[39] = 1;
  body[41] = 32;
  body[42] = signedWithKeyExtension;
  body.set(fields.signingKey, 44);
  return body;
}

/** A certificate from its bytes; nothing is verified. Throws ONION_CERTIFICATE; unknown extensions pass unless they affect validation. */
export function parseCertificate(bytes: Uint8Array): Certificate {
  if (bytes.length < 40 + 64 || bytes.length > longestCertificate)
    throw refuse(`a certificate of ${bytes.length} bytes`);
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view[0] !== 1) throw refuse(`a certificate of version ${view[0]}, not 1`);
  if (view[6] !== ed25519KeyType) throw refuse(`a certificate of a key of type ${view[6]}, not Ed25519`);
  const extensions = view.readUInt8(39);
  const bodyEnd = view.length - 64;
  let offset = 40;
  let signingKey: Uint8Array | undefined;
  for (let index = 0; index < extensions; index++) {
    if (offset + 4 > bodyEnd) throw refuse('a certificate whose extensions are cut');
    const length = view.readUInt16BE(offset);
    const type = view.readUInt8(offset + 2);
    const flags = view.readUInt8(offset + 3);
    const end = offset + 4 + length;
    if (end > bodyEnd) throw refuse('a certificate whose extensions are cut');
    if (type === signedWithKeyExtension) {
      if (length !== 32 || signingKey !== undefined)
        throw refuse('a certificate whose signer is malformed or named twice');
      signingKey = copyOf(view.subarray(offset + 4, end));
    } else if ((flags & affectsValidation) !== 0) {
      throw refuse(`a certificate with the unknown extension ${type}, which affects its validation`);
    }
    offset = end;
  }
  if (offset !== bodyEnd) throw refuse('a certificate with left-over bytes');
  if (signingKey === undefined) throw refuse('a certificate that does not name its signer');
  return {
    type: view.readUInt8(1),
    expiresAt: view.readUInt32BE(2) * hourSeconds,
    certifiedKey: copyOf(view.subarray(7, 39)),
    signingKey,
    body: copyOf(view.subarray(0, bodyEnd)),
    signature: copyOf(view.subarray(bodyEnd)),
  };
}

export interface CertificateDemands {
  readonly type: number;
  /** Unix seconds. */
  readonly now: number;
  /** Who must have signed; without it the certificate's own word is taken. */
  readonly signingKey?: Uint8Array;
  /** What the certificate stands for, in error messages. */
  readonly what: string;
  /** Verifies `body` and `signature` against the signer; for a caller that holds the key object already. */
  readonly verify?: (body: Uint8Array, signature: Uint8Array) => boolean;
}

/**
 * Signatures that have been verified, with signer and message: tor writes the same certificates into every descriptor
 * of an hour, and a service is read again and again. Expiry and demands are checked each time.
 */
const verifiedCertificates = new Set<string>();
const mostRemembered = 2048;

/** Throws ONION_CERTIFICATE unless the certificate is of the wanted type and signer, unexpired, and its signature verifies. */
export function verifyCertificate(certificate: Certificate, demands: CertificateDemands): void {
  const { what } = demands;
  if (certificate.type !== demands.type) {
    throw refuse(`the certificate of ${what} has type ${certificate.type}, not ${demands.type}`);
  }
  if (demands.signingKey !== undefined && !sameBytes(certificate.signingKey, demands.signingKey)) {
    throw refuse(`the certificate of ${what} is signed by another key than it should be`);
  }
  if (demands.now > certificate.expiresAt) {
    const hours = Math.ceil((demands.now - certificate.expiresAt) / hourSeconds);
    throw refuse(`the certificate of ${what} expired ${hours} h ago`);
  }
  const name = Buffer.concat([certificate.signingKey, certificate.body, certificate.signature]).toString('latin1');
  if (verifiedCertificates.has(name)) return;
  const verify = demands.verify ?? ((body, signature) => verifyPlain(certificate.signingKey, body, signature));
  if (!verify(certificate.body, certificate.signature)) {
    throw refuse(`the signature in the certificate of ${what} does not verify`);
  }
  const oldest = verifiedCertificates.values().next();
  if (verifiedCertificates.size >= mostRemembered && oldest.done !== true) verifiedCertificates.delete(oldest.value);
  verifiedCertificates.add(name);
}
