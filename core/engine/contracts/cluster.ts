/**
 * Contracts between the nodes of a cluster: how bytes travel, who is there, what each says of itself, and where a node's
 * own heads are made known. Elections are in publisher.ts.
 */
import type { OnionAddress } from '../../onion/index.ts';
import type { HeadReport } from '../../pipeline/index.ts';
import { contract, severalContract } from '../contract.ts';
import type { TorClient } from './tor.ts';
import type { AdmittedNode } from './members.ts';

/**
 * Carries untrusted datagrams between endpoints: each arrives once, several times, late, out of order, or never, and anybody
 * may send one. Who sent it, and whether it is whole, is the mesh's business: it encrypts and authenticates what it sends.
 * An endpoint is a text that begins with the transport's scheme: `udp:192.0.2.1:7411`, `memory:a`, `redis:…`.
 */
export interface Transport {
  /** Where others reach this node. Empty before the start, and where the transport cannot know. */
  readonly endpoint: string;
  /** The largest datagram that it takes, bytes. At least 1,232. */
  readonly maximumBytes: number;
  /**
   * Sends to one endpoint. Loses what it cannot carry (another scheme, nobody there, a full queue) without a word; throws only for
   * what is too large (MESH_TOO_LARGE). The bytes may be changed by the caller afterwards.
   */
  send(endpoint: string, bytes: Uint8Array): void;
  /** Called for each datagram with the endpoint that it seems to come from, to which an answer may be sent. The bytes belong to the listener. Returns the unsubscriber. */
  onMessage(listener: (from: string, bytes: Uint8Array) => void): () => void;
  /**
   * For transports that must know their peers (a tunnel): called by the mesh with everybody who is admitted now, this node
   * left out, at the start and after each change; who is missing in a later call was removed. Each was admitted by a member's
   * signature, which the mesh has verified.
   */
  admit?(peers: readonly AdmittedNode[]): void;
  /** Endpoints, of any transport, at which a member was lately seen. Nobody vouches for them: to be tried when none that is known answers. */
  hints?(node: string): readonly string[];
  /**
   * A hint that a member is expected to send from this endpoint: it is asked for a session there, or has proven by one that it is
   * there. A transport that can keeps what comes from there apart from the rest, so that a flood of others does not push it out.
   * Called for members alone, and often; throws nothing.
   */
  expect?(endpoint: string): void;
}
/** A node may have several; an endpoint's scheme says which it is for. docs/decisions/several-transports.md */
export const transportContract = severalContract<Transport>('transport');

/** `alive` heard lately, `suspect` silent for a while, `dead` silent for long or left. */
export type MemberState = 'alive' | 'suspect' | 'dead';

/**
 * `joining` admitted and never heard, `initializing` there without heads, `healthy` there with heads, `unhealthy` suspect,
 * `dead`. Members are of the last four; the roster knows the first.
 */
export type PeerLife = 'joining' | 'initializing' | 'healthy' | 'unhealthy' | 'dead';

export interface Member {
  readonly node: string;
  readonly state: MemberState;
  readonly life: PeerLife;
  /**
   * When it last said something, as far as this node knows, on this node's monotonic clock. Second-hand news keep the time of the one
   * who heard it, and a datagram that waited in a queue counts from when it was sent. Of a member that does not lead, and
   * that nobody misses, it is now: it is asked now and then by some of the others, who would tell.
   */
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
   * Sets this node's own record of a kind (lower-case letters and dashes, 32 at most, 8 kinds; `node` is the mesh's own), and tells the others soon.
   * Throws MESH_TOO_LARGE when its JSON is larger than a record may be, MESH_RECORD for a bad kind or one too many.
   */
  publish(kind: string, value: Json): void;
  /** The newest known record of each member that is not dead, this node's own included, sorted by node. */
  records(kind: string): readonly ClusterRecord[];
  /** One member's, unless it is dead. */
  record(kind: string, node: string): ClusterRecord | undefined;
  /** Called after each change, this node's own records included. Returns the unsubscriber. */
  onChange(listener: (change: MeshChange) => void): () => void;
  /** How many messages were dropped because they were malformed, too much, or of a node with this node's own id. */
  readonly dropped: number;
  /**
   * Says that this node leads (publishes) from now on, or no longer. A leader's signs of life are signed and spread to
   * everybody every beacon interval, whatever the cluster's size, so that its `heardAtMs` is never much older; its silence is noticed
   * within seconds. Of others it is only known that nobody has missed them. Idempotent; whoever publishes calls it.
   */
  lead(leading: boolean): void;
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

/** A head that this node runs. */
export interface OwnHead {
  readonly head: string;
  readonly tor: TorClient;
  /** Undefined while it has told nothing. */
  readonly address: OnionAddress | undefined;
  /** Whether it is kept from the registry by exclude(). */
  readonly excluded: boolean;
}

/** Given by who runs heads: lets others take one of them out of what the publisher gets, and put it back. */
export interface HeadControl {
  heads(): readonly OwnHead[];
  exclude(head: string, why: string): void;
  include(head: string, why: string): void;
  /**
   * Starts one more head, in the tor of this node that carries the fewest: other introduction points, and another key. Returns its
   * name at once; it is told to the registry once it has introduction points. Undefined when the node has as many as it may.
   */
  grow?(why: string): string | undefined;
  /** Ends a head that grow() started, and all that goes through it. Others are left alone. */
  shrink?(head: string, why: string): Promise<void>;
}
export const headControlContract = contract<HeadControl>('head-control');
