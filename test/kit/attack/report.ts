/** What runs come to, for people: a table, a plot of characters, a plot as SVG. */
import { metricNames, type MetricName } from './measure.ts';
import type { Figure, Summary } from './statistics.ts';

const shares = new Set<MetricName>([
  'reachability',
  'reachabilityNew',
  'reachabilityCached',
  'firstTrySuccess',
  'sessionSurvival',
  'attackYield',
  'targetFreshness',
  'idleNodeShare',
  'relayExposure',
  'captureShare',
  'ghostFalsePositive',
  'isolation',
]);

/** A share as percent, anything else with three figures that count. */
export function showValue(name: MetricName, value: number): string {
  if (shares.has(name)) return `${(100 * value).toFixed(1)} %`;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1_000_000) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 10 ? 1 : 2);
}

export function tableLines(summary: Summary): string[] {
  const cells = (figure: Figure, name: MetricName): string[] => {
    const show = (value: number): string => showValue(name, value);
    return [
      show(figure.mean),
      `${show(figure.low)} … ${show(figure.high)}`,
      show(figure.p50),
      show(figure.p95),
      String(figure.runs),
    ];
  };
  const rows: string[][] = [['', 'mean', '95 % interval', 'p50', 'p95', 'runs']];
  for (const name of metricNames) {
    const figure = summary.figures[name];
    rows.push(figure === undefined ? [name, '–', '', '', '', '0'] : [name, ...cells(figure, name)]);
  }
  return alignedLines(rows, 'right');
}

/** Columns below one another; the first one always to the left. */
export function alignedLines(rows: readonly (readonly string[])[], rest: 'left' | 'right' = 'left'): string[] {
  const widths = rows[0]?.map((_none, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const cell = (text: string, column: number): string =>
    column > 0 && rest === 'right' ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(cell).join('  ').trimEnd());
}

const plotRows = 8;
const blocks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Means over spans of equal length. */
function resample(series: readonly (number | null)[], columns: number): (number | null)[] {
  const width = Math.min(columns, series.length);
  return Array.from({ length: width }, (_none, column) => {
    const from = Math.floor((column * series.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * series.length) / width));
    const values = series.slice(from, to).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

/** Shares over time in one line of at most `columns` characters. */
export const sparkline = (series: readonly (number | null)[], columns: number): string =>
  resample(series, columns)
    .map((value) => (value === null ? ' ' : blocks[Math.max(1, Math.round(8 * value))]))
    .join('');

/** Reachability over time, `attackMinute` marked below. */
export function plotLines(series: readonly (number | null)[], attackMinute: number, columns: number): string[] {
  const axis = 6;
  const values = resample(series, Math.max(10, columns - axis - 1));
  const lines: string[] = [];
  for (let row = plotRows - 1; row >= 0; row--) {
    const label = row === plotRows - 1 ? '100 %' : row === plotRows / 2 - 1 ? ' 50 %' : row === 0 ? '  0 %' : '     ';
    const cells = values.map((value) => {
      if (value === null) return ' ';
      const filled = Math.round(value * plotRows * 8) - row * 8;
      return blocks[Math.max(0, Math.min(8, filled))] ?? ' ';
    });
    lines.push(`${label} │${cells.join('')}`.trimEnd());
  }
  lines.push(`      └${'─'.repeat(values.length)}`);
  const at = Math.round((attackMinute / Math.max(1, series.length)) * values.length);
  const end = `${((series.length - 1) / 60).toFixed(1)} h`;
  const mark = `${' '.repeat(7 + at)}▲ attack`;
  lines.push(`${mark.padEnd(7 + values.length - end.length)} ${end}`);
  return lines;
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const colours = [
  '#1f6feb',
  '#d1242f',
  '#1a7f37',
  '#9a6700',
  '#8250df',
  '#bf3989',
  '#57606a',
  '#0a7ea4',
  '#b35900',
  '#444c56',
];

/** Reachability over time of one or several, as an SVG without scripts. */
export function plotSvg(
  title: string,
  lines: readonly { readonly name: string; readonly series: readonly (number | null)[] }[],
  attackMinute: number,
): string {
  const [width, height, left, right, top, bottom] = [900, 420, 60, 170, 40, 50];
  const minutes = Math.max(2, ...lines.map(({ series }) => series.length));
  const x = (minute: number): number => left + ((width - left - right) * minute) / (minutes - 1);
  const y = (share: number): number => top + (height - top - bottom) * (1 - share);
  const text = (at: readonly [number, number], words: string, anchor = 'middle', fill = '#24292f'): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" text-anchor="${anchor}" fill="${fill}">${escape(words)}</text>`;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text([(left + width - right) / 2, 22], title),
  ];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
      `<line x1="${left}" x2="${width - right}" y1="${y(share)}" y2="${y(share)}" stroke="#d0d7de"/>`,
      text([left - 8, y(share) + 4], `${100 * share} %`, 'end'),
    );
  }
  const hours = (minutes - 1) / 60;
  const every = hours <= 3 ? 0.5 : hours <= 12 ? 1 : 3;
  for (let hour = 0; hour <= hours + 1e-9; hour += every) {
    parts.push(text([x(hour * 60), height - bottom + 20], `${hour} h`));
  }
  const attackX = x(Math.min(attackMinute, minutes - 1)).toFixed(1);
  parts.push(
    `<line x1="${attackX}" x2="${attackX}" y1="${top}" y2="${height - bottom}" stroke="#d1242f" stroke-dasharray="4 4"/>`,
    text([Number(attackX), height - 10], 'the attack begins', 'start', '#d1242f'),
  );
  for (const [index, { name, series }] of lines.entries()) {
    const colour = colours[index % colours.length] as string;
    const path = series
      .map((share, minute) => (share === null ? '' : `${x(minute).toFixed(1)},${y(share).toFixed(1)}`))
      .filter((point) => point !== '')
      .join(' ');
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      text([width - right + 12, top + 14 + 18 * index], name, 'start', colour),
    );
  }
  parts.push('</svg>', '');
  return parts.join('\n');
}
