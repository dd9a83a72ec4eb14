/** The mesh of one node, as its plugin runs it. */
import type { Mesh, PeerChannel, PeerLife } from '../../core/engine/index.ts';
import type { Entry } from './entries.ts';
import type { Message } from './message.ts';

export interface MeshSettings {
  readonly beaconIntervalMs: number;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
  readonly suspicionMs: number;
}

export interface MeshNode extends Mesh {
  readonly channel: PeerChannel;
  /** What this node says of itself. */
  said(): readonly Entry[];
  /** Takes what others have said() as they would have told it, and verifies nothing: for simulations, where one process holds all nodes. */
  learn(entries: readonly Entry[]): void;
  /** Joins. */
  start(): void;
  /** The roster has changed: tells the others, ends what is over. `told`: the messages that say so. */
  rosterChanged(told: readonly Message[]): void;
  /** Where a member says that it is, or was when it was admitted. */
  endpointsOf(node: string): readonly string[];
  /** What to show of a member that may never have been heard. */
  lifeOf(node: string): PeerLife;
  /** How far each member's wall clock is ahead of this node's, milliseconds. For people; nothing depends on it. */
  skews(): ReadonlyMap<string, number>;
  readonly figures: Readonly<
    Record<'sessions' | 'pending' | 'peers' | 'entries' | 'pulls' | 'questions' | 'clocks' | 'leaders', number>
  >;
  /** Says good-bye and is silent. */
  leave(): void;
}
