/** The matrix for a terminal: one row a head, one column an hour, or several where the terminal is narrow. No colour needed. */
import { percentOf, summaryOf, type Matrix } from './model.ts';

/** Live for none, some, at least half, and all of the column. */
const marks = ['·', '░', '▓', '█'] as const;
const markOf = (share: number): string => marks[share <= 0 ? 0 : share < 0.5 ? 1 : share < 0.999 ? 2 : 3] ?? '·';

/** Of so many hours a column is; divides a day. */
const widths = [1, 2, 3, 4, 6, 8, 12, 24] as const;

function wrapped(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > Math.max(20, width - indent)) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one, index) => (index === 0 ? one : `${' '.repeat(indent)}${one}`));
}

/** Lines of at most `columns` characters, or as near as names allow. */
export function matrixText(matrix: Matrix, columns: number): string[] {
  const { rows, hours, heads, by, strategy, pointsPerHead, fromMs, live, changes } = matrix;
  const nameWidth = Math.max(11, ...rows.map(({ name }) => name.length));
  const numberWidth = Math.max(2, ...changes.map((count) => String(count).length), String(rows.length).length);
  const restWidth = 15;
  const fits = (span: number): boolean =>
    nameWidth + Math.ceil(hours / span) * (numberWidth + 1) + restWidth <= columns;
  const span = widths.find(fits) ?? 24;
  const starts = Array.from({ length: Math.ceil(hours / span) }, (_none, index) => index * span);
  const cell = (text: string): string => ` ${text.padStart(numberWidth)}`;
  const over = (values: readonly number[], from: number): readonly number[] => values.slice(from, from + span);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

  const from = new Date(fromMs).toISOString().slice(0, 16).replace('T', ' ');
  const lines = [
    ...wrapped(
      `${strategy}: ${heads} heads with ${pointsPerHead} introduction points, ${hours} h from ${from} UTC`,
      columns,
      0,
    ),
    '',
    `${'hour'.padEnd(nameWidth)}${starts.map((hour) => cell(String(hour))).join('')}  covered${by === 'head' ? ' points' : ''}`,
  ];
  for (const row of rows) {
    const cells = starts.map((hour) => cell(markOf(sum(over(row.hours, hour)) / over(row.hours, hour).length)));
    const rest = `${percentOf(row.coverage).padStart(7)} ${(by === 'head' ? `${row.points}/${pointsPerHead}` : '').padStart(6)}`;
    lines.push(`${row.name.padEnd(nameWidth)}${cells.join('')}  ${rest}`.trimEnd());
  }
  const most = starts.map((hour) => cell(String(Math.max(...over(live, hour)))));
  lines.push(`${`live ${by}s`.padEnd(nameWidth)}${most.join('')}`);
  lines.push(`${'changes'.padEnd(nameWidth)}${starts.map((hour) => cell(String(sum(over(changes, hour))))).join('')}`);
  const unit = span === 1 ? 'the hour' : `the ${span} hours`;
  const legend = `${marks[3]} live for all of ${unit}, ${marks[2]} half or more, ${marks[1]} less, ${marks[0]} not`;
  lines.push('', ...wrapped(legend, columns, 0), '');
  const labels = summaryOf(matrix);
  const width = Math.max(...labels.map(([name]) => name.length)) + 2;
  for (const [name, value] of labels) {
    const [first = '', ...more] = wrapped(value, columns, width);
    lines.push(`${name.padEnd(width)}${first}`, ...more);
  }
  return lines;
}
