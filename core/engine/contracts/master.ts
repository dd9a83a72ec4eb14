/** What every plugin may know of the service: its public identity. */
import type { OnionAddress } from '../../onion/index.ts';
import { contract } from '../contract.ts';

export interface Master {
  /** The address that clients use. Known from `start` on. */
  readonly address: OnionAddress;
}
export const masterContract = contract<Master>('master');

/**
 * The master's whole key, for the one identity mode that hands it to every tor (heads/shared). No signer need give it;
 * a threshold signer cannot.
 */
export interface MasterKeyHolder {
  /** Tor's 96-byte hs_ed25519_secret_key file. */
  secretKeyFile(): Uint8Array;
  publicKeyFile(): Uint8Array;
}
export const masterKeyContract = contract<MasterKeyHolder>('master-key');
