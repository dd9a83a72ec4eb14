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
  /** True when the key may not be written to a disk: only to a file system in memory. */
  readonly memoryOnly: boolean;
  /** Tor's 96-byte hs_ed25519_secret_key file. The bytes belong to the caller, who overwrites them after use. */
  secretKeyFile(): Uint8Array;
  publicKeyFile(): Uint8Array;
}
export const masterKeyContract = contract<MasterKeyHolder>('master-key');

/** Where the operator's passphrase comes from: a terminal, a file descriptor, a credential of systemd. */
export interface PassphraseSource {
  /**
   * The passphrase, UTF-8, without the line break at its end; undefined when there is none. Given once: the bytes belong to
   * the caller, who overwrites them.
   */
  take(): Promise<Uint8Array | undefined>;
}
export const passphraseContract = contract<PassphraseSource>('passphrase');
