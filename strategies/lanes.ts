/**
 * Lanes: pools of introduction points that turn independently of each other. Each lane has its own clock, and at a tick one or
 * two of its points give way to the next of its pool. Where it should be derives from seed and time; the state only sees to it
 * that a lane that was elsewhere (the pool has changed) gets there by one or two points a tick.
 */
import * as v from 'valibot';
import type { Candidate, Decision, View } from '../core/pipeline/index.ts';
import { drawn, slotAt, whole } from './plan.ts';

export interface Lane {
  readonly name: string;
  /** In the order of the turn. */
  readonly pool: readonly Candidate[];
  /** How many of the pool are live at a time. */
  readonly places: number;
}

export const laneOptions = {
  /** Each lane turns every so often. */
  every_secs: v.optional(whole(300, 86_400), 3_600),
  /** Each turn comes up to so much early or late. */
  jitter_secs: v.optional(whole(0, 3_600), 900),
};

const memory = v.record(
  v.string(),
  v.strictObject({ tick: v.number(), live: v.pipe(v.array(v.string()), v.maxLength(20)) }),
);
export type LaneState = v.InferOutput<typeof memory>;
export const restoreLanes = (value: unknown): LaneState | undefined => (v.is(memory, value) ? value : undefined);

/** Points that change in a tick, on average. One where only one is live: two would pass over one that never has its turn. */
const pace = (places: number): number => (places === 1 ? 1 : 1.5);

/** How many points of a lane have their turn within a day. */
export const pointsPerDay = (places: number, everySecs: number): number =>
  places + Math.floor((pace(places) * 86_400) / everySecs) - 1;

/** Grows by one or two a tick, by chance; by one where the pace is one. */
const turned = (seed: string, { name, places }: Lane, tick: number): number =>
  Math.floor(pace(places) * tick + (places === 1 ? 0 : drawn(seed, `turn\0${name}\0${tick}`) / 2));

function targetOf(lane: Lane, tick: number, seed: string): string[] {
  const { pool, places } = lane;
  const from = turned(seed, lane, tick);
  return Array.from({ length: Math.min(places, pool.length) }, (_none, index) => {
    const at = (((from + index) % pool.length) + pool.length) % pool.length;
    return (pool[at] as Candidate).id;
  });
}

/** What is live of `lane` in this tick. */
function turn(lane: Lane, tick: number, seed: string, before: LaneState[string] | undefined): string[] {
  const target = targetOf(lane, tick, seed);
  if (before === undefined) return target;
  const known = new Set(lane.pool.map(({ id }) => id));
  const kept = before.live.filter((id) => known.has(id)).slice(0, target.length);
  if (tick !== before.tick) {
    // Two at most, for each tick since: a little faster than the plan, so that who is behind it gets there.
    const most = 2 * Math.max(1, tick - before.tick);
    const leaving = kept.filter((id) => !target.includes(id)).slice(0, most);
    for (const id of leaving) kept.splice(kept.indexOf(id), 1);
  }
  const coming = target.filter((id) => !kept.includes(id)).slice(0, target.length - kept.length);
  return [...kept, ...coming];
}

export function turnLanes(
  view: View,
  lanes: readonly Lane[],
  before: LaneState,
  { every_secs, jitter_secs }: { readonly every_secs: number; readonly jitter_secs: number },
  why: string,
): Decision<LaneState> {
  const everyMs = every_secs * 1000;
  const jitterMs = Math.min(jitter_secs * 1000, everyMs * 0.45);
  const state: LaneState = {};
  const waits: number[] = [];
  const groups = lanes.map((lane) => {
    const { index, nextMs } = slotAt(view.nowMs, everyMs, jitterMs, view.seed, lane.name);
    if (lane.pool.length > lane.places) waits.push(nextMs);
    const live = turn(lane, index, view.seed, before[lane.name]);
    state[lane.name] = { tick: index, live };
    return live;
  });
  return {
    rotation: { live: groups.flat(), groups, why },
    state,
    ...(waits.length === 0 ? {} : { nextMs: Math.min(...waits) }),
  };
}
