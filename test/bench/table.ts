/** The outcome of the benchmark: rows, and how they are printed. */
import type { Sample } from './sample.ts';

/** `faster`: how many times the peer's time is ours, to be at least the goal; `cost`: how many times ours is the peer's, to be at most it. */
export type Comparison = 'faster' | 'cost';

export interface Row {
  readonly what: string;
  readonly ours: Sample;
  /** OnionBalance, or what the row's name says instead. */
  readonly peer: Sample;
  readonly as: Comparison;
  /** None: for information. */
  readonly goal?: number;
}

/** A figure that stands for itself: a share, or memory. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The goal. None: for information. */
  readonly below?: number;
  readonly least?: number;
}

export interface Judged extends Row {
  /** Of processor times, as `as` says. */
  readonly ratio: number;
  readonly wallRatio: number;
  readonly met?: boolean;
}

export function judge(row: Row): Judged {
  const ratioOf = (ours: number, peer: number): number => (row.as === 'faster' ? peer / ours : ours / peer);
  const ratio = ratioOf(row.ours.cpuMs, row.peer.cpuMs);
  const judged = { ...row, ratio, wallRatio: ratioOf(row.ours.wallMs, row.peer.wallMs) };
  if (row.goal === undefined) return judged;
  return { ...judged, met: row.as === 'faster' ? ratio >= row.goal : ratio <= row.goal };
}

const wordsOf: Readonly<Record<Comparison, string>> = { faster: '× faster', cost: '× the cost' };

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
    ['processor time, medians', 'Chimera', 'against', 'ratio', 'by wall time', 'goal', ''],
    ...rows.map((row) => [
      row.what,
      `${row.ours.cpuMs.toFixed(2)} ms`,
      `${row.peer.cpuMs.toFixed(2)} ms`,
      `${row.ratio.toFixed(2)} ${wordsOf[row.as].padEnd(wordsOf.cost.length)}`,
      row.wallRatio.toFixed(2),
      row.goal === undefined ? '' : `${row.as === 'faster' ? '≥' : '≤'} ${row.goal}`,
      metText(row.met),
    ]),
  ]);
}

const goalText = ({ below, least, unit }: Figure): string =>
  below !== undefined ? `< ${below} ${unit}` : least !== undefined ? `≥ ${least} ${unit}` : '';
const isMet = ({ value, below, least }: Figure): boolean | undefined =>
  below !== undefined ? value < below : least !== undefined ? value >= least : undefined;

export function formatFigures(title: string, figures: readonly Figure[]): string {
  return align([
    [title, 'value', 'goal', ''],
    ...figures.map((figure) => [
      figure.what,
      `${figure.value.toFixed(2)} ${figure.unit}`,
      goalText(figure),
      metText(isMet(figure)),
    ]),
  ]);
}
