/**
 * Asynchronous events (control-spec, section 4.1), split into words and fields; and the quoted strings and key lists that
 * events and PROTOCOLINFO share. Pure and total. Enter at `parseEvent`.
 */
import type { TorEvent } from '../../core/engine/contracts/tor.ts';
import type { ReplyLine } from './reply.ts';

export interface Tokens {
  readonly words: readonly string[];
  readonly fields: Readonly<Record<string, string>>;
}

const escapes: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9 };

/**
 * Reads a QuotedString (control-spec, section 2.1.1) whose opening quote is at `start`: its value, bytes read as UTF-8, and the
 * index behind the closing quote. A missing closing quote takes the rest.
 */
function readQuoted(text: string, start: number): { value: string; end: number } {
  const close = closingQuote(text, start);
  const body = text.slice(start + 1, close);
  const end = Math.min(close + 1, text.length);
  if (!body.includes('\\')) return { value: body, end };
  const source = Buffer.from(body, 'utf8');
  const bytes = Buffer.alloc(source.length);
  let length = 0;
  for (let index = 0; index < source.length; index++) {
    let byte = source[index] as number;
    if (byte === 0x5c && index + 1 < source.length) {
      const octal = /^[0-3]?[0-7]{1,2}/.exec(source.toString('latin1', index + 1, index + 4))?.[0];
      if (octal === undefined) {
        byte = source[++index] as number;
        byte = escapes[String.fromCharCode(byte)] ?? byte;
      } else {
        byte = Number.parseInt(octal, 8);
        index += octal.length;
      }
    }
    bytes[length++] = byte;
  }
  return { value: bytes.toString('utf8', 0, length), end };
}

function closingQuote(text: string, start: number): number {
  let position = start + 1;
  while (position < text.length && text[position] !== '"') position += text[position] === '\\' ? 2 : 1;
  return Math.min(position, text.length);
}

/** The value of a QuotedString, or the text itself when it is none. */
export function unquoted(text: string): string {
  return text.startsWith('"') ? readQuoted(text, 0).value : text;
}

/** Writes a QuotedString. Refuse line breaks before: tor reads a command by lines. */
export function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** Splits `one two KEY=value KEY="quoted value"`. A key has letters, digits and `_` only, so `$FINGERPRINT=nick` is a word. */
export function parseTokens(text: string): Tokens {
  const words: string[] = [];
  const fields: [string, string][] = [];
  let position = 0;
  let tokenEnd = -1;
  while (position < text.length) {
    if (text[position] === ' ') {
      position++;
      continue;
    }
    if (tokenEnd < position) {
      const space = text.indexOf(' ', position);
      tokenEnd = space < 0 ? text.length : space;
    }
    const token = text.slice(position, tokenEnd);
    const key = /^(\w{1,64})=/.exec(token)?.[1];
    const valueStart = position + (key === undefined ? 0 : key.length + 1);
    let value = text.slice(valueStart, tokenEnd);
    position = tokenEnd;
    if (value.startsWith('"')) ({ value, end: position } = readQuoted(text, valueStart));
    if (key === undefined) words.push(value);
    else fields.push([key, value]);
  }
  return { words, fields: Object.fromEntries(fields) };
}

/** The event of an asynchronous reply. Lines between the first and the end line (CONF_CHANGED has some) become its data. */
export function parseEvent(lines: readonly ReplyLine[]): TorEvent {
  const [first, ...others] = lines;
  const { words, fields } = parseTokens(first?.text ?? '');
  const [name = '', ...rest] = words;
  if (first?.data !== undefined) return { name, words: rest, fields, data: first.data };
  const middle = others.slice(0, -1).map((line) => `${line.text}\n${line.data ?? ''}`);
  return { name, words: rest, fields, ...(middle.length === 0 ? {} : { data: middle.join('') }) };
}

/** The fingerprint of a relay as events name it (`$FP~nickname`, `$FP=nickname`, `$FP`); undefined for UNKNOWN. */
export function fingerprintOf(longName: string | undefined): string | undefined {
  return /^\$?([0-9A-Fa-f]{40})(?![0-9A-Fa-f])/.exec(longName ?? '')?.[1]?.toUpperCase();
}
