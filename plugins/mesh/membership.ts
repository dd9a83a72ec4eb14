/**
 * Who is there, and what each said of itself: the mesh's state, without a clock or a socket. All times are of this node's
 * monotonic clock, milliseconds.
 *
 *   unknown ─ heard ─► alive ─ silent for suspectMs ─► suspect ─ silent for deadMs ─► dead ─ forgetMs ─► forgotten
 *                        ▲            │                               │
 *                        └── heard ───┴──────── heard, or a new life ─┘
 */
import type { ClusterRecord, Json, Member, MemberState, MeshChange } from '../../core/engine/index.ts';

export interface MembershipLimits {
  readonly suspectMs: number;
  readonly deadMs: number;
  readonly forgetMs: number;
  /** More members than this are not taken in. */
  readonly maximumMembers: number;
}

interface Peer {
  incarnation: number;
  heardAtMs: number;
  state: MemberState;
  readonly records: Map<string, ClusterRecord>;
}

export class Membership {
  readonly #peers = new Map<string, Peer>();
  readonly #limits: MembershipLimits;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  members(): Member[] {
    return [...this.#peers].map(([node, { state, heardAtMs }]) => ({ node, state, heardAtMs }));
  }

  /** The records of one kind of those that are not dead. */
  records(kind: string): ClusterRecord[] {
    return [...this.#peers.values()].flatMap(({ state, records }) => {
      const record = records.get(kind);
      return state === 'dead' || record === undefined ? [] : [record];
    });
  }

  /** A sign of life. An older life of the node is ignored: it is a late message. */
  heard(node: string, incarnation: number, nowMs: number): MeshChange[] {
    const known = this.#peers.get(node);
    if (known !== undefined && incarnation < known.incarnation) return [];
    if (known === undefined || incarnation > known.incarnation) {
      if (known === undefined && this.#peers.size >= this.#limits.maximumMembers) return [];
      this.#peers.set(node, { incarnation, heardAtMs: nowMs, state: 'alive', records: new Map() });
      const why = known === undefined ? `${node} came` : `${node} has started again`;
      return [{ node, what: 'state', state: 'alive', why }];
    }
    known.heardAtMs = nowMs;
    return this.#set(node, known, 'alive', `${node} is heard again`);
  }

  /** The node says that it stops. */
  left(node: string, incarnation: number): MeshChange[] {
    const peer = this.#peers.get(node);
    return peer?.incarnation === incarnation ? this.#set(node, peer, 'dead', `${node} has left`) : [];
  }

  /** The kinds of `versions` that this node does not know as new as that. */
  missing(node: string, versions: Readonly<Record<string, number>>): string[] {
    const records = this.#peers.get(node)?.records;
    if (records === undefined) return [];
    return Object.entries(versions)
      .filter(([kind, version]) => (records.get(kind)?.version ?? -1) < version)
      .map(([kind]) => kind);
  }

  learn(node: string, incarnation: number, kind: string, version: number, value: Json): MeshChange[] {
    const peer = this.#peers.get(node);
    if (peer?.incarnation !== incarnation || (peer.records.get(kind)?.version ?? -1) >= version) return [];
    peer.records.set(kind, { node, kind, incarnation, version, value });
    return [{ node, what: 'record', kind }];
  }

  /** What the passing of time changes. */
  tick(nowMs: number): MeshChange[] {
    const { suspectMs, deadMs, forgetMs } = this.#limits;
    return [...this.#peers].flatMap(([node, peer]) => {
      const silentMs = nowMs - peer.heardAtMs;
      const why = `${node} is silent for ${(silentMs / 1_000).toFixed(1)} s`;
      if (peer.state === 'dead') {
        if (silentMs >= deadMs + forgetMs) this.#peers.delete(node);
        return [];
      }
      if (silentMs >= deadMs) return this.#set(node, peer, 'dead', why);
      return silentMs >= suspectMs ? this.#set(node, peer, 'suspect', why) : [];
    });
  }

  #set(node: string, peer: Peer, state: MemberState, why: string): MeshChange[] {
    if (peer.state === state) return [];
    peer.state = state;
    return [{ node, what: 'state', state, why }];
  }
}
