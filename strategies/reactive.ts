/**
 * reactive: besieged heads are out, all others in; never fewer points than the floor. Who was besieged comes back after a calm
 * that doubles with each siege, so that an attacker who pulses does not move us at its will.
 */
import * as v from 'valibot';
import type { HeadView, RotationStrategy, StrategyDefinition } from '../core/pipeline/index.ts';
import { whole } from './plan.ts';

const schema = v.strictObject({
  /** Introduction points that stay live whatever the siege. */
  floor_points: v.optional(whole(1, 20), 3),
  /** How long a head must be calm to come back; doubled with each siege that comes within a day, up to 16 times. */
  calm_secs: v.optional(whole(10, 86_400), 600),
});
export type ReactiveOptions = v.InferOutput<typeof schema>;

/** Of each head that is out, or was within a day: since when it is calm, and how often it was besieged. */
const memory = v.record(v.string(), v.strictObject({ lastMs: v.number(), sieges: whole(1, 1_000), out: v.boolean() }));
export type ReactiveState = v.InferOutput<typeof memory>;

const dayMs = 86_400_000;
const maximumDoublings = 4;

export function reactive({ floor_points, calm_secs }: ReactiveOptions): RotationStrategy<ReactiveState> {
  const calmMs = (sieges: number): number => calm_secs * 1000 * 2 ** Math.min(sieges - 1, maximumDoublings);
  return {
    name: 'reactive',
    initial: () => ({}),
    restore: (value) => (v.is(memory, value) ? value : undefined),
    decide: ({ nowMs, heads }, before) => {
      const state: ReactiveState = {};
      for (const { head, siege } of heads) {
        const known = before[head];
        if (siege >= 1) {
          const sieges = (known?.sieges ?? 0) + (known?.out === true ? 0 : 1);
          state[head] = { lastMs: nowMs, sieges, out: true };
        } else if (known !== undefined) {
          // Half a siege is none, and no calm either.
          const lastMs = known.out && siege >= 0.5 ? nowMs : Math.min(known.lastMs, nowMs);
          const out = known.out && nowMs - lastMs < calmMs(known.sieges);
          if (out || nowMs - lastMs < dayMs) state[head] = { lastMs, sieges: known.sieges, out };
        }
      }
      const isOut = ({ head }: HeadView): boolean => state[head]?.out === true;
      const live = heads.filter((head) => !isOut(head));
      const spare = heads.filter(isOut).sort((a, b) => a.siege - b.siege || (a.head < b.head ? -1 : 1));
      const points = (): number => live.reduce((sum, { candidates }) => sum + candidates.length, 0);
      while (points() < floor_points && spare.length > 0) live.push(spare.shift() as HeadView);
      const waits = Object.values(state)
        .filter(({ out }) => out)
        .map(({ lastMs, sieges }) => Math.max(1_000, lastMs + calmMs(sieges) - nowMs));
      return {
        rotation: {
          live: live.flatMap(({ candidates }) => candidates.map(({ id }) => id)),
          why:
            spare.length === 0
              ? 'all heads are live'
              : `${spare.map(({ head }) => head).join(', ')} out, besieged; ${live.length} of ${heads.length} heads are live`,
        },
        state,
        ...(waits.length === 0 ? {} : { nextMs: Math.min(...waits) }),
      };
    },
  };
}

export const reactiveStrategy: StrategyDefinition<ReactiveOptions, ReactiveState> = {
  name: 'reactive',
  summary: 'Besieged heads are out, all others in, never below a floor.',
  options: schema,
  create: reactive,
};
