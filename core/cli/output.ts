/**
 * How commands speak: aligned fields for people, JSON for programs, and errors in one form for both, on standard error.
 * Enter at `createOutput`.
 */
import kleur from 'kleur';
import { isChimeraError, messageOf } from '../errors.ts';
import { exitCodeOf, exitCodes, type ExitCode } from './exit.ts';
import type { Terminal } from './terminal.ts';

export type Field = readonly [name: string, value: string];

export interface Output {
  line(text?: string): void;
  /** A line that stands over what follows. */
  heading(text: string): void;
  /** `name  value` lines, the values in one column. */
  fields(fields: readonly Field[], indent?: number): void;
  /** Text as it is, with nothing added. */
  raw(text: string): void;
  /** One JSON document. Counters beyond 2^53 are texts, byte arrays base64. */
  json(value: unknown): void;
  /** A remark that is no part of the answer, on standard error. */
  note(text: string): void;
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
  /** Prints an error on standard error; the first one of a run decides its exit code. */
  error(error: unknown): void;
  /** By what was reported so far. */
  readonly exitCode: ExitCode;
}

function forJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}

/** `showStack` is asked when an error comes: with it, the stack is printed too. */
export function createOutput(terminal: Terminal, showStack: () => boolean): Output {
  const paint = (colour: (text: string) => string) => (text: string) => (terminal.colours ? colour(text) : text);
  const bold = paint((text) => kleur.bold(text));
  const dim = paint((text) => kleur.dim(text));
  const good = paint((text) => kleur.green(text));
  const bad = paint((text) => kleur.red(text));
  let exitCode: ExitCode = exitCodes.ok;

  return {
    line: (text = '') => terminal.write(`${text}\n`),
    heading: (text) => terminal.write(`${bold(text)}\n`),
    fields: (fields, indent = 0) => {
      const width = Math.max(...fields.map(([name]) => name.length));
      for (const [name, value] of fields) {
        terminal.write(`${' '.repeat(indent)}${dim(name.padEnd(width))}  ${value}\n`);
      }
    },
    raw: (text) => terminal.write(text),
    json: (value) => terminal.write(`${JSON.stringify(value, forJson, 2)}\n`),
    note: (text) => terminal.writeError(`${text}\n`),
    good,
    bad,
    dim,
    error: (error) => {
      if (exitCode === exitCodes.ok) exitCode = exitCodeOf(error);
      const code = isChimeraError(error) ? ` ${error.code}` : '';
      terminal.writeError(`${bad(`error${code}:`)} ${messageOf(error)}\n`);
      if (isChimeraError(error) && error.remedy !== undefined) terminal.writeError(`${bold('fix:')} ${error.remedy}\n`);
      if (showStack() && error instanceof Error && error.stack !== undefined) {
        terminal.writeError(`${dim(error.stack)}\n`);
      } else if (!isChimeraError(error)) {
        terminal.writeError('This is a fault in Chimera. Please report it, with what --debug prints.\n');
      }
    },
    get exitCode() {
      return exitCode;
    },
  };
}

/** An error as it stands in JSON. */
export function errorForJson(error: unknown): { code?: string; message: string; remedy?: string } {
  if (!isChimeraError(error)) return { message: messageOf(error) };
  return {
    code: error.code,
    message: error.message,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  };
}
