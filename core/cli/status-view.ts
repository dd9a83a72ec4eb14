/**
 * A node's status for people. Sections are printed by their shape, so that a plugin's own section needs no code here: a table
 * of values as fields, a list of tables as rows, lists of tables within those as rows below them. The ends of names say what a
 * number is: `…At` and `at` unix seconds, `…Secs`, `…Ms`.
 */
import type { Json } from '../engine/index.ts';
import { formatTime } from '../runtime/index.ts';
import type { Field, Output } from './output.ts';

type Table = { readonly [key: string]: Json };

const isTable = (value: Json | undefined): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sections that come first, in this order. */
const firstSections = ['node', 'election', 'cycle', 'published', 'heads', 'members'];
const longestText = 200;

/** `introPoints` → `intro points`. The unit goes into the value. */
export function labelOf(name: string): string {
  const words = name.replace(/(?<=[a-z])(?:Secs|Ms)$/, '');
  return words
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();
}

export function durationOf(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const secs = Math.round(ms / 1_000);
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (secs < 60) return `${secs} s`;
  if (secs < 3_600) return `${Math.floor(secs / 60)} min ${secs % 60} s`;
  if (secs < 86_400) return `${Math.floor(secs / 3_600)} h ${Math.floor((secs % 3_600) / 60)} min`;
  return `${Math.floor(secs / 86_400)} d ${Math.floor((secs % 86_400) / 3_600)} h`;
}

/** One value as text. What others wrote may hold control characters: they are cut. */
export function valueOf(name: string, value: Json): string {
  if (value === null || value === '') return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') {
    if (/(?:^at|At)$/.test(name) && value > 1e9) return formatTime(value);
    if (name.endsWith('Secs')) return durationOf(value * 1_000);
    return name.endsWith('Ms') ? durationOf(value) : String(value);
  }
  // oxlint-disable-next-line no-control-regex
  if (typeof value === 'string') return value.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, ' ').slice(0, longestText);
  if (Array.isArray(value)) return value.length === 0 ? '–' : value.map((one) => valueOf('', one as Json)).join(', ');
  return Object.entries(value)
    .map(([key, one]) => `${labelOf(key)} ${valueOf(key, one)}`)
    .join(', ');
}

const isTables = (value: Json | undefined): value is readonly Table[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => isTable(one as Json));

/** Lists of tables within the rows come after them, with the first value of the row that they belong to. */
function rows(output: Output, list: readonly Table[]): void {
  const every = [...new Set(list.flatMap((row) => Object.keys(row)))];
  const inner = every.filter((name) => list.some((row) => isTables(row[name])));
  const names = every.filter((name) => !inner.includes(name));
  const cells = list.map((row) => names.map((name) => valueOf(name, row[name] ?? null)));
  const widths = names.map((name, at) => Math.max(labelOf(name).length, ...cells.map((row) => row[at]?.length ?? 0)));
  const line = (texts: readonly string[]): string => texts.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ');
  output.line(`  ${output.dim(line(names.map(labelOf)).trimEnd())}`);
  for (const row of cells) output.line(`  ${line(row).trimEnd()}`);
  const [first] = names;
  for (const name of inner) {
    const owned = list.flatMap((row) => {
      const of = first === undefined ? {} : { [first]: row[first] ?? null };
      const items = row[name];
      return isTables(items) ? items.map((one): Table => ({ ...of, ...one })) : [];
    });
    output.line(`  ${labelOf(name)}`);
    rows(output, owned);
  }
}

function section(output: Output, name: string, value: Json): void {
  output.heading(labelOf(name));
  if (isTables(value)) {
    rows(output, value);
  } else if (isTable(value) && Object.keys(value).length > 0) {
    const plain = Object.entries(value).filter(
      ([, one]) => !(Array.isArray(one) && one.some((item) => isTable(item as Json))),
    );
    const lists = Object.entries(value).filter(([key]) => !plain.some(([other]) => other === key));
    if (plain.length > 0)
      output.fields(
        plain.map(([key, one]): Field => [labelOf(key), valueOf(key, one)]),
        2,
      );
    for (const [key, list] of lists) {
      output.line(`  ${labelOf(key)}`);
      rows(output, list as readonly Table[]);
    }
  } else output.line(`  ${Array.isArray(value) && value.length === 0 ? 'none' : valueOf(name, value)}`);
}

/** One sentence: who publishes, as this node sees it. */
export function headline(status: Table): string {
  const { election, mesh } = status;
  if (isTable(mesh) && typeof mesh['removedBy'] === 'string') {
    return `this node was removed from the cluster by ${valueOf('', mesh['removedBy'])}, and publishes nothing`;
  }
  if (!isTable(election)) return 'no election runs on this node';
  const { elected, publisher, epoch } = election;
  if (elected === true) return `this node publishes, epoch ${valueOf('', epoch ?? null)}`;
  if (typeof publisher !== 'string') return 'nobody publishes';
  return `${valueOf('', publisher)} publishes, epoch ${valueOf('', epoch ?? null)}; this node stands by`;
}

export function printStatus(output: Output, status: Json): void {
  if (!isTable(status)) {
    output.line(valueOf('', status));
    return;
  }
  output.line(headline(status));
  const names = Object.keys(status);
  const ordered = [
    ...firstSections.filter((name) => names.includes(name)),
    ...names.filter((name) => !firstSections.includes(name)),
  ];
  for (const name of ordered) {
    output.line();
    section(output, name, status[name] as Json);
  }
}
