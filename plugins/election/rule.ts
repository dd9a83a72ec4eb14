/**
 * The rule that all elections share, pure: state and what is seen go in, the new state and who publishes come out. Who comes
 * first is the order's business (order.ts).
 *
 *   listening ─ vacant, able, my turn ─► publisher ─ a claim that beats mine, or unable ─► standby ─ vacant … ─► publisher
 *                 standby ─ the publisher names me its successor ─► publisher (the old one stops when it hears the claim)
 *
 * - The order decides between claims of one epoch and who takes over; it never unseats a publisher (no preemption).
 * - Only a claim of the highest epoch ever seen counts, of those that are believed (belief.ts): whoever published with a later one is obeyed, here as at the HSDirs.
 * - A claim counts as long as its node was heard within `leaseMs + confirmMs` and has shown within `publishMs` that its
 *   publishing works. Then the first in order of those alive claims at once, the n-th n staggers later.
 * - A node is ready to claim when it is able and has listened for a lease: since its start, since it stood still, and since it
 *   learned of an epoch whose publisher it has not heard. It says so, and claims a stagger later at the earliest.
 * - A publisher that cannot publish steps down at once if another can; if none can, it stays.
 * - A publisher that is asked to, or whose term is over, names the first in order of the others that are ready, and publishes
 *   on until it hears that one's claim. One that does not claim within a lease is passed over. A term that is over while
 *   nobody else is ready is followed by another of its own.
 * - Epochs: 0 for the first claim ever, then one more than the highest seen. A node that starts again goes on with its own
 *   last epoch if nobody has claimed since: that term was never another's.
 *
 * Times are of the node's monotonic clock, milliseconds.
 */
import { believe } from './belief.ts';
import { ownMerit, ranking, type Contestant, type ElectionOrder } from './order.ts';
import {
  handOver,
  largestEpoch,
  proofsOf,
  type Contender,
  type ElectionSettings,
  type ElectionState,
} from './state.ts';

export interface ElectionInput {
  readonly nowMs: number;
  readonly self: {
    readonly node: string;
    readonly able: boolean;
    /** The operator wants another node to publish. */
    readonly stepDown: boolean;
  };
  /** The others that are not dead. */
  readonly others: readonly Contender[];
  /** There is no mesh: nothing to listen for. */
  readonly alone: boolean;
}

export interface ElectionDecision {
  readonly state: ElectionState;
  readonly publisher: string | undefined;
  /** The publisher's epoch; without one the highest seen, or 0. */
  readonly epoch: number;
  /** True while this node may publish. */
  readonly elected: boolean;
  /** Look again after this at the latest. */
  readonly nextMs: number;
  readonly why: string;
  /** Members that name an epoch which none can have reached. */
  readonly doubted: readonly string[];
}

/** Everything that a decision is made of. */
export interface Election {
  readonly order: ElectionOrder;
  readonly settings: ElectionSettings;
}

/** The highest epoch that anybody knows of. */
function highestOf(own: number | undefined, others: readonly Contender[]): number | undefined {
  let most = own ?? -1;
  for (const { highest, claim } of others) most = Math.max(most, highest ?? -1, claim ?? -1);
  return most < 0 ? undefined : most;
}

export function decide(before: ElectionState, input: ElectionInput, { order, settings }: Election): ElectionDecision {
  const { nowMs, self, alone } = input;
  const { leaseMs, confirmMs, staggerMs, publishMs, termMs } = settings;
  const { others, leapsLeft, doubted } = believe(before, input.others, nowMs, leaseMs);
  const claimLifeMs = leaseMs + confirmMs;
  const stoodStill = !alone && nowMs - before.lookedAtMs > leaseMs;
  const highest = highestOf(before.highest, others);
  const following = (highest ?? -1) + 1;
  const claiming = others.filter(
    ({ claim, heardAtMs }) => claim !== undefined && claim === highest && nowMs < heardAtMs + claimLifeMs,
  );
  const proofs = proofsOf(before.proofs, claiming, stoodStill, nowMs);
  const idle = new Set(proofs.filter(({ sinceMs }) => nowMs >= sinceMs + publishMs).map(({ node }) => node));
  const standing = claiming.filter(({ node }) => !idle.has(node));
  const claims: readonly Contestant[] = [
    ...standing,
    ...(before.claim !== undefined && before.claim === highest ? [{ node: self.node, merit: before.merit }] : []),
  ];
  const winner = [...claims].sort(ranking(order, highest ?? 0))[0];
  // An epoch that it did not know of: its publisher may be about to be heard.
  const behind = winner === undefined && highest !== undefined && highest > (before.highest ?? -1);
  const listenUntilMs = stoodStill || behind ? nowMs + leaseMs : before.listenUntilMs;
  const present = others.filter(({ node, ready, alive }) => ready && alive && !idle.has(node));

  const readySince = (listeningEndsAtMs: number): number | undefined =>
    self.able && nowMs >= listeningEndsAtMs ? (before.readySinceMs ?? nowMs) : undefined;

  let state: ElectionState = {
    ...before,
    highest,
    proofs,
    merit: alone || nowMs >= listenUntilMs ? ownMerit(order, others, before.merit) : before.merit,
    resumable: before.resumable && before.highest === highest && winner === undefined,
    listenUntilMs,
    readySinceMs: readySince(listenUntilMs),
    lookedAtMs: nowMs,
    leapsLeft,
  };
  const me: Contestant = { node: self.node, merit: state.merit };
  // Alone, nothing but its own term changes with time.
  const dueMs: number[] = [alone ? publishMs : leaseMs / 4];
  const dueAt = (atMs: number): void => void (atMs > nowMs && dueMs.push(atMs - nowMs));
  for (const { heardAtMs } of standing) dueAt(heardAtMs + claimLifeMs);
  for (const { sinceMs } of proofs) dueAt(sinceMs + publishMs);
  const answer = (publisher: string | undefined, elected: boolean, why: string): ElectionDecision => ({
    state,
    publisher,
    epoch: (publisher === self.node ? state.claim : state.highest) ?? 0,
    elected,
    nextMs: Math.max(1, Math.min(...dueMs)),
    why,
    doubted,
  });
  const idling = { claim: undefined, handing: undefined, overtaken: undefined };
  const claim = (epoch: number, why: string): ElectionDecision => {
    state = { ...state, ...idling, claim: epoch, highest: epoch, claimedAtMs: nowMs };
    state = { ...state, resumable: false, vacantSinceMs: undefined };
    return answer(self.node, true, why);
  };

  if (winner !== undefined && winner.node !== self.node) {
    // It has been heard: there is nothing more to listen for.
    const heardUntilMs = stoodStill ? listenUntilMs : Math.min(listenUntilMs, nowMs);
    state = { ...state, ...idling, vacantSinceMs: undefined, overtakes: 0 };
    state = { ...state, listenUntilMs: heardUntilMs, readySinceMs: readySince(heardUntilMs) };
    const named = standing.some(({ node, successor }) => node === winner.node && successor === self.node);
    if (named && state.readySinceMs !== undefined && following <= largestEpoch) {
      return claim(following, `${winner.node} hands over`);
    }
    return answer(winner.node, false, `${winner.node} publishes`);
  }

  if (winner !== undefined) {
    // What it says of itself needs no lease; without anybody to take over it stays, and publishes as soon as it can.
    if (!self.able && present.length > 0) {
      state = { ...state, ...idling, vacantSinceMs: nowMs };
      return answer(undefined, false, 'this node cannot publish, and another can');
    }
    // Whoever stood still may have been replaced without knowing it yet.
    if (!alone && nowMs < listenUntilMs) {
      state = { ...state, handing: undefined };
      dueAt(listenUntilMs);
      return answer(self.node, false, 'this node stood still, and listens before it publishes again');
    }
    const { overtaken, claimedAtMs } = state;
    if (overtaken !== undefined) {
      if (nowMs >= overtaken.untilMs && overtaken.epoch < largestEpoch) {
        const after = Math.max(overtaken.epoch, highest ?? 0) + 1;
        return claim(after, `it follows a publisher of epoch ${overtaken.epoch}`);
      }
      dueAt(overtaken.untilMs);
      const why = `a descriptor of epoch ${overtaken.epoch} is out there, and its publisher may be too`;
      return answer(self.node, false, why);
    }
    const termOver = termMs !== undefined && nowMs >= claimedAtMs + termMs && following <= largestEpoch;
    if (termMs !== undefined) dueAt(claimedAtMs + termMs);
    if (!self.stepDown && !termOver) {
      state = { ...state, handing: undefined };
      return answer(self.node, true, 'this node publishes');
    }
    const heirs = present.length === 0 && !self.stepDown ? [me] : [...present].sort(ranking(order, following));
    const handing = handOver(before.handing, heirs, nowMs, leaseMs);
    state = { ...state, handing };
    if (handing?.to === self.node) return claim(following, 'its term is over, and nobody else is ready');
    if (handing === undefined) return answer(self.node, true, 'it would hand over, and nobody else is ready');
    dueAt(handing.sinceMs + leaseMs);
    return answer(self.node, true, `this node publishes until ${handing.to} does`);
  }

  const vacantSinceMs = before.vacantSinceMs ?? nowMs;
  state = { ...state, ...idling, vacantSinceMs };
  if (alone) return claim(nextEpoch(state), 'it is alone');
  if (!self.able) return answer(undefined, false, 'nobody is elected yet, and this node cannot publish');
  dueAt(listenUntilMs);
  if (state.readySinceMs === undefined) return answer(undefined, false, 'nobody is elected yet, and this node listens');
  const comesFirst = ranking(order, following);
  const ahead = present.filter((other) => comesFirst(other, me) < 0).length;
  // Several may have become ready at once: each is heard before the first of them claims.
  const claimAtMs = Math.max(vacantSinceMs, state.readySinceMs + staggerMs) + ahead * staggerMs;
  dueAt(claimAtMs);
  if (nowMs < claimAtMs || highest === largestEpoch) return answer(undefined, false, 'nobody is elected yet');
  return claim(nextEpoch(state), 'it is the first in order');
}

function nextEpoch({ highest, resumable }: ElectionState): number {
  if (highest === undefined) return 0;
  return resumable ? highest : Math.min(highest + 1, largestEpoch);
}
