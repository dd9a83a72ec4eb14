/**
 * Contracts between the nodes of a cluster: how bytes travel, who is there, what each says of itself, and where a node's
 * own heads are made known. Elections are in publisher.ts.
 */
import type { HeadReport } from '../../pipeline/index.ts';
import { contract } from '../contract.ts';

/**
 * Carries datagrams between nodes: each arrives once, several times, late, out of order, or never. What arrives came from
 * the node it names, whole and unchanged; how that is known is the transport's business.
 */
export interface Transport {
  /** This node's id. */
  readonly self: string;
  /** The largest datagram that it takes, bytes. At least 1,024. */
  readonly maximumBytes: number;
  /** Sends to one node, or with '*' to every other node that it knows. Never throws, except for what is too large (MESH_TOO_LARGE). */
  send(to: string, bytes: Uint8Array): void;
  /** Called for each datagram. The bytes belong to the listener. Returns the unsubscriber. */
  onMessage(listener: (from: string, bytes: Uint8Array) => void): () => void;
}
export const transportContract = contract<Transport>('transport');

/** `alive` heard lately, `suspect` silent for a while, `dead` silent for long or left. */
export type MemberState = 'alive' | 'suspect' | 'dead';

export interface Member {
  readonly node: string;
  readonly state: MemberState;
  /** When it last said something, as far as this node knows, on this node's monotonic clock. Second-hand news keep the time of the one who heard it. */
  readonly heardAtMs: number;
}

/** What JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a node says of itself under one kind. Only its owner changes it; (incarnation, version) grows with each change. */
export interface ClusterRecord {
  readonly node: string;
  readonly kind: string;
  /** Grows when the owner starts again. */
  readonly incarnation: number;
  readonly version: number;
  /** Whatever the owner said: believe nothing of its shape. */
  readonly value: Json;
}

/** A member came, changed its state, or has another record. */
export type MeshChange =
  | { readonly node: string; readonly what: 'state'; readonly state: MemberState; readonly why: string }
  | { readonly node: string; readonly what: 'record'; readonly kind: string };

export interface Mesh {
  /** Everybody known, this node included (always alive), sorted by id. The dead are forgotten after a while. */
  members(): readonly Member[];
  /**
   * Sets this node's own record of a kind (lower-case letters and dashes, 32 at most, 8 kinds), and tells the others soon.
   * Throws MESH_TOO_LARGE when its JSON is larger than a record may be, MESH_RECORD for a bad kind or one too many.
   */
  publish(kind: string, value: Json): void;
  /** The newest known record of each member that is not dead, this node's own included, sorted by node. */
  records(kind: string): readonly ClusterRecord[];
  /** Called after each change, this node's own records included. Returns the unsubscriber. */
  onChange(listener: (change: MeshChange) => void): () => void;
  /** How many messages were dropped because they were malformed, too much, or of a node with this node's own id. */
  readonly dropped: number;
}
export const meshContract = contract<Mesh>('mesh');

/**
 * Where the plugins that run heads say what those are. The giver adds the reports to every gather, tells the peers if there
 * are any, and signals `introPointsChanged` for each head that came, went or has another descriptor.
 */
export interface HeadRegistry {
  /**
   * Replaces what `source` said before (a plugin's name; one plugin alone may leave it out). Each report names this node and
   * a head `node/…`. A head that is no longer listed is gone at once, here and at the peers; an empty list sheds all.
   */
  set(reports: readonly HeadReport[], source?: string): void;
}
export const headRegistryContract = contract<HeadRegistry>('head-registry');
