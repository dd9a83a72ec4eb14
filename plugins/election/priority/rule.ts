/**
 * The rule of election/priority, pure: what this node does, given what it sees. Lower priority numbers come first, then the
 * smaller id. Whoever publishes stays (no preemption) until it is gone, cannot publish, or sees a later claim.
 *
 *   claims: of two publishers the later epoch wins, then the order; the other steps down
 *   takeover: after `leaseMs` without a publisher, by the first in order; the n-th waits n staggers more
 */

export interface Claim {
  readonly node: string;
  /** The term that it claims; undefined while it does not publish. */
  readonly epoch: number | undefined;
  readonly priority: number;
  /** False while its tor is gone or its publishing fails: it may not lead. */
  readonly able: boolean;
}

export interface ElectionView {
  readonly self: Claim;
  /** The living others. */
  readonly others: readonly Claim[];
  /** The highest epoch that was ever seen; -1 before the first. */
  readonly highestEpoch: number;
  /** How long there has been no able publisher, milliseconds. */
  readonly vacantMs: number;
  readonly leaseMs: number;
  readonly staggerMs: number;
}

export type ElectionDecision =
  | { readonly act: 'none' }
  | { readonly act: 'claim'; readonly epoch: number }
  | { readonly act: 'step-down'; readonly why: string };

type Ranked = Pick<Claim, 'node' | 'priority'>;

/** Negative when `a` comes before `b`. */
export function compareRank(a: Ranked, b: Ranked): number {
  return a.priority - b.priority || (a.node < b.node ? -1 : Number(a.node > b.node));
}

/** The claim that counts among several: the latest epoch, then the order. Undefined when no able node claims. */
export function winningClaim(claims: readonly Claim[]): Claim | undefined {
  return claims
    .filter(({ epoch, able }) => epoch !== undefined && able)
    .sort((a, b) => (b.epoch as number) - (a.epoch as number) || compareRank(a, b))[0];
}

export function decide({ self, others, highestEpoch, vacantMs, leaseMs, staggerMs }: ElectionView): ElectionDecision {
  const winner = winningClaim([self, ...others]);
  if (self.epoch !== undefined) {
    if (!self.able) return { act: 'step-down', why: 'it cannot publish' };
    if (winner !== undefined && winner.node !== self.node) {
      return { act: 'step-down', why: `${winner.node} publishes in epoch ${winner.epoch}` };
    }
    // A term that the HSDirs have already seen the end of is refused there: begin another.
    return highestEpoch > self.epoch ? { act: 'claim', epoch: highestEpoch + 1 } : { act: 'none' };
  }
  if (winner !== undefined || !self.able) return { act: 'none' };
  const ahead = others.filter((other) => other.able && compareRank(other, self) < 0).length;
  return vacantMs >= leaseMs + ahead * staggerMs ? { act: 'claim', epoch: highestEpoch + 1 } : { act: 'none' };
}
