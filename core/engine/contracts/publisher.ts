/** Contracts of those who hold the master key, elect the publisher and carry messages between nodes. */
import type { Signer } from '../../pipeline/index.ts';
import { contract } from '../contract.ts';

export const signerContract = contract<Signer>('signer');

/** Who publishes now, and in which term. */
export interface Election {
  /** The elected node as this node sees it; undefined while there is none. */
  readonly publisher: string | undefined;
  /** The term of that publisher: grows with every change, and goes into the revision counter. */
  readonly epoch: number;
  /** True while this node may publish. */
  readonly elected: boolean;
  /** Asks this node to let another one publish; it goes on until that one does. Nothing happens on a standby. `why` is for the log. */
  stepDown?(why: string): void;
}
export const electionContract = contract<Election>('election');

/** Who of the clients may read the descriptor; empty means everybody. */
export interface RestrictedDiscovery {
  /** x25519 public keys, 32 bytes each. */
  readonly clients: readonly Uint8Array[];
}
export const restrictedDiscoveryContract = contract<RestrictedDiscovery>('restricted-discovery');
