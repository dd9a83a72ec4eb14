/**
 * Who is there, and what each said of itself: the mesh's state, without a clock or a socket. All times are of this node's
 * monotonic clock, milliseconds.
 *
 *   unknown ─ heard ─► alive ─ silent for suspectMs ─► suspect ─ silent for deadMs, or left ─► dead ─ forgetMs ─► forgotten
 *                        ▲            │                               │
 *                        └── heard ───┴──── heard, or a new life ─────┘
 *
 * News of a node come from itself or second-hand. Each carries the node's (incarnation, sequence), and only a greater pair
 * is news: what a third party repeats cannot keep a dead node alive. A second-hand sign of life counts from the time when
 * somebody heard the node itself.
 */
import type { ClusterRecord, Member, MemberState, MeshChange } from '../../core/engine/index.ts';

export interface MembershipLimits {
  readonly suspectMs: number;
  readonly deadMs: number;
  readonly forgetMs: number;
  /** More members than this are not taken in … */
  readonly maximumMembers: number;
  /** … and no more bytes of their records than this. */
  readonly maximumStoredBytes: number;
  /** Kinds of records of one member. */
  readonly maximumKinds: number;
}

/** A record with the bytes that it came as, to pass on. */
export interface StoredRecord extends ClusterRecord {
  readonly bytes: Uint8Array;
}

export interface Peer {
  readonly node: string;
  incarnation: number;
  sequence: number;
  heardAtMs: number;
  state: MemberState;
  readonly records: Map<string, StoredRecord>;
}

/** A sign of life: from the node itself, or second-hand with the time when somebody heard it. */
export interface Sign {
  readonly node: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly heardAtMs: number;
  /** The kinds of records that the node has in this life. */
  readonly kinds: readonly string[];
}

/** True when (incarnation, version) of `a` comes after that of `b`. */
export function newer(
  a: { readonly incarnation: number; readonly version: number },
  b: { readonly incarnation: number; readonly version: number } | undefined,
): boolean {
  if (b === undefined || a.incarnation > b.incarnation) return true;
  return a.incarnation === b.incarnation && a.version > b.version;
}

export class Membership {
  readonly #peers = new Map<string, Peer>();
  readonly #limits: MembershipLimits;
  #storedBytes = 0;
  /** Until the others have had time to be heard again after this node itself stood still. */
  #lenientFromMs = -Infinity;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  get(node: string): Peer | undefined {
    return this.#peers.get(node);
  }

  peers(): Peer[] {
    return [...this.#peers.values()];
  }

  members(): Member[] {
    return this.peers().map(({ node, state, heardAtMs }) => ({ node, state, heardAtMs }));
  }

  /** The records of one kind of those that are not dead. */
  records(kind: string): ClusterRecord[] {
    return this.peers().flatMap(({ state, records }) => {
      const record = records.get(kind);
      return state === 'dead' || record === undefined ? [] : [record];
    });
  }

  /** Takes a sign of life, unless it is old; false then, and when there is no room for another member. */
  heard(sign: Sign, nowMs: number, changes: MeshChange[]): boolean {
    const { node, incarnation, sequence, heardAtMs } = sign;
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      if (this.#peers.size >= this.#limits.maximumMembers || nowMs - heardAtMs >= this.#limits.deadMs) return false;
      peer = { node, incarnation, sequence, heardAtMs, state: 'alive', records: new Map() };
      this.#peers.set(node, peer);
      changes.push({ node, what: 'state', state: 'alive', why: `${node} came` });
      return true;
    }
    const again = incarnation > peer.incarnation;
    if (!again && (incarnation < peer.incarnation || sequence <= peer.sequence)) return false;
    peer.incarnation = incarnation;
    peer.sequence = sequence;
    peer.heardAtMs = Math.max(peer.heardAtMs, heardAtMs);
    if (again) {
      // What it does not say in this life is void; the rest stays until its new record is here.
      for (const kind of peer.records.keys()) if (!sign.kinds.includes(kind)) this.#drop(peer, kind, changes);
    }
    if (nowMs - peer.heardAtMs < this.#limits.suspectMs) {
      this.#set(peer, 'alive', again ? `${node} has started again` : `${node} is heard again`, changes);
    }
    return true;
  }

  /** The node says that it stops. */
  left(node: string, changes: MeshChange[]): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) this.#set(peer, 'dead', `${node} has left`, changes);
  }

  /** Keeps a record if it is newer than the one known; false when there is no room for it. */
  learn(record: StoredRecord, changes: MeshChange[]): boolean {
    const peer = this.#peers.get(record.node);
    if (peer === undefined || !newer(record, peer.records.get(record.kind))) return true;
    const known = peer.records.get(record.kind);
    if (known === undefined && peer.records.size >= this.#limits.maximumKinds) return false;
    const stored = this.#storedBytes - (known?.bytes.length ?? 0) + record.bytes.length;
    if (stored > this.#limits.maximumStoredBytes) return false;
    this.#storedBytes = stored;
    peer.records.set(record.kind, record);
    changes.push({ node: record.node, what: 'record', kind: record.kind });
    return true;
  }

  /** This node stood still (a stopped process, a sleeping machine): it was not the others that were silent. */
  stoodStill(nowMs: number): void {
    this.#lenientFromMs = nowMs - this.#limits.suspectMs;
  }

  /** What the passing of time changes. */
  tick(nowMs: number, changes: MeshChange[]): void {
    const { suspectMs, deadMs, forgetMs } = this.#limits;
    for (const peer of this.#peers.values()) {
      const silentMs = nowMs - peer.heardAtMs;
      const countedMs = Math.min(silentMs, nowMs - this.#lenientFromMs);
      const why = `${peer.node} is silent for ${(silentMs / 1_000).toFixed(1)} s`;
      if (peer.state === 'dead') {
        if (silentMs >= deadMs + forgetMs) this.#forget(peer);
      } else if (countedMs >= deadMs) this.#set(peer, 'dead', why, changes);
      else if (countedMs >= suspectMs) this.#set(peer, 'suspect', why, changes);
    }
  }

  #drop(peer: Peer, kind: string, changes: MeshChange[]): void {
    this.#storedBytes -= peer.records.get(kind)?.bytes.length ?? 0;
    peer.records.delete(kind);
    changes.push({ node: peer.node, what: 'record', kind });
  }

  #forget(peer: Peer): void {
    for (const { bytes } of peer.records.values()) this.#storedBytes -= bytes.length;
    this.#peers.delete(peer.node);
  }

  #set(peer: Peer, state: MemberState, why: string, changes: MeshChange[]): void {
    if (peer.state === state) return;
    peer.state = state;
    changes.push({ node: peer.node, what: 'state', state, why });
  }
}
