/**
 * A service's master identity key and the files it comes in: Tor's own `hs_ed25519_secret_key` and
 * `hs_ed25519_public_key`, OnionBalance's PEM, and a bare 32-byte seed. Enter at `parseSecretKeyFile`.
 */
import { createPrivateKey, timingSafeEqual } from 'node:crypto';
import { ChimeraError } from '../errors.ts';
import { ascii, copyOf, sameBytes } from './bytes.ts';
import { sha512 } from './hash.ts';
import { timesBase } from './multiply.ts';
import { clamp, fromLittleEndian } from './scalar.ts';

export interface MasterKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes: the scalar a, then RH, the seed of the deterministic nonces. Secret. */
  readonly expandedSecret: Uint8Array;
}

const headerLength = 32;
const secretHeader = Buffer.concat([ascii('== ed25519v1-secret: type0 =='), Buffer.alloc(3)]);
const publicHeader = Buffer.concat([ascii('== ed25519v1-public: type0 =='), Buffer.alloc(3)]);
const anyHeader = ascii('== ed25519v1-');
const largestFile = 64 * 1024;

function refuse(what: string, remedy: string): ChimeraError {
  return new ChimeraError('ONION_KEY_FILE', what, { remedy });
}

const takeSecret = 'Give the file "hs_ed25519_secret_key" of the service (96 bytes).';

/** The key of a 32-byte RFC 8032 seed. */
export function masterKeyFromSeed(seed: Uint8Array): MasterKey {
  if (seed.length !== 32) throw refuse(`a seed has 32 bytes, not ${seed.length}`, takeSecret);
  const expanded = sha512(seed);
  clamp(expanded);
  return masterKeyFromExpanded(expanded);
}

/** The key of a 64-byte expanded secret (a | RH). Throws ONION_KEY_FILE when the scalar is not a clamped one. */
export function masterKeyFromExpanded(expandedSecret: Uint8Array): MasterKey {
  const scalar = copyOf(expandedSecret.subarray(0, 32));
  if (expandedSecret.length !== 64 || !timingSafeEqual(scalar, clamp(copyOf(scalar)))) {
    throw refuse(
      'the 64 bytes of key material are not an expanded Ed25519 secret key: the scalar is not clamped',
      takeSecret,
    );
  }
  return { publicKey: timesBase(fromLittleEndian(scalar)), expandedSecret: copyOf(expandedSecret) };
}

/**
 * A master key from the content of a file: Tor's 96-byte secret key file, a PEM PKCS #8 Ed25519 key (as OnionBalance
 * keeps it), or a 32-byte seed. Throws ONION_KEY_FILE, which says what the file looks like instead.
 */
export function parseSecretKeyFile(bytes: Uint8Array): MasterKey {
  if (bytes.length > largestFile) throw refuse(`a key file is small; this one has ${bytes.length} bytes`, takeSecret);
  if (bytes.length === headerLength + 64 && sameBytes(bytes.subarray(0, headerLength), secretHeader)) {
    return masterKeyFromExpanded(bytes.subarray(headerLength));
  }
  const text = Buffer.from(bytes).toString('latin1');
  if (/^\s*-----BEGIN /.test(text)) return parsePem(text);
  if (bytes.length === 32 && !sameBytes(bytes, publicHeader) && !sameBytes(bytes, secretHeader)) {
    return masterKeyFromSeed(bytes);
  }
  throw describeStranger(bytes, text);
}

function parsePem(text: string): MasterKey {
  const label = /-----BEGIN ([A-Z0-9 ]{1,60})-----/.exec(text)?.[1] ?? 'unknown';
  if (label.startsWith('RSA ')) {
    throw refuse(
      'the file is a PEM RSA key, as version 2 onion services had',
      'Version 2 is gone from Tor: make a version 3 service.',
    );
  }
  if (label === 'ENCRYPTED PRIVATE KEY') {
    throw refuse('the PEM key is protected by a passphrase', 'Decrypt it first: openssl pkey -in FILE -out DECRYPTED.');
  }
  if (label !== 'PRIVATE KEY') throw refuse(`the file is a PEM "${label}", not a "PRIVATE KEY"`, takeSecret);
  let kind: string | undefined;
  let seed: string | undefined;
  try {
    const key = createPrivateKey(text);
    kind = key.asymmetricKeyType;
    if (kind === 'ed25519') seed = key.export({ format: 'jwk' }).d;
  } catch {
    // The library's message may quote the file: it is not passed on.
    throw refuse('the PEM private key cannot be read', takeSecret);
  }
  if (seed === undefined) throw refuse(`the PEM private key is of type ${kind}, not ed25519`, takeSecret);
  return masterKeyFromSeed(Buffer.from(seed, 'base64url'));
}

function describeStranger(bytes: Uint8Array, text: string): ChimeraError {
  const starts = (prefix: Uint8Array): boolean => sameBytes(bytes.subarray(0, prefix.length), prefix);
  if (bytes.length === 0) return refuse('the key file is empty', takeSecret);
  if (starts(publicHeader)) return refuse('the file is a public key file ("hs_ed25519_public_key")', takeSecret);
  if (starts(secretHeader)) {
    return refuse(`the secret key file has ${bytes.length} bytes instead of 96: it is cut or was edited`, takeSecret);
  }
  if (starts(anyHeader))
    return refuse('the file is an Ed25519 key file of another kind (an encrypted or relay key?)', takeSecret);
  if (/^[a-z2-7]{56}\.onion\s*$/i.test(text)) return refuse('the file holds an onion address ("hostname")', takeSecret);
  if (/^(?:descriptor:x25519:|[a-z2-7]{56}:descriptor:)/i.test(text)) {
    return refuse('the file is a client authorization key', takeSecret);
  }
  return refuse(`the file is none that Chimera knows as a secret key (${bytes.length} bytes)`, takeSecret);
}

/** Tor's 96-byte `hs_ed25519_secret_key`. The result is secret. */
export function encodeSecretKeyFile(key: MasterKey): Uint8Array {
  return copyOf(Buffer.concat([secretHeader, key.expandedSecret]));
}

/** The public key in Tor's 64-byte `hs_ed25519_public_key`. Throws ONION_KEY_FILE. */
export function parsePublicKeyFile(bytes: Uint8Array): Uint8Array {
  if (bytes.length === headerLength + 32 && sameBytes(bytes.subarray(0, headerLength), publicHeader)) {
    return copyOf(bytes.subarray(headerLength));
  }
  throw refuse(
    `the file is not a public key file (${bytes.length} bytes)`,
    'Give the file "hs_ed25519_public_key" of the service (64 bytes).',
  );
}

/** Tor's 64-byte `hs_ed25519_public_key`. */
export function encodePublicKeyFile(publicKey: Uint8Array): Uint8Array {
  return copyOf(Buffer.concat([publicHeader, publicKey]));
}
