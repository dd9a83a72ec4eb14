/**
 * What strategies have in common: orders and clocks that derive from the seed. A plan made of these is the same on every node,
 * goes on when another node publishes, and cannot be foreseen outside.
 */
import * as v from 'valibot';
import type { Candidate, HeadView } from '../core/pipeline/index.ts';
import { derivedRandom } from '../core/runtime/random.ts';

/** A whole number in a range, for options. */
export const whole = (minimum: number, maximum: number) => {
  const message = `must be a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(minimum, message), v.maxValue(maximum, message));
};

/** Numbers that have been drawn, by seed and label: most are asked for again at the next decision. */
const remembered = new Map<string, number>();
const maximumRemembered = 20_000;

/** A number in [0, 1) that follows from the seed and the label. */
export function drawn(seed: string, label: string): number {
  const key = `${seed}\0${label}`;
  let number = remembered.get(key);
  if (number === undefined) {
    number = derivedRandom(seed, label).float();
    if (remembered.size >= maximumRemembered) remembered.clear();
    remembered.set(key, number);
  }
  return number;
}

/**
 * An order that chance has drawn once: each name keeps its place among the others whoever comes and goes, so that a newcomer
 * changes as little as can be.
 */
export function drawnOrder<T>(seed: string, label: string, items: readonly T[], nameOf: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, name: nameOf(item), at: drawn(seed, `${label}\0${nameOf(item)}`) }))
    .sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))
    .map(({ item }) => item);
}

/** A head's points in the order in which they are drawn on: always the same ones first, so that relays are not shown needlessly. */
export const pointsOf = (seed: string, { candidates }: HeadView): Candidate[] =>
  drawnOrder(seed, 'points', candidates, ({ id }) => id);

/** The heads' points, one of each head a round, at most `total`. */
export function takeInTurn(seed: string, heads: readonly HeadView[], total = Infinity): Candidate[] {
  const queues = heads.map((head) => pointsOf(seed, head));
  const taken: Candidate[] = [];
  for (let round = 0; queues.some((queue) => queue.length > round); round++) {
    for (const queue of queues) {
      const next = queue[round];
      if (next !== undefined && taken.length < total) taken.push(next);
    }
  }
  return taken;
}

export interface Slot {
  /** Counts from about the Unix epoch; never negative after it. */
  readonly index: number;
  /** Until the next one begins, a second at least. */
  readonly nextMs: number;
}

/**
 * The slot of a clock that ticks every `everyMs`, each tick up to `jitterMs` early or late (less than half of `everyMs`).
 * `label` gives it a phase of its own.
 */
export function slotAt(nowMs: number, everyMs: number, jitterMs: number, seed: string, label: string): Slot {
  const phaseMs = drawn(seed, `phase\0${label}`) * everyMs;
  const beginOf = (index: number): number =>
    index * everyMs + phaseMs + jitterMs * (2 * drawn(seed, `tick\0${label}\0${index}`) - 1);
  let index = Math.floor((nowMs - phaseMs) / everyMs) + 1;
  while (beginOf(index) > nowMs) index--;
  // The slot in which 1970 began is 0, or the next, or the one after: its beginning may lie before.
  return { index: index + 2, nextMs: Math.max(1_000, Math.ceil(beginOf(index + 1) - nowMs)) };
}

/**
 * How many introduction points a descriptor has shows in its size, up to these (rend-spec-v3: the encrypted layer is padded to
 * 10,000 bytes). A rotation that stays within one of them shows nothing.
 */
export const paddingBuckets = [8, 17, 20] as const;

/** The bucket that a number of introduction points falls into: 8, 17 or 20. */
export const paddingBucket = (points: number): number => paddingBuckets.find((most) => points <= most) ?? 20;
