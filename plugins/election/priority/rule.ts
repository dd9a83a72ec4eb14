/**
 * The rule of election/priority, pure: state and what is seen go in, the new state and who publishes come out.
 *
 *   listening ─ vacant, able, my turn ─► publisher ─ a claim that beats mine, or unable ─► standby ─ vacant … ─► publisher
 *
 * - Order: the lower priority number comes first, then the smaller id. It decides between claims of one epoch and who takes
 *   over; it never unseats a publisher (no preemption).
 * - Only a claim of the highest epoch ever seen counts: whoever published with a later one is obeyed, here as at the HSDirs.
 * - A claim counts as long as its node was heard within `leaseMs + confirmMs`. Then the first in order of those heard within
 *   the lease claims at once, the n-th n staggers later.
 * - A node is ready to claim when it is able and has listened for a lease: since its start, since it stood still, and since it
 *   learned of an epoch whose publisher it has not heard. It says so, and claims a stagger later at the earliest.
 * - A publisher that cannot publish steps down at once if another can; if none can, it stays.
 * - Epochs: 0 for the first claim ever, then one more than the highest seen. A node that starts again goes on with its own
 *   last epoch if nobody has claimed since: that term was never another's.
 *
 * Times are of the node's monotonic clock, milliseconds.
 */

export const largestEpoch = 2 ** 30 - 1;

export interface ElectionSettings {
  readonly leaseMs: number;
  /** How much longer than the lease a publisher may be silent before its claim is void. */
  readonly confirmMs: number;
  readonly staggerMs: number;
}

/** What a node says of itself. */
export interface Contender {
  readonly node: string;
  readonly priority: number;
  /** False while its tor is gone, its publishing fails, or it listens: it could not claim. */
  readonly ready: boolean;
  /** The highest epoch that it has seen. */
  readonly highest: number | undefined;
  /** The epoch in which it publishes; undefined while it stands by. */
  readonly claim: number | undefined;
  readonly heardAtMs: number;
}

export interface ElectionState {
  readonly highest: number | undefined;
  /** This node's own claim. */
  readonly claim: number | undefined;
  /** True when `highest` was this node's own claim in an earlier life, and no other claim of it is known. */
  readonly resumable: boolean;
  readonly listenUntilMs: number;
  /** Since when there is no claim that counts. */
  readonly vacantSinceMs: number | undefined;
  /** Undefined while it could not claim: unable, or listening. */
  readonly readySinceMs: number | undefined;
  readonly lookedAtMs: number;
  /** A descriptor of a later epoch is out there: until then this node waits, then it claims the epoch after that. */
  readonly overtaken: { readonly epoch: number; readonly untilMs: number } | undefined;
  /** How often in a row, for the back-off. */
  readonly overtakes: number;
  readonly claimedAtMs: number;
}

export interface ElectionInput {
  readonly nowMs: number;
  readonly self: { readonly node: string; readonly priority: number; readonly able: boolean };
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
}

type Ranked = Pick<Contender, 'node' | 'priority'>;

/** Negative when `a` comes before `b`. */
export function compareRank(a: Ranked, b: Ranked): number {
  return a.priority - b.priority || (a.node < b.node ? -1 : Number(a.node > b.node));
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
    resumable: highest !== undefined && ownTerm,
    listenUntilMs: nowMs + settings.leaseMs,
    vacantSinceMs: undefined,
    readySinceMs: undefined,
    lookedAtMs: nowMs,
    overtaken: undefined,
    overtakes: 0,
    claimedAtMs: 0,
  };
}

const highestOf = (epochs: readonly (number | undefined)[]): number | undefined =>
  epochs.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);

export function decide(before: ElectionState, input: ElectionInput, settings: ElectionSettings): ElectionDecision {
  const { nowMs, self, others, alone } = input;
  const { leaseMs, confirmMs, staggerMs } = settings;
  const claimLifeMs = leaseMs + confirmMs;
  const stoodStill = !alone && nowMs - before.lookedAtMs > leaseMs;
  const highest = highestOf([before.highest, ...others.flatMap(({ highest, claim }) => [highest, claim])]);
  const standing = others.filter(({ claim, heardAtMs }) => claim === highest && nowMs < heardAtMs + claimLifeMs);
  const claims: Ranked[] = [
    ...standing.filter(({ claim }) => claim !== undefined),
    ...(before.claim !== undefined && before.claim === highest ? [self] : []),
  ];
  const winner = [...claims].sort(compareRank)[0];
  // An epoch that it did not know of: its publisher may be about to be heard.
  const behind = winner === undefined && highest !== undefined && highest > (before.highest ?? -1);
  const listenUntilMs = stoodStill || behind ? nowMs + leaseMs : before.listenUntilMs;
  const present = others.filter(({ ready, heardAtMs }) => ready && nowMs < heardAtMs + leaseMs);

  const readySince = (listeningEndsAtMs: number): number | undefined =>
    self.able && nowMs >= listeningEndsAtMs ? (before.readySinceMs ?? nowMs) : undefined;

  let state: ElectionState = {
    ...before,
    highest,
    resumable: before.resumable && before.highest === highest && winner === undefined,
    listenUntilMs,
    readySinceMs: readySince(listenUntilMs),
    lookedAtMs: nowMs,
  };
  const dueMs: number[] = [leaseMs / 4];
  const dueAt = (atMs: number): void => void (atMs > nowMs && dueMs.push(atMs - nowMs));
  for (const { heardAtMs } of standing) dueAt(heardAtMs + claimLifeMs);
  const answer = (publisher: Ranked | undefined, elected: boolean, why: string): ElectionDecision => ({
    state,
    publisher: publisher?.node,
    epoch: (publisher?.node === self.node ? state.claim : state.highest) ?? 0,
    elected,
    nextMs: Math.max(1, Math.min(...dueMs)),
    why,
  });
  const claim = (epoch: number, why: string): ElectionDecision => {
    state = {
      ...state,
      claim: epoch,
      highest: epoch,
      resumable: false,
      vacantSinceMs: undefined,
      overtaken: undefined,
    };
    state = { ...state, claimedAtMs: nowMs };
    return answer(self, true, why);
  };

  if (winner !== undefined && winner.node !== self.node) {
    // It has been heard: there is nothing more to listen for.
    const heardUntilMs = stoodStill ? listenUntilMs : Math.min(listenUntilMs, nowMs);
    state = { ...state, claim: undefined, vacantSinceMs: undefined, overtaken: undefined, overtakes: 0 };
    state = { ...state, listenUntilMs: heardUntilMs, readySinceMs: readySince(heardUntilMs) };
    return answer(winner, false, `${winner.node} publishes`);
  }

  if (winner !== undefined) {
    // What it says of itself needs no lease; without anybody to take over it stays, and publishes as soon as it can.
    if (!self.able && present.length > 0) {
      state = { ...state, claim: undefined, vacantSinceMs: nowMs, overtaken: undefined };
      return answer(undefined, false, 'this node cannot publish, and another can');
    }
    // Whoever stood still may have been replaced without knowing it yet.
    if (!alone && nowMs < listenUntilMs) {
      dueAt(listenUntilMs);
      return answer(self, false, 'this node stood still, and listens before it publishes again');
    }
    const { overtaken } = state;
    if (overtaken === undefined) return answer(self, true, 'this node publishes');
    if (nowMs >= overtaken.untilMs && overtaken.epoch < largestEpoch) {
      return claim(Math.max(overtaken.epoch, highest ?? 0) + 1, `it follows a publisher of epoch ${overtaken.epoch}`);
    }
    dueAt(overtaken.untilMs);
    return answer(self, false, `a descriptor of epoch ${overtaken.epoch} is out there, and its publisher may be too`);
  }

  const vacantSinceMs = before.vacantSinceMs ?? nowMs;
  state = { ...state, claim: undefined, vacantSinceMs, overtaken: undefined };
  if (alone) return claim(nextEpoch(state), 'it is alone');
  if (!self.able) return answer(undefined, false, 'nobody is elected yet, and this node cannot publish');
  dueAt(listenUntilMs);
  if (state.readySinceMs === undefined) return answer(undefined, false, 'nobody is elected yet, and this node listens');
  const ahead = present.filter((other) => compareRank(other, self) < 0).length;
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

/** While somebody is missing, who may be alive out of hearing, a publisher there is given this many leases, doubled each time. */
const overtakenLeases = 15;
const largestDoubling = 7;

/**
 * The HSDirs hold a descriptor of `epoch`, later than this node's claim. With everybody known in hearing, its publisher was one
 * of them in a life that is forgotten, and this node goes on soon. When somebody is missing, that may publish on the other
 * side of a cut, and two publishers that outbid each other would serve nobody: it waits longer each time.
 */
export function overtakenBy(
  state: ElectionState,
  epoch: number,
  options: { readonly nowMs: number; readonly missing: boolean; readonly settings: ElectionSettings },
): ElectionState {
  const { nowMs, missing, settings } = options;
  if (state.claim === undefined || epoch <= state.claim || epoch <= (state.overtaken?.epoch ?? -1)) return state;
  const doublings = 2 ** Math.min(state.overtakes, largestDoubling);
  const calm = nowMs - state.claimedAtMs > 2 * overtakenLeases * 2 ** largestDoubling * settings.leaseMs;
  const waitMs = settings.leaseMs * (missing ? overtakenLeases * (calm ? 1 : doublings) : doublings - 1);
  return { ...state, overtaken: { epoch, untilMs: nowMs + waitMs }, overtakes: calm ? 1 : state.overtakes + 1 };
}
