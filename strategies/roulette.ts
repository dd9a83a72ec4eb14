/**
 * roulette: another set of heads on a clock, [A, B, C] → [D, E, F]. Sets are drawn once and come in another order each round;
 * their points are always the same ones, so that a turn shows no new relay.
 */
import * as v from 'valibot';
import type { HeadView, RotationStrategy, StrategyDefinition, View } from '../core/pipeline/index.ts';
import { derivedRandom, shuffled } from '../core/runtime/random.ts';
import { drawnOrder, slotAt, takeInTurn, whole } from './plan.ts';

const schema = v.strictObject({
  /** How many heads are live at a time. */
  live_heads: v.optional(whole(1, 20), 3),
  /** A turn every so often. Below 900 s with heads that refuse once they are out, clients fail. */
  every_secs: v.optional(whole(60, 86_400), 600),
  /** Each turn comes up to so much early or late. */
  jitter_secs: v.optional(whole(0, 3_600), 60),
});
export type RouletteOptions = v.InferOutput<typeof schema>;

/** Sets of `size` heads that together have all; the last ones overlap when the number does not divide. */
function setsOf(heads: readonly HeadView[], size: number): HeadView[][] {
  const count = Math.ceil(heads.length / size);
  const all = [...heads, ...heads];
  return Array.from({ length: count }, (_none, set) => {
    const from = Math.floor((set * heads.length) / count);
    return all.slice(from, from + Math.min(size, heads.length));
  });
}

/** Which set in this turn: each once a round, the rounds in different orders, none twice in a row. */
function setAt(turn: number, count: number, seed: string): number {
  const round = Math.floor(turn / count);
  const orderOf = (number: number): number[] =>
    shuffled(derivedRandom(seed, `round\0${number}`), [...Array.from({ length: count }).keys()]);
  if (count < 3) return turn - round * count;
  const order = orderOf(round);
  if (order[0] === orderOf(round - 1).at(-1)) order.splice(0, 2, order[1] as number, order[0] as number);
  return order[turn - round * count] ?? 0;
}

export function roulette({ live_heads, every_secs, jitter_secs }: RouletteOptions): RotationStrategy<null> {
  const everyMs = every_secs * 1000;
  const jitterMs = Math.min(jitter_secs * 1000, everyMs * 0.45);
  return {
    name: 'roulette',
    initial: () => null,
    decide: ({ nowMs, heads, seed, maximumIntroPoints }: View) => {
      const { index, nextMs } = slotAt(nowMs, everyMs, jitterMs, seed, 'roulette');
      const sets = setsOf(
        drawnOrder(seed, 'heads', heads, ({ head }) => head),
        live_heads,
      );
      const set = sets[setAt(index, sets.length, seed)] ?? [];
      // As many points in every turn: the size of the descriptor tells none from another.
      const points = sets.map((one) => one.reduce((sum, { candidates }) => sum + candidates.length, 0));
      return {
        rotation: {
          live: takeInTurn(seed, set, Math.min(maximumIntroPoints, ...points)).map(({ id }) => id),
          why: `${set.map(({ head }) => head).join(', ')}: turn ${index}, one of ${sets.length} sets`,
        },
        state: null,
        ...(sets.length > 1 ? { nextMs } : {}),
      };
    },
  };
}

export const rouletteStrategy: StrategyDefinition<RouletteOptions, null> = {
  name: 'roulette',
  summary: 'Another set of heads on a clock.',
  options: schema,
  create: roulette,
};
