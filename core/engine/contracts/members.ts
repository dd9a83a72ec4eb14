/**
 * Contracts on who belongs to the cluster, and on what one member says to another alone. The mesh gives both where its
 * members have keys.
 */
import { contract } from '../contract.ts';
import type { NodePublicKeys } from './node.ts';

/** A node that may take part: admitted by a member's signature, until a member's signature removes it for good. */
export interface AdmittedNode {
  readonly node: string;
  readonly keys: NodePublicKeys;
  /** Where its transports can be reached, as `udp:192.0.2.1:7411`; the node itself changes them by its own records. */
  readonly endpoints: readonly string[];
  /** The member that admitted it; itself for the node that founded the cluster. */
  readonly admittedBy: string;
}

export interface Roster {
  /** The node that founded the cluster: its id names the cluster. Undefined before the start of a node that has no roster yet. */
  readonly founder: string | undefined;
  /** Everybody admitted and not removed, this node included, sorted by id. */
  admitted(): readonly AdmittedNode[];
  /** Everybody removed by a member's signature, as far as this node knows: it only grows. */
  removed(): readonly string[];
  /** Signs the admission and tells the others. Throws MESH_REMOVED for a node that was removed: it needs new keys. From `start` on. */
  admit(keys: NodePublicKeys, endpoints: readonly string[]): AdmittedNode;
  /** Signs a tombstone and tells the others; its records and sessions end. `why` is for the log. */
  remove(node: string, why: string): void;
  /** Every signed admission and removal, to be given to a node that joins; it checks them itself. Holds no secret. */
  entries(): Uint8Array;
  /**
   * Takes what entries() gave elsewhere. The first time, before the start, this says which cluster the node belongs to: take it only from
   * whom the operator trusts. A node that has learned nothing when it starts, and finds nothing in its state directory, founds
   * a cluster of its own. Throws MESH_ROSTER when it is malformed, wrongly signed, or of another cluster.
   */
  learn(entries: Uint8Array): void;
  /** Called after each admission, removal or change of endpoints. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
}
export const rosterContract = contract<Roster>('roster');

/** Questions between two members, over their encrypted session. An answer is at most 64 KiB, and so is a question. */
export interface PeerChannel {
  /** Asks one member. Rejects with MESH_NO_ANSWER when none came within `timeoutMs`, or when the other refused. */
  ask(node: string, topic: string, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Answers questions of a topic (lower-case letters and dashes); one handler a topic. A rejection is a refusal, without its text. */
  answer(topic: string, handler: (from: string, question: Uint8Array) => Promise<Uint8Array>): void;
}
export const peerChannelContract = contract<PeerChannel>('peer-channel');
