/** What a run comes to. Every figure is explained in docs/attack-simulator.md; null where a run has none. */
import { paddingBucket } from '../../../strategies/plan.ts';
import type { Publication } from './publisher.ts';
import type { Point } from './service.ts';

export const metricNames = [
  'reachability',
  'reachabilityNew',
  'reachabilityCached',
  'firstTrySuccess',
  'timeToConnectMs',
  'timeToConnectP95Ms',
  'sessionSurvival',
  'attackYield',
  'targetFreshness',
  'timeToDisruptSecs',
  'timeToRecoverSecs',
  'outageMinutes',
  'attackCells',
  'dollarsPerOutageMinute',
  'publishesPerHour',
  'uploadsPerHour',
  'introCircuitsPerHour',
  'idleNodeShare',
  'fencedUploads',
  'replacements',
  'benefit',
  'unpredictabilityBits',
  'relaysShown',
  'relayExposure',
  'captureShare',
  'forcedCircuits',
  'ghostFalsePositive',
  'falseSieges',
  'thrashPerHour',
  'isolation',
  'leakTiming',
  'leakBuckets',
  'leakClock',
] as const;
export type MetricName = (typeof metricNames)[number];
export type Metrics = Readonly<Record<MetricName, number | null>>;

/** Reachability below this is an outage; back at the other it has ended. */
const disrupted = 0.5;
const recovered = 0.9;
export const minuteMs = 60_000;
/** An attempt that takes longer has failed. */
const patienceMs = 60_000;

/** Attempts by the minute in which they began. */
export class Reachability {
  readonly attempts: Uint32Array;
  readonly successes: Uint32Array;
  readonly #fromMs: number;
  readonly times: number[] = [];
  newAttempts = 0;
  newSuccesses = 0;
  cachedAttempts = 0;
  cachedSuccesses = 0;

  constructor(hours: number, fromMs: number) {
    this.attempts = new Uint32Array(Math.ceil(hours * 60) + 1);
    this.successes = new Uint32Array(this.attempts.length);
    this.#fromMs = fromMs;
  }

  note(startedMs: number, fresh: boolean, atMs: number, success: boolean): void {
    const minute = Math.floor(startedMs / minuteMs);
    const reached = success && atMs - startedMs <= patienceMs;
    this.attempts[minute] = (this.attempts[minute] ?? 0) + 1;
    if (reached) this.successes[minute] = (this.successes[minute] ?? 0) + 1;
    if (startedMs < this.#fromMs) return;
    if (fresh) this.newAttempts++;
    else this.cachedAttempts++;
    if (!reached) return;
    this.times.push(atMs - startedMs);
    if (fresh) this.newSuccesses++;
    else this.cachedSuccesses++;
  }

  /** Share of attempts that succeed, of each minute; null of one without attempts. */
  series(): (number | null)[] {
    return Array.from(this.attempts, (all, minute) => (all === 0 ? null : (this.successes[minute] ?? 0) / all));
  }
}

export const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

export function quantile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  const place = share * (sorted.length - 1);
  const low = sorted[Math.floor(place)] as number;
  const high = sorted[Math.ceil(place)] as number;
  return low + (high - low) * (place - Math.floor(place));
}

/** Bits that the next live set is worth to who knows the present one, over the run's own transitions. */
export function unpredictability(publications: readonly Publication[]): number {
  const from = new Map<string, Map<string, number>>();
  let total = 0;
  let last: string | undefined;
  for (const { content } of publications) {
    if (content === last) continue;
    if (last !== undefined) {
      const to = from.get(last) ?? new Map<string, number>();
      to.set(content, (to.get(content) ?? 0) + 1);
      from.set(last, to);
      total++;
    }
    last = content;
  }
  let bits = 0;
  for (const to of from.values()) {
    const all = [...to.values()].reduce((sum, count) => sum + count, 0);
    for (const count of to.values()) bits -= (count / total) * Math.log2(count / all);
  }
  return bits;
}

/** The highest autocorrelation of publications in bins of 30 s, at distances of 1 to 120 minutes. 1: as by a clock. */
export function timingLeak(times: readonly number[], endMs: number): number | null {
  const binMs = 30_000;
  const bins = new Uint8Array(Math.ceil(endMs / binMs));
  for (const time of times) bins[Math.floor(time / binMs)] = 1;
  const count = bins.reduce((sum, bin) => sum + bin, 0);
  if (count < 4) return null;
  const mean = count / bins.length;
  const variance = mean * (1 - mean);
  if (variance === 0) return 1;
  let highest = 0;
  for (let lag = 2; lag <= Math.min(240, bins.length >> 1); lag++) {
    let sum = 0;
    for (let at = 0; at + lag < bins.length; at++) sum += ((bins[at] ?? 0) - mean) * ((bins[at + lag] ?? 0) - mean);
    highest = Math.max(highest, sum / (bins.length - lag) / variance);
  }
  return Math.min(1, highest);
}

/** Correlation of the counter's steps with the time between publications. 1: the counter is a clock. */
export function clockLeak(publications: readonly Publication[]): number | null {
  const steps: [number, number][] = [];
  for (const [index, { atMs, revision }] of publications.entries()) {
    const before = publications[index - 1];
    if (before !== undefined) steps.push([atMs - before.atMs, revision - before.revision]);
  }
  if (steps.length < 3) return null;
  const mean = (of: 0 | 1): number => steps.reduce((sum, step) => sum + step[of], 0) / steps.length;
  const [meanTime, meanStep] = [mean(0), mean(1)];
  let both = 0;
  let times = 0;
  let counters = 0;
  for (const [time, step] of steps) {
    both += (time - meanTime) * (step - meanStep);
    times += (time - meanTime) ** 2;
    counters += (step - meanStep) ** 2;
  }
  return times === 0 || counters === 0 ? 0 : Math.abs(both) / Math.sqrt(times * counters);
}

const sizeOf = ({ sets }: Publication): number => Math.max(...sets.map((set) => paddingBucket(set.length)));

export const bucketChanges = (publications: readonly Publication[]): number =>
  publications.filter((one, index) => index > 0 && sizeOf(one) !== sizeOf(publications[index - 1] as Publication))
    .length;

/** Heads that came back within half an hour after they had left, an hour. */
export function thrash(publications: readonly Publication[], hours: number): number {
  const window = 1_800_000;
  const leftAt = new Map<number, number>();
  let before = new Set<number>();
  let count = 0;
  for (const { sets, atMs } of publications) {
    const now = new Set(sets.flatMap((set: readonly Point[]) => set.map(({ head }) => head.index)));
    for (const head of before) if (!now.has(head)) leftAt.set(head, atMs);
    for (const head of now) {
      if (!before.has(head) && atMs - (leftAt.get(head) ?? -Infinity) < window) count++;
    }
    before = now;
  }
  return count / hours;
}

/** Seconds from the attack to the first minute of an outage, and from that to the first minute that is well again. */
export function disruption(
  series: readonly (number | null)[],
  attackAtMs: number,
): {
  readonly disruptSecs: number | null;
  readonly recoverSecs: number | null;
  readonly minutes: number;
  readonly well: number;
} {
  const from = Math.floor(attackAtMs / minuteMs);
  const after = series.slice(from);
  const first = after.findIndex((share) => share !== null && share < disrupted);
  const back = first < 0 ? -1 : after.findIndex((share, at) => at > first && share !== null && share >= recovered);
  const judged = after.filter((share) => share !== null);
  return {
    disruptSecs: first < 0 ? null : first * 60,
    recoverSecs: back < 0 ? null : (back - first) * 60,
    minutes: judged.filter((share) => share < disrupted).length,
    well: judged.length === 0 ? 1 : judged.filter((share) => share >= recovered).length / judged.length,
  };
}
