/** Checks a value against a schema and reports every problem at once: field, value, what is allowed, and the nearest known name. */
import { closest, distance } from 'fastest-levenshtein';
import * as v from 'valibot';
import { ChimeraError } from '../errors.ts';
import { isSecretName, redacted } from '../runtime/index.ts';

/** `heads` for `head` or `haeds`, `state_directory` for `state_dir`: near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const longer = known.filter((one) => name.length >= 4 && one.startsWith(name));
  if (longer.length === 1) return longer[0];
  const best = closest(name, known);
  return distance(name, best) <= Math.max(2, Math.floor(name.length / 3)) ? best : undefined;
}

function shown(value: unknown, path: readonly string[]): string {
  if (path.some((name) => isSecretName(name))) return '(hidden)';
  const text = JSON.stringify(redacted(value)) ?? String(value);
  // An onion address is shown whole.
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** The keys of the object schema at `path`, seen through optional and pipe wrappers. */
function keysAt(schema: unknown, path: readonly string[]): string[] {
  let current = schema as
    { wrapped?: unknown; entries?: Record<string, unknown>; pipe?: unknown[]; item?: unknown } | undefined;
  const unwrap = (): void => {
    while (current?.wrapped !== undefined) current = current.wrapped as typeof current;
  };
  unwrap();
  for (const name of path) {
    current = (current?.entries?.[name] ?? current?.item) as typeof current;
    unwrap();
  }
  return Object.keys(current?.entries ?? {});
}

/** What the schema library calls a kind of value, in the words of the configuration. */
const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  Object: 'a table',
  Array: 'a list',
};

/** The lines for one issue. The library stops at a table's first unknown key: here all of them are named. */
function problems(issue: v.BaseIssue<unknown>, schema: unknown): string[] {
  const path = (issue.path ?? []).map((item) => String(item.key));
  const field = path.join('.');
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const above = path.slice(0, -1);
    const known = keysAt(schema, above);
    const table = (issue.path?.at(-1) as { input?: object } | undefined)?.input ?? {};
    return Object.keys(table)
      .filter((name) => !known.includes(name))
      .map((name) => {
        const near = nearest(name, known);
        const hint = near === undefined ? `known here: ${known.join(', ')}` : `did you mean "${near}"?`;
        return `${[...above, name].join('.')}: unknown setting; ${hint}`;
      });
  }
  if (issue.received === 'undefined') return [`${field}: missing; it has no default`];
  // The library's own messages quote the value, which may be a secret.
  const message = issue.message.startsWith('Invalid ')
    ? `must be ${kinds[issue.expected ?? ''] ?? issue.expected}`
    : issue.message;
  // The whole file, not a setting in it.
  if (path.length === 0) return [message];
  return [`${field} = ${shown(issue.input, path)}: ${message}`];
}

/** Returns the checked value with defaults filled in; throws CONFIG_INVALID with one line per problem. */
export function checkConfig<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  file: string,
  remedy = 'correct the file; docs/configuration.md lists every setting',
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortPipeEarly: true });
  if (result.success) return result.output;
  const lines = result.issues.flatMap((issue) => problems(issue, schema));
  const message =
    lines.length === 1 ? `${file}: ${lines[0]}` : `${file}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  throw new ChimeraError('CONFIG_INVALID', message, { remedy });
}
