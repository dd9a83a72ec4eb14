/** What an election keeps between two looks, and what changes it beside the rule itself (rule.ts). */
import type { Json } from '../../core/engine/index.ts';
import { largestLeap } from './belief.ts';
import type { Contestant } from './order.ts';

export { largestEpoch } from '../../core/onion/index.ts';

export interface ElectionSettings {
  readonly leaseMs: number;
  /** How much longer than the lease a publisher may be silent before its claim is void. */
  readonly confirmMs: number;
  readonly staggerMs: number;
  /** How long a publisher may be heard without having shown that its publishing works. */
  readonly publishMs: number;
  /** A term ends by a hand-over after so long; without it, when its publisher cannot go on. */
  readonly termMs?: number | undefined;
}

/** What a node says of itself. */
export interface Contender extends Contestant {
  /** False while its tor is gone, its publishing fails, or it listens: it could not claim. */
  readonly ready: boolean;
  /** The highest epoch that it has seen. */
  readonly highest: number | undefined;
  /** The epoch in which it publishes; undefined while it stands by. */
  readonly claim: number | undefined;
  /** How often in this life it has shown that its publishing works: "I published". */
  readonly published: number;
  /** Whom it wants to publish in its place. */
  readonly successor: string | undefined;
  readonly heardAtMs: number;
  /** Nobody misses it. Of one that does not publish no more than that is known in a large cluster. */
  readonly alive: boolean;
}

/** Since when a publisher has said nothing new of its publishing. */
export interface Proof {
  readonly node: string;
  readonly claim: number;
  readonly published: number;
  readonly sinceMs: number;
}

/** A hand-over under way. */
export interface Handing {
  readonly to: string;
  readonly sinceMs: number;
  /** Those that were named before and did not claim. */
  readonly passedOver: readonly string[];
}

export interface ElectionState {
  readonly highest: number | undefined;
  /** This node's own claim. */
  readonly claim: number | undefined;
  /** What it says of itself; undefined before it has listened for the first time. */
  readonly merit: Json | undefined;
  /** True when `highest` was this node's own claim in an earlier life, and no other claim of it is known. */
  readonly resumable: boolean;
  readonly listenUntilMs: number;
  /** Since when there is no claim that counts. */
  readonly vacantSinceMs: number | undefined;
  /** Undefined while it could not claim: unable, or listening. */
  readonly readySinceMs: number | undefined;
  readonly lookedAtMs: number;
  /** How far ahead of `highest` others are believed (belief.ts). */
  readonly leapsLeft: number;
  /** Of the others that claim the highest epoch. */
  readonly proofs: readonly Proof[];
  readonly handing: Handing | undefined;
  /** A descriptor of a later epoch is out there: until then this node waits, then it claims the epoch after that. */
  readonly overtaken: { readonly epoch: number; readonly untilMs: number } | undefined;
  /** How often in a row, for the back-off. */
  readonly overtakes: number;
  readonly claimedAtMs: number;
}

export function initialState(options: {
  readonly nowMs: number;
  readonly settings: ElectionSettings;
  /** What is remembered from earlier lives. */
  readonly highest?: number | undefined;
  readonly ownTerm?: boolean;
}): ElectionState {
  const { nowMs, settings, highest, ownTerm = false } = options;
  return {
    highest,
    claim: undefined,
    merit: undefined,
    resumable: highest !== undefined && ownTerm,
    listenUntilMs: nowMs + settings.leaseMs,
    vacantSinceMs: undefined,
    readySinceMs: undefined,
    lookedAtMs: nowMs,
    leapsLeft: largestLeap,
    proofs: [],
    handing: undefined,
    overtaken: undefined,
    overtakes: 0,
    claimedAtMs: 0,
  };
}

/** The proofs of those that claim now. After this node stood still, they have all the time anew. */
export function proofsOf(
  known: readonly Proof[],
  claiming: readonly Contender[],
  stoodStill: boolean,
  nowMs: number,
): readonly Proof[] {
  return claiming.map(({ node, claim = 0, published }) => {
    const same = known.find((proof) => proof.node === node && proof.claim === claim && proof.published === published);
    return same !== undefined && !stoodStill ? same : { node, claim, published, sinceMs: nowMs };
  });
}

/** Who is asked to take over now: the one that was asked, for a lease; then the first in order that was not passed over. */
export function handOver(
  before: Handing | undefined,
  heirs: readonly Contestant[],
  nowMs: number,
  leaseMs: number,
): Handing | undefined {
  const asked = heirs.some(({ node }) => node === before?.to);
  if (before !== undefined && asked && nowMs < before.sinceMs + leaseMs) return before;
  const passedOver = before === undefined ? [] : [...before.passedOver, before.to];
  const next = heirs.find(({ node }) => !passedOver.includes(node));
  // All were asked: once more from the beginning.
  if (next === undefined) return heirs[0] && { to: heirs[0].node, sinceMs: nowMs, passedOver: [] };
  return { to: next.node, sinceMs: nowMs, passedOver };
}

/** While somebody is missing, who may be alive out of hearing, a publisher there is given this many leases, doubled each time. */
const overtakenLeases = 15;
const largestDoubling = 7;

/**
 * The HSDirs hold a descriptor of `epoch`, later than this node's claim. With everybody known in hearing, its publisher was one
 * of them in a life that is forgotten, and this node goes on soon. When somebody is missing, that may publish on the other
 * side of a cut, and two publishers that outbid each other would serve nobody: it waits longer each time. An epoch that none
 * can have reached is that of somebody who has the master key: it is not followed, so that epochs do not run out.
 */
export function overtakenBy(
  state: ElectionState,
  epoch: number,
  options: { readonly nowMs: number; readonly missing: boolean; readonly settings: ElectionSettings },
): ElectionState {
  const { nowMs, missing, settings } = options;
  if (state.claim === undefined || epoch <= state.claim || epoch <= (state.overtaken?.epoch ?? -1)) return state;
  if (epoch > state.claim + largestLeap) return state;
  const doublings = 2 ** Math.min(state.overtakes, largestDoubling);
  const calm = nowMs - state.claimedAtMs > 2 * overtakenLeases * 2 ** largestDoubling * settings.leaseMs;
  const waitMs = settings.leaseMs * (missing ? overtakenLeases * (calm ? 1 : doublings) : doublings - 1);
  return { ...state, overtaken: { epoch, untilMs: nowMs + waitMs }, overtakes: calm ? 1 : state.overtakes + 1 };
}
