/**
 * Who is there: the mesh's state machine, without a clock or a socket. All times are of this node's monotonic clock, milliseconds.
 *
 *   unknown ─ presence ─► alive ─ nobody gets an answer ─► suspect ─ suspicion not refuted in time, or left ─► dead
 *                           ▲                                 │                                                │
 *                           └──── heard later, or a later presence ────────────────────────────────────────────┘
 *
 * Only what a node said itself refutes: a datagram of its own whose age is known, an answer to a question, or a presence record with a
 * later (incarnation, version). What a third party repeats carries the time when somebody heard the node itself.
 */
import type { Member, MemberState, MeshChange, PeerLife } from '../../core/engine/index.ts';

export interface MemberSettings {
  /** A leader silent for so long is suspect, and for twice as long dead. */
  readonly leaderSilentMs: number;
  /** How long a suspicion stands before it counts, in a cluster of up to ten. */
  readonly suspicionMs: number;
  /** The dead are no members any more after this. */
  readonly forgetMs: number;
}

/** So many others that agree make the suspicion stand half as long (Lifeguard, section IV.B). */
const enoughConfirmations = 3;

export interface Peer {
  readonly node: string;
  state: MemberState;
  incarnation: number;
  version: number;
  /** Heard itself, or by somebody who said when. */
  heardAtMs: number;
  /** A probe of this node's own is unanswered. */
  doubted: boolean;
  left: boolean;
  leading: boolean;
  changedAtMs: number;
  suspicion: { readonly sinceMs: number; readonly accusers: Set<string> } | undefined;
}

/** How long a suspicion stands among `size` nodes, with so many accusers beside the first. */
function suspicionTimeoutMs(suspicionMs: number, size: number, confirmations: number): number {
  const longest = suspicionMs * Math.max(1, Math.log10(Math.max(1, size)));
  const share = Math.log(1 + Math.min(confirmations, enoughConfirmations)) / Math.log(1 + enoughConfirmations);
  return longest * (1 - share / 2);
}

export class Members {
  readonly #peers = new Map<string, Peer>();
  /** Those that time may change: leaders, and suspects. Few, however large the cluster is. */
  readonly #watched = new Set<Peer>();
  /** In the order of their ids, until there is another. */
  #sorted: readonly Peer[] | undefined;
  readonly #settings: MemberSettings;
  readonly #onPresent: (node: string, there: boolean) => void;
  /** Grows whenever somebody comes to be there or dead, or is forgotten. */
  changes = 0;

  /** `onPresent` is called when a node is dead no more, and when it is. */
  constructor(settings: MemberSettings, onPresent: (node: string, there: boolean) => void) {
    this.#settings = settings;
    this.#onPresent = onPresent;
  }

  get(node: string): Peer | undefined {
    return this.#peers.get(node);
  }

  /** How many are known, the dead among them. */
  get size(): number {
    return this.#peers.size;
  }

  leaders(): Peer[] {
    return [...this.#watched].filter(({ leading, state }) => leading && state !== 'dead');
  }

  suspects(): string[] {
    return [...this.#watched].flatMap(({ node, state }) => (state === 'suspect' ? [node] : []));
  }

  #watch(peer: Peer): void {
    if (peer.leading || peer.suspicion !== undefined) this.#watched.add(peer);
    else this.#watched.delete(peer);
  }

  #presenceChanged(node: string, there: boolean): void {
    this.changes++;
    this.#onPresent(node, there);
  }

  /** A presence record that is later than the one known. */
  presence(
    node: string,
    incarnation: number,
    version: number,
    left: boolean,
    nowMs: number,
    changes: MeshChange[],
  ): void {
    let peer = this.#peers.get(node);
    const again = peer !== undefined && incarnation > peer.incarnation;
    if (peer === undefined) {
      const common = { incarnation, version, heardAtMs: -Infinity, doubted: false, leading: false };
      peer = { node, state: 'dead', left, changedAtMs: nowMs, suspicion: undefined, ...common };
      this.#peers.set(node, peer);
      this.#sorted = undefined;
      this.changes++;
    }
    peer.incarnation = incarnation;
    peer.version = version;
    peer.left = left;
    if (again) peer.leading = false;
    this.#watch(peer);
    if (left) this.#set(peer, 'dead', `${node} has left`, nowMs, changes);
    else {
      // It may have waited in a queue: until the node itself is heard, nothing says that it is there now.
      peer.doubted = true;
      this.#set(peer, 'alive', again ? `${node} has started again` : `${node} came`, nowMs, changes);
    }
  }

  /** It was heard, by this node or by another that said when. True when that is later than what was known. */
  heard(node: string, atMs: number, nowMs: number, changes: MeshChange[]): boolean {
    const peer = this.#peers.get(node);
    if (peer === undefined || atMs <= peer.heardAtMs) return false;
    peer.heardAtMs = atMs;
    if (peer.left) return true;
    const sinceMs = peer.suspicion?.sinceMs ?? (peer.state === 'dead' ? peer.changedAtMs : -Infinity);
    if (nowMs - atMs < this.#settings.leaderSilentMs && atMs > sinceMs) {
      peer.doubted = false;
      this.#set(peer, 'alive', `${node} is heard again`, nowMs, changes);
    }
    return true;
  }

  /** It is for others to find out whether it answers. */
  trust(node: string): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) peer.doubted = false;
  }

  doubt(node: string): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) peer.doubted = true;
  }

  leads(node: string, leading: boolean): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    peer.leading = leading;
    this.#watch(peer);
  }

  /** Somebody gets no answer. True when that is new: another suspect, or another accuser. Of those only the first few count. */
  suspect(node: string, accuser: string, why: string, nowMs: number, changes: MeshChange[]): boolean {
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.state === 'dead') return false;
    peer.suspicion ??= { sinceMs: nowMs, accusers: new Set() };
    const { accusers } = peer.suspicion;
    const counts = !accusers.has(accuser) && accusers.size <= enoughConfirmations;
    if (counts) accusers.add(accuser);
    peer.doubted = true;
    if (peer.state !== 'suspect') {
      const { suspicion } = peer;
      this.#set(peer, 'suspect', why, nowMs, changes);
      peer.suspicion = suspicion;
    }
    this.#watch(peer);
    return counts;
  }

  /** It is dead, as somebody found after all. */
  die(node: string, why: string, nowMs: number, changes: MeshChange[]): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) this.#set(peer, 'dead', why, nowMs, changes);
  }

  /** This node stood still (a stopped process, a sleeping machine): it was not the others that were silent. */
  stoodStill(nowMs: number): void {
    for (const peer of this.#watched) {
      if (peer.suspicion !== undefined) peer.suspicion = { sinceMs: nowMs, accusers: peer.suspicion.accusers };
      if (peer.leading) peer.changedAtMs = nowMs;
    }
  }

  /** What the passing of time changes. Gives those that died now. */
  tick(nowMs: number, changes: MeshChange[]): Peer[] {
    const died: Peer[] = [];
    const size = this.#peers.size + 1;
    for (const peer of this.#watched) {
      const { node, state, suspicion, leading } = peer;
      if (state === 'dead') continue;
      const silentMs = Math.min(nowMs - peer.heardAtMs, nowMs - peer.changedAtMs);
      if (suspicion === undefined && !leading) continue;
      const why = (): string =>
        `${node} is silent for ${(Math.min(nowMs - peer.heardAtMs, nowMs) / 1_000).toFixed(1)} s`;
      const stoodLongEnough =
        suspicion !== undefined &&
        nowMs - suspicion.sinceMs >= suspicionTimeoutMs(this.#settings.suspicionMs, size, suspicion.accusers.size - 1);
      if (stoodLongEnough) {
        this.#set(peer, 'dead', why(), nowMs, changes);
        died.push(peer);
      } else if (leading && state === 'alive' && silentMs >= this.#settings.leaderSilentMs) {
        this.suspect(node, '', why(), nowMs, changes);
      }
    }
    return died;
  }

  /** Forgets a member that was removed. */
  remove(node: string, changes: MeshChange[], nowMs: number): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    this.#set(peer, 'dead', `${node} was removed`, nowMs, changes);
    this.#watched.delete(peer);
    this.#peers.delete(node);
    this.#sorted = undefined;
    this.changes++;
  }

  /** Those to be shown, in the order of their ids. A node that nobody misses counts as heard: somebody probes it all the time. */
  list(nowMs: number, lifeOf: (node: string) => PeerLife): Member[] {
    this.#sorted ??= [...this.#peers.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
    const shown: Member[] = [];
    for (const { node, state, heardAtMs, leading, doubted, changedAtMs } of this.#sorted) {
      if (state === 'dead' && nowMs - changedAtMs >= this.#settings.forgetMs) continue;
      const missed = leading || doubted || state !== 'alive';
      shown.push({ node, state, heardAtMs: missed ? Math.max(heardAtMs, 0) : nowMs, life: lifeOf(node) });
    }
    return shown;
  }

  #set(peer: Peer, state: MemberState, why: string, nowMs: number, changes: MeshChange[]): void {
    if (state !== 'suspect') peer.suspicion = undefined;
    if (state === 'dead') peer.leading = false;
    this.#watch(peer);
    if (peer.state === state && !why.endsWith('came')) return;
    const was = peer.state;
    peer.state = state;
    if ((was === 'dead') !== (state === 'dead')) this.#presenceChanged(peer.node, state !== 'dead');
    peer.changedAtMs = nowMs;
    changes.push({ node: peer.node, what: 'state', state, why });
  }
}
