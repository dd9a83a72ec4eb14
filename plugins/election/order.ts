/**
 * What one election differs in from another: who comes first. Everything else (claims, epochs, leases, hand-overs) is the
 * family's, in rule.ts. An order is pure and the same on every node.
 */
import type { Json } from '../../core/engine/index.ts';

export interface Ranked<Merit extends Json = Json> {
  readonly node: string;
  readonly merit: Merit;
}

export interface ElectionOrder<Merit extends Json = Json> {
  /** Checks what another node says of itself; undefined when it has another form, and the node cannot be elected then. */
  read(value: Json): Merit | undefined;
  /**
   * What this node says of itself. Asked at each look once the node has listened to the others; `kept` is the last answer of
   * this life. At most 64 bytes of JSON.
   */
  own(others: readonly Ranked<Merit>[], kept: Merit | undefined): Merit;
  /** Negative when `a` comes before `b` in the term of this epoch. Where it gives 0 the smaller id comes first. */
  compare(a: Ranked<Merit>, b: Ranked<Merit>, epoch: number): number;
}

/** A node as the rule ranks it: without a merit that the order can read it comes last. */
export interface Contestant {
  readonly node: string;
  readonly merit: Json | undefined;
}

const isRanked = (contestant: Contestant): contestant is Ranked => contestant.merit !== undefined;
const byId = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** The order as a whole one: no two nodes are equal in it. */
export function ranking(order: ElectionOrder, epoch: number): (a: Contestant, b: Contestant) => number {
  return (a, b) => {
    if (isRanked(a) && isRanked(b)) return order.compare(a, b, epoch) || byId(a.node, b.node);
    return Number(isRanked(b)) - Number(isRanked(a)) || byId(a.node, b.node);
  };
}

/** The merit that a node gives itself now. */
export function ownMerit(order: ElectionOrder, others: readonly Contestant[], kept: Json | undefined): Json {
  return order.own(others.filter(isRanked), kept);
}
