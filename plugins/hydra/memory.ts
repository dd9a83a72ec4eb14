/**
 * What a publisher tells the next one: roles and budget, so that an attacker who forces elections gains no replacements by them.
 * Pure: a state and the time in, JSON out, and back. Times travel as ages: clocks of nodes need not agree.
 */
import * as v from 'valibot';
import type { Json } from '../../core/engine/index.ts';
import type { HeadState, HydraState } from './rule.ts';

/** Of more heads than this the ones that come last in the alphabet are told as nothing, and are spare to the next publisher. */
const maximumHeads = 256;
const hourMs = 3_600_000;

const age = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const memory = v.object({
  heads: v.pipe(
    v.array(
      v.strictTuple([
        v.pipe(v.string(), v.maxLength(128)),
        v.picklist(['live', 'spare', 'cut']),
        /** In the role for, milliseconds. */
        age,
        /** Besieged so long ago; null when never. */
        v.nullable(age),
        /** Gives way in; null when not live. */
        v.nullable(age),
      ]),
    ),
    v.maxLength(maximumHeads),
  ),
  /** Heads that are away, and how long. */
  gone: v.pipe(v.array(v.strictTuple([v.pipe(v.string(), v.maxLength(128)), age])), v.maxLength(maximumHeads)),
  /** How long ago each replacement of the last hour was, and whose besieged head it cut, if one. */
  spent: v.pipe(v.array(v.strictTuple([age, v.nullable(v.pipe(v.string(), v.maxLength(128)))])), v.maxLength(1_024)),
});

/** `nowMs` is of the clock that the state was decided by. */
export function tellMemory({ heads, gone, replacements }: HydraState, nowMs: number): { readonly [key: string]: Json } {
  return {
    heads: [...heads]
      .slice(0, maximumHeads)
      .map(([head, { role, sinceMs, siegeMs, leaveMs }]) => [
        head,
        role,
        Math.max(0, Math.round(nowMs - sinceMs)),
        siegeMs === undefined ? null : Math.max(0, Math.round(nowMs - siegeMs)),
        Number.isFinite(leaveMs) ? Math.max(0, Math.round(leaveMs - nowMs)) : null,
      ]),
    gone: [...gone].slice(-maximumHeads).map(([head, atMs]) => [head, Math.max(0, Math.round(nowMs - atMs))]),
    spent: replacements.slice(-1_024).map(({ atMs, node }) => [Math.max(0, Math.round(nowMs - atMs)), node ?? null]),
  };
}

/** The state that was told, by the clock of this node; `heardMs` is when it came. Undefined when it has another form. */
export function recallMemory(value: Json | undefined, heardMs: number, nowMs: number): HydraState | undefined {
  const read = v.safeParse(memory, value);
  if (!read.success) return undefined;
  const heads = new Map<string, HeadState>();
  for (const [head, role, sinceAge, siegeAge, leaveIn] of read.output.heads) {
    heads.set(head, {
      role,
      sinceMs: heardMs - sinceAge,
      siegeMs: siegeAge === null ? undefined : heardMs - siegeAge,
      leaveMs: role === 'live' && leaveIn !== null ? heardMs + leaveIn : Infinity,
    });
  }
  const replacements = read.output.spent
    .map(([ago, node]) => ({ atMs: heardMs - ago, node: node ?? undefined }))
    .filter(({ atMs }) => nowMs - atMs < hourMs)
    .sort((a, b) => a.atMs - b.atMs);
  const gone = new Map(read.output.gone.map(([head, ago]) => [head, heardMs - ago]));
  return { heads, gone, replacements };
}
