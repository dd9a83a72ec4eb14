/** Writes the log's JSON lines as lines for people: time, level, message, then the fields. */
import kleur from 'kleur';

const paint: Readonly<Record<string, (text: string) => string>> = {
  debug: kleur.gray,
  info: kleur.cyan,
  warn: kleur.yellow,
  error: kleur.red,
};
const known = new Set(['time', 'level', 'message', 'node', 'plugin']);

function shown(value: unknown): string {
  if (typeof value === 'string') return /\s/.test(value) ? JSON.stringify(value) : value;
  const { message, code, remedy } = (value ?? {}) as { message?: string; code?: string; remedy?: string };
  if (message === undefined) return JSON.stringify(value);
  return [code, message, remedy === undefined ? undefined : `(${remedy})`].filter(Boolean).join(' ');
}

/** One JSON log line as text; a line that is not JSON is given back as it is. */
export function textLine(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const field = (name: string): string => (typeof entry[name] === 'string' ? entry[name] : '');
  const level = field('level');
  const who = [field('node'), field('plugin')].filter((name) => name !== '').join(' ');
  const fields = Object.entries(entry)
    .filter(([name]) => !known.has(name))
    .map(([name, value]) => `${kleur.gray(`${name}=`)}${shown(value)}`);
  const time = field('time').slice(11, 19);
  const head = [kleur.gray(time), (paint[level] ?? String)(level.padEnd(5)), kleur.gray(who)].join(' ');
  return `${head} ${field('message')}${fields.length > 0 ? `  ${fields.join(' ')}` : ''}\n`;
}
