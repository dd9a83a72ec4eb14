/** static-list, poller, pulse, hybrid-cpu and slow-drip: fetch the descriptor as clients do, and flood what it lists. */
import * as v from 'valibot';
import { RequestHistory } from '../../network/rules/client.ts';
import { evenly, nothing, type Attack, type AttackerDefinition, type AttackView } from '../attacker.ts';
import { budget, seconds, within } from './options.ts';

interface ListState {
  readonly points: readonly string[];
  readonly fetchedMs: number;
}
const noList: ListState = { points: [], fetchedMs: -Infinity };
const waiting = (sinceMs: number): Attack => ({ flood: nothing, nextMs: Math.max(1, -sinceMs) });

const once = v.strictObject({ budget: budget('small') });
export const staticList: AttackerDefinition<v.InferOutput<typeof once>, ListState> = {
  name: 'static-list',
  summary: 'Fetches the descriptor once and floods what it listed, for ever.',
  prediction: 'rotation in a pool, or one Hydra move, then the ghost closing',
  options: once,
  create: (options) => ({
    name: 'static-list',
    budget: options.budget,
    initial: () => noList,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state };
      const points = state.points.length > 0 ? state.points : (view.fetch()?.points ?? []);
      const flood = evenly(points, view.perSecond);
      return { attack: { flood, nextMs: points.length > 0 ? 600_000 : 10_000 }, state: { ...state, points } };
    },
  }),
};

const polling = v.strictObject({
  period_secs: seconds(60),
  lag_secs: v.optional(within(0, 3_600), 10),
  every_hsdir: v.optional(v.boolean('must be true or false'), false),
  budget: budget('small'),
});
interface PollState {
  readonly flooded: readonly string[];
  /** Fetched, and flooded from `dueMs` on. */
  readonly coming: readonly string[] | undefined;
  readonly dueMs: number;
  readonly pollMs: number;
}
/** Three of each of two replicas. */
const fetchPositions = 6;
/** What one HSDir lists, or every one that clients ask: where each has another descriptor, that is more. */
function lookedUp(view: AttackView, everyHsdir: boolean): readonly string[] | undefined {
  if (!everyHsdir) return view.fetch()?.points;
  const history = new RequestHistory<number>();
  const found = Array.from({ length: fetchPositions }, () => view.fetch(history)).filter((one) => one !== undefined);
  return found.length === 0 ? undefined : [...new Set(found.flatMap(({ points }) => points))];
}

export const poller: AttackerDefinition<v.InferOutput<typeof polling>, PollState> = {
  name: 'poller',
  summary: 'Fetches the descriptor again and again, and floods what it lists now.',
  prediction: 'nothing by rotation: dilution, the rate limit, shedding',
  options: polling,
  create: ({ period_secs, lag_secs, every_hsdir, budget: means }) => ({
    name: 'poller',
    budget: means,
    initial: () => ({ flooded: [], coming: undefined, dueMs: Infinity, pollMs: -Infinity }),
    act: (view, before, random) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state: before };
      let { flooded, coming, dueMs, pollMs } = before;
      // A phase of its own: an attacker does not know when turns begin.
      if (pollMs === -Infinity) pollMs = view.nowMs - random.float() * period_secs * 1_000;
      const first = flooded.length === 0 && coming === undefined;
      if (first || view.nowMs >= pollMs + period_secs * 1_000) {
        while (pollMs + period_secs * 1_000 <= view.nowMs) pollMs += period_secs * 1_000;
        const fresh = lookedUp(view, every_hsdir);
        if (fresh !== undefined) [coming, dueMs] = [fresh, view.nowMs + lag_secs * 1_000];
      }
      if (coming !== undefined && view.nowMs >= dueMs) [flooded, coming, dueMs] = [coming, undefined, Infinity];
      const nextMs = Math.max(1, Math.min(dueMs, pollMs + period_secs * 1_000) - view.nowMs);
      return { attack: { flood: evenly(flooded, view.perSecond), nextMs }, state: { flooded, coming, dueMs, pollMs } };
    },
  }),
};

const pulsing = v.strictObject({ on_secs: seconds(120), off_secs: seconds(600), budget: budget('small') });
export const pulse: AttackerDefinition<v.InferOutput<typeof pulsing>, null> = {
  name: 'pulse',
  summary: 'Floods for two minutes, rests for ten, again and again, each time by a new list.',
  prediction: 'cooldown and hysteresis; naive Hydra thrashes',
  options: pulsing,
  create: ({ on_secs, off_secs, budget: means }) => ({
    name: 'pulse',
    budget: means,
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state };
      const into = (view.sinceMs / 1_000) % (on_secs + off_secs);
      if (into < on_secs) {
        const flood = evenly(view.fetch()?.points ?? [], view.perSecond);
        return { attack: { flood, nextMs: Math.max(1, (on_secs - into) * 1_000) }, state };
      }
      return { attack: { flood: nothing, nextMs: Math.max(1, (on_secs + off_secs - into) * 1_000) }, state };
    },
  }),
};

const hybrid = v.strictObject({
  high_effort_per_sec: v.optional(within(0, 100_000), 91),
  junk_per_sec: v.optional(within(0, 100_000), 1_520),
  period_secs: seconds(60),
});
export const hybridCpu: AttackerDefinition<v.InferOutput<typeof hybrid>, ListState> = {
  name: 'hybrid-cpu',
  summary: 'All on one introduction point, to exhaust the processor behind it; the next one when it is gone.',
  prediction: 'Hydra and a cap per node',
  options: hybrid,
  create: ({ high_effort_per_sec, junk_per_sec, period_secs }) => ({
    name: 'hybrid-cpu',
    initial: () => noList,
    act: (view, state, random) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state };
      const listed = view.fetch()?.points ?? [];
      const [old] = state.points;
      const still = old !== undefined && listed.includes(old) && view.answers(old);
      const target = still ? old : listed[random.int(Math.max(1, listed.length))];
      const points = target === undefined ? [] : [target];
      const flood = evenly(points, high_effort_per_sec + junk_per_sec);
      return { attack: { flood, nextMs: period_secs * 1_000 }, state: { points, fetchedMs: view.nowMs } };
    },
  }),
};

const drip = v.strictObject({ per_point_per_sec: v.optional(within(0.01, 1_000), 2), period_secs: seconds(60) });
export const slowDrip: AttackerDefinition<v.InferOutput<typeof drip>, null> = {
  name: 'slow-drip',
  summary: 'Stays just below the threshold of a siege at every introduction point (0.8 × 5/s over two points a head).',
  prediction: 'a detector with memory',
  options: drip,
  create: ({ per_point_per_sec, period_secs }) => ({
    name: 'slow-drip',
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state };
      const points = view.fetch()?.points ?? [];
      const flood = evenly(points, Math.min(view.perSecond, per_point_per_sec * points.length));
      return { attack: { flood, nextMs: period_secs * 1_000 }, state };
    },
  }),
};

const meeting = v.strictObject({ per_sec: v.optional(within(0.1, 100_000), 30), period_secs: seconds(60) });
export const rendezvous: AttackerDefinition<v.InferOutput<typeof meeting>, null> = {
  name: 'rendezvous',
  summary: 'Few introductions, each to a rendezvous point of its own that holds the circuit.',
  prediction: 'shedding at the service; rotation is irrelevant',
  options: meeting,
  create: ({ per_sec, period_secs }) => ({
    name: 'rendezvous',
    budget: 'kiddie',
    initial: () => null,
    act: (view, state) => {
      if (view.sinceMs < 0) return { attack: waiting(view.sinceMs), state };
      return { attack: { flood: evenly(view.fetch()?.points ?? [], per_sec), nextMs: period_secs * 1_000 }, state };
    },
  }),
};
