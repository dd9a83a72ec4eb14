/** What sessions.ts works on: what it is told of members, what it tells, and what it keeps of each peer. */
import type { ClusterSecrets, NodeIdentity, NodePublicKeys, Transport } from '../../../core/engine/index.ts';
import type { Clock, Random, Timer } from '../../../core/runtime/index.ts';
import type { GenerationKeys } from './keys.ts';
import type { Initiation } from './noise.ts';
import type { Session } from './session.ts';

/** What the mesh knows of a member. */
export interface SessionPeer {
  readonly node: string;
  readonly keys: NodePublicKeys;
  /** Where it may be, the likeliest first. */
  endpoints(): readonly string[];
}

export interface SessionEvents {
  /** Something genuine came that was never opened before; `stampMs` is the sender's clock when it sealed it. */
  received(node: string, content: Buffer, stampMs: number, boot: string): void;
  /** The peer has answered what was sent at `sentAtMs`, when its own clock showed `stampMs`. `boot` tells its lives apart. */
  echoed(node: string, boot: string, sentAtMs: number, stampMs: number): void;
  /** The peer remembers a later life of this node than the one it is in. */
  outlived(incarnation: number): void;
  /** A try of a handshake that is not the first is on its way there: the peer is away, or does not know this node. */
  unanswered?(node: string, endpoint: string): void;
  /** A datagram was dropped. */
  dropped(why: string): void;
}

export interface SessionsOptions {
  readonly cluster: string;
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** This node's life. */
  incarnation(): number;
  peer(node: string): SessionPeer | undefined;
  /** The member with this agreement key. */
  nodeOf(agreementKey: Uint8Array): string | undefined;
  readonly events: SessionEvents;
}

export interface Pending {
  readonly index: number;
  readonly initiation: Initiation;
  readonly datagram: Buffer;
  readonly keys: GenerationKeys;
  readonly sentAtMs: number;
  readonly endpoint: string;
}

export interface Peer {
  current: Session | undefined;
  previous: Session | undefined;
  /** As responder, not yet used by the other side; with when it was answered. */
  next: { readonly session: Session; readonly answeredAtMs: number } | undefined;
  pending: Pending | undefined;
  tries: number;
  /** How many handshakes came to their last try. */
  lastTries: number;
  retry: Timer | undefined;
  cookie: { readonly bytes: Uint8Array; readonly endpoint: string; readonly atMs: number } | undefined;
  readonly waiting: Uint8Array[];
  openedAtMs: number;
  highest: { incarnation: number; number: number };
}
