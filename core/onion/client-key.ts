/**
 * Keys of client authorization in the texts that Tor keeps them in: `<client>.auth` at the service
 * ("descriptor:x25519:<public key>") and `<name>.auth_private` at the client
 * ("<56 characters>:descriptor:x25519:<secret key>"), keys in base32.
 */
import { ChimeraError } from '../errors.ts';
import { parseOnionAddress } from './address.ts';
import type { OnionAddress } from './address.ts';
import { decodeBase32 } from './bytes.ts';
import { agreementKey, agreementPublicKey } from './key-agreement.ts';

export interface ClientKey {
  /** The service it is for, when the text says so. */
  readonly address?: OnionAddress;
  /** X25519, 32 bytes. Secret. */
  readonly secret: Uint8Array;
}

const longestText = 1024;

function refuse(what: string, remedy: string): ChimeraError {
  return new ChimeraError('ONION_KEY_FILE', what, { remedy });
}

function keyIn(text: string): Uint8Array | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'));
  const bytes = decodeBase32(text.replace(/=+$/, ''));
  return bytes?.length === 32 ? bytes : undefined;
}

/** A client's secret key: the line of an `.auth_private` file, or the bare key in base32 or hexadecimal. Throws ONION_KEY_FILE or ONION_ADDRESS. */
export function parseClientKey(text: string): ClientKey {
  const remedy = 'Give the content of an ".auth_private" file, or its key alone.';
  const trimmed = text.length > longestText ? '' : text.trim();
  if (trimmed.toLowerCase().startsWith('descriptor:')) {
    throw refuse("the client key is a public one, from the service's authorized_clients", remedy);
  }
  const parts = trimmed.split(':');
  if (parts.length === 4 && parts[1] === 'descriptor' && parts[2] === 'x25519') {
    const secret = keyIn(parts[3] ?? '');
    if (secret !== undefined) return { address: parseOnionAddress(parts[0] ?? ''), secret };
  }
  const secret = parts.length === 1 ? keyIn(trimmed) : undefined;
  if (secret === undefined) throw refuse('the client key is not an X25519 key in base32', remedy);
  return { secret };
}

/** The public key, 32 bytes, in the line of an `authorized_clients/<client>.auth` file. Throws ONION_KEY_FILE. */
export function parseAuthorizedClient(text: string): Uint8Array {
  const parts = text.length > longestText ? [] : text.trim().split(':');
  const key =
    parts.length === 3 && parts[0] === 'descriptor' && parts[1] === 'x25519' ? keyIn(parts[2] ?? '') : undefined;
  if (key !== undefined) return key;
  throw refuse(
    'an authorized client is not a line "descriptor:x25519:<key in base32>"',
    "Copy the line from the client's key tool.",
  );
}

/** The public key of a client's secret key. */
export function clientPublicKey(secret: Uint8Array): Uint8Array {
  return agreementPublicKey(agreementKey(secret));
}
