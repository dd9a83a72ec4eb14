/**
 * Replies of the control protocol (control-spec, section 2.3), cut from a stream of bytes. Pure: bytes in, replies out to a
 * sink. The same bytes give the same replies and the same error however they are cut into chunks. Enter at `createReplyParser`.
 *
 * Text is kept one character a byte (latin1) while it is cut, and read as UTF-8 once a reply is whole.
 */
import { ChimeraError } from '../../core/errors.ts';

export interface ReplyLine {
  /** What follows the status code. */
  readonly text: string;
  /** The data of a `250+` line, dots unstuffed, every line ended by `\n`. */
  readonly data?: string;
}

/** A whole reply, or an asynchronous one (`code` 6xx). */
export interface Reply {
  /** Status code of the last line. */
  readonly code: number;
  /** At least one. The last is the end line, `OK` when nothing else. */
  readonly lines: readonly ReplyLine[];
}

export interface ReplyLimits {
  /** Characters of one line without its line break. */
  readonly maximumLine: number;
  /** Characters of one reply with all its data. */
  readonly maximumReply: number;
  /** Status lines of one reply. */
  readonly maximumLines: number;
}

/** A public microdescriptor's family line has tens of KiB; all microdescriptors of the public network have about 10 MiB. */
export const defaultReplyLimits: ReplyLimits = { maximumLine: 1 << 20, maximumReply: 1 << 26, maximumLines: 1 << 16 };

export interface ReplyParser {
  /**
   * Takes the next bytes. Throws TOR_NOT_CONTROL_PORT when they are no control protocol, TOR_REPLY_TOO_LARGE beyond a limit;
   * nothing can be pushed after that.
   */
  push(chunk: Uint8Array): void;
}

interface Assembly {
  lines: ReplyLine[];
  size: number;
}

/** The data block that is being read. */
interface DataBlock {
  readonly assembly: Assembly;
  readonly text: string;
  readonly pieces: string[];
}

const newline = 10;
const carriageReturn = 13;

/** Reads text that was kept one character a byte as UTF-8. */
function utf8(text: string): string {
  return /[\u0080-\u00ff]/.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text;
}

/** What something foreign said, fit for a message. */
function excerpt(text: string): string {
  const shown = text.slice(0, 40).replace(/[^\x20-\x7e]/g, '.');
  return text.length > 40 ? `${shown}…` : shown;
}

/** Where the line [start, end) ends without its carriage return. */
function lineEnd(text: string, start: number, end: number): number {
  return end > start && text.charCodeAt(end - 1) === carriageReturn ? end - 1 : end;
}

/** True when `text` may be the start of a status line: three digits, then `-`, `+` or a space. */
function startsStatusLine(text: string): boolean {
  const known = Math.min(text.length, 4);
  for (let index = 0; index < known; index++) {
    const character = text.charCodeAt(index);
    const fits =
      index < 3 ? character >= 48 && character <= 57 : character === 32 || character === 43 || character === 45;
    if (!fits) return false;
  }
  return true;
}

/** Makes a parser that calls `sink` with each whole reply, in order. */
export function createReplyParser(sink: (reply: Reply) => void, limits: ReplyLimits = defaultReplyLimits): ReplyParser {
  // Events come between replies, and are taken even inside one.
  const answers: Assembly = { lines: [], size: 0 };
  const events: Assembly = { lines: [], size: 0 };
  let carry = '';
  let data: DataBlock | undefined;
  let lineSeen = false;

  const checkLine = (length: number): void => {
    if (length <= limits.maximumLine) return;
    throw new ChimeraError(
      'TOR_REPLY_TOO_LARGE',
      `a control port sent a line of more than ${limits.maximumLine} bytes`,
    );
  };
  const count = (assembly: Assembly, length: number): void => {
    assembly.size += length + 1;
    if (assembly.size > limits.maximumReply)
      throw new ChimeraError(
        'TOR_REPLY_TOO_LARGE',
        `a control port sent a reply of more than ${limits.maximumReply} bytes`,
      );
    if (assembly.lines.length >= limits.maximumLines)
      throw new ChimeraError(
        'TOR_REPLY_TOO_LARGE',
        `a control port sent a reply of more than ${limits.maximumLines} lines`,
      );
  };
  const foreign = (text: string): ChimeraError =>
    // Only the very first bytes are shown: later ones could repeat what was sent.
    new ChimeraError(
      'TOR_NOT_CONTROL_PORT',
      lineSeen
        ? 'a line came that is no control protocol'
        : `it answered "${excerpt(text)}", which is no control protocol`,
      { remedy: "Name tor's ControlPort; SocksPort, ORPort and others are something else." },
    );

  const statusLine = (line: string): void => {
    if (line.length < 4 || !startsStatusLine(line)) throw foreign(line);
    checkLine(line.length);
    lineSeen = true;
    const assembly = line.startsWith('6') ? events : answers;
    count(assembly, line.length);
    const text = utf8(line.slice(4));
    if (line[3] === '+') {
      data = { assembly, text, pieces: [] };
      return;
    }
    assembly.lines.push({ text });
    if (line[3] === '-') return;
    const { lines } = assembly;
    assembly.lines = [];
    assembly.size = 0;
    sink({ code: Number(line.slice(0, 3)), lines });
  };

  /** Reads data lines from `start` on; gives where it stopped: at the text's last line break, or behind the closing dot. */
  const dataLines = (block: DataBlock, text: string, start: number): number => {
    let run = start;
    let position = start;
    for (;;) {
      const end = text.indexOf('\n', position);
      if (end < 0) break;
      const bare = lineEnd(text, position, end);
      checkLine(bare - position);
      if (text.charCodeAt(position) === 46) {
        block.pieces.push(text.slice(run, position));
        if (bare === position + 1) {
          const body = block.pieces.join('').replaceAll('\r\n', '\n');
          block.assembly.lines.push({ text: block.text, data: utf8(body) });
          data = undefined;
          return end + 1;
        }
        run = position + 1;
      }
      count(block.assembly, bare - position);
      position = end + 1;
    }
    block.pieces.push(text.slice(run, position));
    return position;
  };

  return {
    push: (chunk) => {
      const piece = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
      if (carry.length >= 4 && carry.length + piece.length <= limits.maximumLine && !chunk.includes(newline)) {
        carry += piece;
        return;
      }
      const text = carry + piece;
      let position = 0;
      for (;;) {
        if (data !== undefined) {
          position = dataLines(data, text, position);
          if (data !== undefined) break;
        }
        const end = text.indexOf('\n', position);
        if (end < 0) break;
        const line = text.slice(position, lineEnd(text, position, end));
        position = end + 1;
        statusLine(line);
      }
      carry = text.slice(position);
      if (data === undefined && !startsStatusLine(carry)) throw foreign(carry);
      checkLine(carry.endsWith('\r') ? carry.length - 1 : carry.length);
    },
  };
}
