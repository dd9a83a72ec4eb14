/** The outcome of the benchmark: rows, and how they are printed. */
import type { Sample } from './sample.ts';

export interface Row {
  readonly what: string;
  readonly ours: Sample;
  /** OnionBalance, or what the row's name says instead. */
  readonly peer: Sample;
  /** `timesFaster`: at least so many times; `timesTheCost`: at most so many times the peer's time. None: for information. */
  readonly goal?: { readonly timesFaster: number } | { readonly timesTheCost: number };
}

/** A figure of the idle process: a share of a core, or memory. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The goal. None: for information. */
  readonly below?: number;
}

export interface Judged extends Row {
  /** Peer's processor time over ours; for `timesTheCost` ours over the peer's. */
  readonly ratio: number;
  readonly wallRatio: number;
  readonly met?: boolean;
}

export function judge(row: Row): Judged {
  const inverse = row.goal !== undefined && 'timesTheCost' in row.goal;
  const ratioOf = (ours: number, peer: number): number => (inverse ? ours / peer : peer / ours);
  const ratio = ratioOf(row.ours.cpuMs, row.peer.cpuMs);
  const judged = { ...row, ratio, wallRatio: ratioOf(row.ours.wallMs, row.peer.wallMs) };
  if (row.goal === undefined) return judged;
  return {
    ...judged,
    met: 'timesTheCost' in row.goal ? ratio <= row.goal.timesTheCost : ratio >= row.goal.timesFaster,
  };
}

function goalText({ goal }: Row): string {
  if (goal === undefined) return '';
  return 'timesTheCost' in goal ? `≤ ${goal.timesTheCost} × the cost` : `≥ ${goal.timesFaster} × faster`;
}

const metText = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'met' : 'NOT MET');

/** Columns, the first to the left and the others to the right. */
function align(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function formatRows(rows: readonly Judged[]): string {
  return align([
    ['processor time, medians', 'Chimera', 'against', 'ratio', '(wall)', 'goal', ''],
    ...rows.map((row) => [
      row.what,
      `${row.ours.cpuMs.toFixed(2)} ms`,
      `${row.peer.cpuMs.toFixed(2)} ms`,
      row.ratio.toFixed(2),
      `(${row.wallRatio.toFixed(2)})`,
      goalText(row),
      metText(row.met),
    ]),
  ]);
}

export function formatFigures(figures: readonly Figure[]): string {
  return align([
    ['chimera run, idle', 'value', 'goal', ''],
    ...figures.map(({ what, value, unit, below }) => [
      what,
      `${value.toFixed(2)} ${unit}`,
      below === undefined ? '' : `< ${below} ${unit}`,
      metText(below === undefined ? undefined : value < below),
    ]),
  ]);
}
