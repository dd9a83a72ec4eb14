/** What many runs come to: mean with its 95 % interval, median, 95th percentile. */
import { createHash } from 'node:crypto';
import { metricNames, quantile, type MetricName } from './measure.ts';
import type { AttackRun } from './run.ts';

export interface Figure {
  /** Runs that have the metric. */
  readonly runs: number;
  readonly mean: number;
  /** Of the mean: Student's interval. */
  readonly low: number;
  readonly high: number;
  readonly p50: number;
  readonly p95: number;
}

/** Student's t for a two-sided 95 % interval (Cornish and Fisher's expansion; within 1 % from 4 degrees of freedom on). */
function studentT(degrees: number): number {
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * degrees) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2);
}

export function figureOf(values: readonly number[]): Figure | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const runs = sorted.length;
  if (runs === 0) return undefined;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / runs;
  const variance = runs < 2 ? 0 : sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (runs - 1);
  const half = runs < 2 ? 0 : studentT(runs - 1) * Math.sqrt(variance / runs);
  const p50 = quantile(sorted, 0.5) as number;
  return { runs, mean, low: mean - half, high: mean + half, p50, p95: quantile(sorted, 0.95) as number };
}

export type Figures = Readonly<Record<MetricName, Figure | undefined>>;

export interface Summary {
  readonly runs: number;
  readonly figures: Figures;
  /** Mean reachability of each minute; null of one without attempts. */
  readonly series: readonly (number | null)[];
  readonly events: number;
  /** SHA-256 over all runs, in hexadecimal: equal when they are equal. */
  readonly digest: string;
}

export function summarize(runs: readonly AttackRun[]): Summary {
  const figures = Object.fromEntries(
    metricNames.map((name) => [
      name,
      figureOf(runs.map(({ metrics }) => metrics[name]).filter((value) => value !== null)),
    ]),
  ) as Figures;
  const length = Math.max(0, ...runs.map(({ series }) => series.length));
  const series = Array.from({ length }, (_none, minute) => {
    const values = runs.map((run) => run.series[minute] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  });
  const digest = createHash('sha256').update(JSON.stringify(runs)).digest('hex');
  return { runs: runs.length, figures, series, events: runs.reduce((sum, run) => sum + run.events, 0), digest };
}
