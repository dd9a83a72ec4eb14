/**
 * Blinded keys, subcredentials and signatures by a blinded key (rend-spec-v3, appendix "Key blinding", and
 * "Deriving blinded keys and subcredentials"). What only public keys go into is remembered, bounded.
 *
 * A blinded key signs nothing but the body of a descriptor-signing-key certificate.
 */
import { ChimeraError } from '../errors.ts';
import { publicKeyOf } from './address.ts';
import type { OnionAddress } from './address.ts';
import { ascii, int8 } from './bytes.ts';
import { sha3, sha512 } from './hash.ts';
import type { MasterKey } from './keys.ts';
import { timesBase, timesPublicPoint } from './multiply.ts';
import type { TimePeriod } from './period.ts';
import { remember } from './remembered.ts';
import { clamp, fromLittleEndian, groupOrder, toLittleEndian } from './scalar.ts';

/** A service's key for one time period. */
export interface BlindedKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes: the blinded scalar, then RH', the seed of its nonces. Secret. */
  readonly expandedSecret: Uint8Array;
}

/** The public names of a service in one time period. */
export interface PeriodIdentity {
  readonly blindedPublicKey: Uint8Array;
  readonly subcredential: Uint8Array;
}

const derivePrefix = ascii('Derive temporary signing key\0');
const basePoint = ascii(
  '(15112221349535400772501151409588531511454012693041857206046113283949847762202, ' +
    '46316835694926478169428394003475163141307993866256225615783033603165251855960)',
);
const periodPrefix = ascii('key-blind');
const noncePrefix = ascii('Derive temporary signing key hash input');
const credentialPrefix = ascii('credential');
const subcredentialPrefix = ascii('subcredential');

/** The blinding factor h of a public key in a period, clamped, 32 bytes little-endian. Public. */
export function blindingFactor(publicKey: Uint8Array, period: TimePeriod): Uint8Array {
  return clamp(sha3(derivePrefix, publicKey, basePoint, periodPrefix, int8(period.number), int8(period.lengthMinutes)));
}

/** The blinded public key A' = h·A, 32 bytes. Throws ONION_ADDRESS when the key is no point of the prime-order group. */
export function blindedPublicKey(publicKey: Uint8Array, period: TimePeriod): Uint8Array {
  const blinded = timesPublicPoint(fromLittleEndian(blindingFactor(publicKey, period)), publicKey);
  if (blinded === undefined) {
    throw new ChimeraError('ONION_ADDRESS', 'the public key in the address is not an Ed25519 public key', {
      remedy: 'Copy the whole address from the "hostname" file of the service.',
    });
  }
  return blinded;
}

/** The blinded key pair of a master key in a period. */
export function blindedKey(master: MasterKey, period: TimePeriod): BlindedKey {
  const factor = fromLittleEndian(blindingFactor(master.publicKey, period));
  const scalar = (factor * fromLittleEndian(master.expandedSecret.subarray(0, 32))) % groupOrder;
  const nonceSeed = sha512(noncePrefix, master.expandedSecret.subarray(32)).subarray(0, 32);
  return {
    publicKey: timesBase(scalar),
    expandedSecret: Uint8Array.from(Buffer.concat([toLittleEndian(scalar), nonceSeed])),
  };
}

/** The subcredential, 32 bytes: what a client must know to read the descriptor of one period. */
export function subcredential(publicKey: Uint8Array, blinded: Uint8Array): Uint8Array {
  return Uint8Array.from(sha3(subcredentialPrefix, sha3(credentialPrefix, publicKey), blinded));
}

/** A 64-byte Ed25519 signature by a blinded key. Its nonce is deterministic, from the whole of RH' and the message. */
export function signBlinded(key: BlindedKey, message: Uint8Array): Uint8Array {
  const scalar = fromLittleEndian(key.expandedSecret.subarray(0, 32));
  const nonce = fromLittleEndian(sha512(key.expandedSecret.subarray(32), message)) % groupOrder;
  const commitment = timesBase(nonce);
  const challenge = fromLittleEndian(sha512(commitment, key.publicKey, message)) % groupOrder;
  const response = (nonce + challenge * scalar) % groupOrder;
  return Uint8Array.from(Buffer.concat([commitment, toLittleEndian(response)]));
}

const rememberedIdentities = new Map<string, PeriodIdentity>();
const mostRemembered = 512;

/** Blinded key and subcredential of an address in a period. Remembered: the multiplication costs as much as the rest of opening a descriptor. */
export function periodIdentity(address: OnionAddress, period: TimePeriod): PeriodIdentity {
  const name = `${address}/${period.number}/${period.lengthMinutes}`;
  const known = rememberedIdentities.get(name);
  if (known !== undefined) return known;
  const publicKey = publicKeyOf(address);
  const blinded = blindedPublicKey(publicKey, period);
  const identity = { blindedPublicKey: blinded, subcredential: subcredential(publicKey, blinded) };
  return remember(rememberedIdentities, name, identity, mostRemembered);
}
