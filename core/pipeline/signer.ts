/**
 * What the seal step asks of whoever holds the master key. The key itself never comes here: a key file, a vault in memory
 * or a quorum of threshold shares answer the same questions.
 */
import type { TimePeriod } from '../onion/index.ts';

export interface Signer {
  /** The master's Ed25519 public key, 32 bytes; the address derives from it. */
  readonly publicKey: Uint8Array;
  /** False while it cannot sign because the key has not come yet; a node whose signer is not ready cannot publish. */
  readonly ready?: boolean;
  /** Signs `message` with the key blinded for `period`; 64 bytes. Asked once per descriptor signing key, not per publication. */
  sign(period: TimePeriod, message: Uint8Array): Promise<Uint8Array>;
  /** The 32-byte key of the period's order-preserving revision counter; every holder of the master key gives the same. */
  revisionKey(period: TimePeriod): Promise<Uint8Array>;
}
