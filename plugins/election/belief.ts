/**
 * Which epochs of others count. A member that lies could name the last epoch that there is, after which nobody could ever claim;
 * so what others name may be ahead of what this node knows by a stock of epochs, which grows back by one a lease: no faster
 * than honest nodes elect. Beyond that a member is not believed, and is no contender.
 */
import type { Contender, ElectionState } from './state.ts';

/** Epochs that a node which was long away may have missed: at one every ten minutes those of twenty years. */
export const largestLeap = 2 ** 20;

export interface Belief {
  /** Those that are not believed are neither ready nor claim anything. */
  readonly others: readonly Contender[];
  /** What is left of the stock, once the highest epoch of `others` is taken for true. */
  readonly leapsLeft: number;
  readonly doubted: readonly string[];
}

const named = ({ highest, claim }: Contender): number => Math.max(highest ?? -1, claim ?? -1);

/** A node that remembers nothing believes what half of the others name, so that no single one of several decides. */
function commonEpoch(others: readonly Contender[]): number {
  const epochs = others.map(named).sort((a, b) => a - b);
  return epochs[Math.floor((epochs.length - 1) / 2)] ?? -1;
}

export function believe(
  before: Pick<ElectionState, 'highest' | 'leapsLeft' | 'lookedAtMs'>,
  others: readonly Contender[],
  nowMs: number,
  leaseMs: number,
): Belief {
  const base = before.highest ?? commonEpoch(others);
  const stock = Math.min(largestLeap, before.leapsLeft + (nowMs - before.lookedAtMs) / leaseMs);
  const limit = base + stock;
  let most = base;
  const doubted: string[] = [];
  for (const other of others) {
    const epoch = named(other);
    if (epoch > limit) doubted.push(other.node);
    else most = Math.max(most, epoch);
  }
  const believed = (other: Contender): Contender =>
    doubted.includes(other.node) ? { ...other, ready: false, highest: undefined, claim: undefined } : other;
  return {
    others: doubted.length === 0 ? others : others.map(believed),
    leapsLeft: stock - (most - base),
    doubted,
  };
}
