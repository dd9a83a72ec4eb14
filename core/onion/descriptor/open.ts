/**
 * Reading a descriptor, strictly: nothing of it is taken before its certificate, its signature, the derivation of its
 * blinded key from the address, both MACs and the certificates of all introduction points hold.
 */
import { ChimeraError } from '../../errors.ts';
import type { OnionAddress } from '../address.ts';
import { periodIdentity } from '../blinding.ts';
import { sameBytes } from '../bytes.ts';
import { agreementKey } from '../key-agreement.ts';
import { neighbourPeriod } from '../period.ts';
import type { TimePeriod } from '../period.ts';
import { decryptLayer } from './cipher.ts';
import { parseInner } from './inner.ts';
import { cookieFor, parseMiddle } from './middle.ts';
import type { Descriptor } from './model.ts';
import { verifyOuter } from './outer.ts';
import type { OuterDescriptor } from './outer.ts';

export interface OpenOptions {
  readonly address: OnionAddress;
  /** The descriptor must be of one of these. */
  readonly periods: readonly TimePeriod[];
  /** Unix seconds, for the expiry of certificates. */
  readonly now: number;
  /** This client's X25519 secret, 32 bytes, where the service has client authorization. */
  readonly clientKey?: Uint8Array | undefined;
  /** Consensus parameter HSV3MaxDescriptorSize. */
  readonly maxBytes?: number;
}

/**
 * Opens a descriptor of `address`. Throws ONION_DESCRIPTOR (form), ONION_CERTIFICATE, ONION_SIGNATURE,
 * ONION_WRONG_SERVICE (genuine, but another service's or period's) or ONION_DECRYPT (client authorization).
 */
export function openDescriptor(text: string | Uint8Array, options: OpenOptions): Descriptor {
  const { address, now } = options;
  const outer = verifyOuter(text, options);
  const { period, subcredential } = identify(outer, options);
  const secrets = { blindedPublicKey: outer.blindedKey, subcredential, revision: outer.revision };

  const middleText = decryptLayer('middle', secrets, outer.superencrypted);
  if (middleText === undefined) {
    throw new ChimeraError('ONION_DECRYPT', 'the middle layer of the descriptor is damaged: its MAC does not match', {
      remedy: 'Fetch the descriptor again; if it stays so, the service that made it is at fault.',
    });
  }
  const middle = parseMiddle(middleText.toString('latin1'));
  const cookie = options.clientKey && cookieFor(middle, subcredential, clientKeyObject(options.clientKey));
  const innerText = decryptLayer('inner', { ...secrets, cookie }, middle.encrypted);
  if (innerText === undefined) throw refusedByAuthorization(address, options.clientKey !== undefined);
  const inner = parseInner(innerText.toString('latin1'), { signingKey: outer.certificate.certifiedKey, now });
  return {
    address,
    period,
    blindedKey: outer.blindedKey,
    revision: outer.revision,
    lifetimeMinutes: outer.lifetimeMinutes,
    signingKeyExpiresAt: outer.certificate.expiresAt,
    restricted: cookie !== undefined,
    ...inner,
  };
}

function clientKeyObject(secret: Uint8Array): ReturnType<typeof agreementKey> {
  if (secret.length === 32) return agreementKey(secret);
  throw new ChimeraError('ONION_DECRYPT', `a client authorization key has 32 bytes, not ${secret.length}`, {
    remedy: 'Give the key of an ".auth_private" file.',
  });
}

function refusedByAuthorization(address: OnionAddress, hadKey: boolean): ChimeraError {
  return hadKey
    ? new ChimeraError(
        'ONION_DECRYPT',
        `${address}.onion requires client authorization, and this client key is not among the authorized ones`,
        {
          remedy: "Give the client key that the service's operator has authorized.",
        },
      )
    : new ChimeraError('ONION_DECRYPT', `${address}.onion requires client authorization, and no client key was given`, {
        remedy: "Give a client key that the service's operator has authorized.",
      });
}

/** The wanted period whose blinded key signed the descriptor. */
function identify(
  outer: OuterDescriptor,
  { address, periods }: OpenOptions,
): { readonly period: TimePeriod; readonly subcredential: Uint8Array } {
  for (const period of periods) {
    const identity = periodIdentity(address, period);
    if (sameBytes(identity.blindedPublicKey, outer.blindedKey))
      return { period, subcredential: identity.subcredential };
  }
  throw stranger(outer, address, periods);
}

function stranger(outer: OuterDescriptor, address: OnionAddress, periods: readonly TimePeriod[]): ChimeraError {
  const wanted = periods.map(({ number }) => number).join(', ');
  for (const period of periods) {
    for (const step of [-2, -1, 1, 2]) {
      const near = neighbourPeriod(period, step);
      if (near.number < 0 || !sameBytes(periodIdentity(address, near).blindedPublicKey, outer.blindedKey)) continue;
      return new ChimeraError(
        'ONION_WRONG_SERVICE',
        `the descriptor of ${address}.onion is of time period ${near.number}; wanted is ${wanted}`,
        { remedy: 'Fetch the descriptor of the period that the consensus gives.' },
      );
    }
  }
  return new ChimeraError(
    'ONION_WRONG_SERVICE',
    `the descriptor is not of ${address}.onion in time period ${wanted}: its key is not derived from that address`,
    { remedy: 'Give the address that the descriptor was fetched for, and the times of its consensus.' },
  );
}
