/**
 * What goes over the admin socket: one request a connection, a line of JSON; then lines of JSON, any number of
 * `{"say": "…"}` while the command works, and last `{"result": …}` or `{"error": {…}}`. Total: any bytes make a value or an error.
 */
import * as v from 'valibot';
import type { Json } from '../../core/engine/index.ts';
import { ChimeraError, errorCodes, isChimeraError, type ErrorCode } from '../../core/errors.ts';

export const maximumRequestBytes = 65_536;
export const maximumAnswerBytes = 8 * 1024 * 1024;
/** A piece of progress is one line for people. */
const maximumSayLength = 1_000;

export interface AdminRequest {
  readonly command: string;
  readonly args: { readonly [key: string]: Json };
}

/** What a command answered: progress, or its end. */
export type AdminAnswer = { readonly say: string } | { readonly result: Json } | { readonly error: ChimeraError };

const request = v.strictObject({
  command: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  args: v.optional(v.custom<object>(isTable), {}),
});

const answer = v.union([
  v.strictObject({ say: v.string() }),
  v.strictObject({ result: v.unknown() }),
  v.strictObject({
    error: v.strictObject({ code: v.string(), message: v.string(), remedy: v.optional(v.string()) }),
  }),
]);

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(line: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    return undefined;
  }
}

/** Throws ADMIN_REQUEST. */
export function parseRequest(line: Uint8Array): AdminRequest {
  const checked = v.safeParse(request, parsed(line));
  if (checked.success) return checked.output as AdminRequest;
  throw new ChimeraError('ADMIN_REQUEST', 'the request is not a line {"command": "…", "args": {…}}', {
    remedy: 'use the chimera of the same version as the node',
  });
}

/** Throws ADMIN_ANSWER. */
export function parseAnswer(line: Uint8Array): AdminAnswer {
  const checked = v.safeParse(answer, parsed(line));
  if (!checked.success) {
    throw new ChimeraError('ADMIN_ANSWER', 'the node’s answer cannot be understood', {
      remedy: 'use the chimera of the same version as the node, and check that the socket is a node’s',
    });
  }
  const { output } = checked;
  if ('say' in output) return { say: output.say.slice(0, maximumSayLength) };
  if ('result' in output) return { result: output.result as Json };
  const { code, message, remedy } = output.error;
  const known = code in errorCodes ? (code as ErrorCode) : 'ADMIN_FAILED';
  return { error: new ChimeraError(known, message, remedy === undefined ? {} : { remedy }) };
}

export function encodeRequest({ command, args }: AdminRequest): string {
  return `${JSON.stringify({ command, args })}\n`;
}

export const encodeSay = (text: string): string => `${JSON.stringify({ say: text.slice(0, maximumSayLength) })}\n`;
export const encodeResult = (result: Json): string => `${JSON.stringify({ result })}\n`;

/** The text of an error without a code stays in the node's log: nobody has checked what it says. */
export function encodeError(error: unknown): string {
  const told = isChimeraError(error)
    ? { code: error.code, message: error.message, ...(error.remedy === undefined ? {} : { remedy: error.remedy }) }
    : {
        code: 'ADMIN_FAILED',
        message: 'the command failed inside the node',
        remedy: 'see the node’s log, and report the fault',
      };
  return `${JSON.stringify({ error: told })}\n`;
}

/** Splits what arrives into lines of at most `maximumBytes`; `feed` throws `tooLong()` beyond. */
export function lineSplitter(maximumBytes: number, tooLong: () => Error): (chunk: Uint8Array) => Uint8Array[] {
  let parts: Uint8Array[] = [];
  let length = 0;
  return (chunk) => {
    const lines: Uint8Array[] = [];
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (length + end > maximumBytes) throw tooLong();
      lines.push(Buffer.concat([...parts, rest.subarray(0, end)]));
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    length += rest.length;
    if (length > maximumBytes) throw tooLong();
    if (rest.length > 0) parts.push(rest);
    return lines;
  };
}
