/**
 * v3 onion addresses (rend-spec-v3, "Encoding onion addresses"): base32(public key | checksum | version).
 * Enter at `parseOnionAddress` for anything a person or a peer typed.
 */
import { ChimeraError } from '../errors.ts';
import { ascii, copyOf, decodeBase32, encodeBase32, sameBytes } from './bytes.ts';
import { sha3 } from './hash.ts';

/** 56 lower-case characters, without ".onion". Only this module makes one. */
export type OnionAddress = string & { readonly __onionAddress: unique symbol };

const version = 3;
const addressLength = 56;
const checksumPrefix = ascii('.onion checksum');

function checksum(publicKey: Uint8Array): Uint8Array {
  return sha3(checksumPrefix, publicKey, Uint8Array.of(version)).subarray(0, 2);
}

function refuse(what: string, remedy: string): ChimeraError {
  return new ChimeraError('ONION_ADDRESS', what, { remedy });
}

/**
 * A v3 address from text in any case, with or without ".onion". Throws ONION_ADDRESS, which names what is wrong:
 * length, alphabet, version or checksum. Whether the key is a point of the curve is checked when it is blinded.
 */
export function parseOnionAddress(text: string): OnionAddress {
  const copyWhole = 'Copy the whole address from the "hostname" file of the service.';
  if (typeof text !== 'string') throw refuse('an onion address is a text', copyWhole);
  if (text.length > 255) throw refuse(`an onion address has 56 characters; this text has ${text.length}`, copyWhole);
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/\.onion$/, '');
  if (/^[a-z2-7]{16}$/.test(bare)) {
    throw refuse(
      `"${bare}.onion" is a version 2 address, which Tor no longer supports`,
      'Use a version 3 address (56 characters).',
    );
  }
  if (bare.length !== addressLength) {
    throw refuse(`an onion address has 56 characters before ".onion"; "${bare}" has ${bare.length}`, copyWhole);
  }
  const bytes = decodeBase32(bare);
  if (bytes === undefined) {
    throw refuse(`"${bare}" has characters other than a–z and 2–7, the base32 alphabet`, copyWhole);
  }
  if (bytes[34] !== version) {
    throw refuse(`"${bare}" says it is of version ${bytes[34]}; version 3 is the one that Tor knows`, copyWhole);
  }
  if (!sameBytes(bytes.subarray(32, 34), checksum(bytes.subarray(0, 32)))) {
    throw refuse(`the checksum of "${bare}" is wrong: at least one character is mistyped`, copyWhole);
  }
  return bare as OnionAddress;
}

/** The address of a service's 32-byte Ed25519 public key. */
export function addressOfKey(publicKey: Uint8Array): OnionAddress {
  if (publicKey.length !== 32) {
    throw refuse(`a public key has 32 bytes, not ${publicKey.length}`, 'Give the Ed25519 public key of the service.');
  }
  return encodeBase32(Buffer.concat([publicKey, checksum(publicKey), Uint8Array.of(version)])) as OnionAddress;
}

/** The 32-byte Ed25519 public key in an address. */
export function publicKeyOf(address: OnionAddress): Uint8Array {
  const bytes = decodeBase32(address);
  if (bytes === undefined || bytes.length !== 35) {
    throw refuse(`"${address}" is not an onion address`, 'Pass addresses through parseOnionAddress.');
  }
  return copyOf(bytes.subarray(0, 32));
}
