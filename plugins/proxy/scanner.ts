/**
 * Follows the requests of one HTTP/1.x connection (RFC 9112), so that none for the door is passed on, not even one behind
 * others on the same connection. It changes nothing: what it lets through is what came. Whatever is not HTTP/1.x by its
 * first line is passed on unread. Total: any bytes, cut anywhere; at most one line is held back, of bounded length.
 *
 *   line ─ request ─► headers ─► body · chunks ─► line …        line ─ no request ─► opaque
 *     │                  └─ framing that two servers could read differently ─► refused
 *     └─ for the door ─► door
 */
import { leadsToDoor } from './door-path.ts';

export type Verdict =
  /** Pass on, and go on. */
  | 'pass'
  /** The request that begins with `rest` is for the door; nothing after it may be passed on. */
  | 'door'
  /** Nothing more may be passed on: it could be read in two ways, or is too long. */
  | 'refused';

export interface Scan {
  readonly verdict: Verdict;
  /** What may be passed on now. */
  readonly forward: readonly Uint8Array[];
  /** With `door`: the request from its first byte on, as far as it is there. */
  readonly rest: Uint8Array;
}

/** One line: a start line with a long query, a cookie. */
const longestLine = 16_384;
/** All headers of one request, and all trailers. */
const longestHead = 65_536;
const longestChunkLine = 1_024;
const lineFeed = 10;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const startLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+(\S+)(?:[ \t]+(HTTP\/1\.[0-9]))?[ \t]*$/;

type State = 'line' | 'headers' | 'body' | 'chunk-size' | 'chunk-end' | 'trailers' | 'opaque' | 'stopped';

const empty = new Uint8Array(0);

/** Bytes that a line which may still become a request can begin with. */
function couldBeRequest(bytes: Uint8Array): boolean {
  // A method is a token, and none is longer than this.
  for (const byte of bytes.subarray(0, 32)) {
    if (byte === 32 || byte === 9) return true;
    if (byte !== 13 && !token.test(String.fromCharCode(byte))) return false;
  }
  return bytes.length < 32;
}

export class RequestScanner {
  #state: State = 'line';
  #held: Uint8Array[] = [];
  #heldLength = 0;
  #headLength = 0;
  /** Bytes of the body or chunk that are still to come. */
  #left = 0;
  #lengths: number | undefined = undefined;
  #chunked = false;
  #version = '';
  #afterChunk: State = 'line';
  /** Requests whose start line was passed on. */
  requests = 0;
  /** Whole lines so far. */
  lines = 0;

  /** True while the first bytes are not judged yet. */
  get undecided(): boolean {
    return this.#state === 'line' && this.requests === 0;
  }

  /** True while a line is held back. */
  get holding(): boolean {
    return this.#heldLength > 0;
  }

  push(chunk: Uint8Array): Scan {
    const forward: Uint8Array[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#state === 'stopped') return { verdict: 'refused', forward, rest: empty };
      if (this.#state === 'opaque') {
        forward.push(rest);
        break;
      }
      if (this.#state === 'body') {
        const part = rest.subarray(0, Math.min(this.#left, rest.length));
        forward.push(part);
        this.#left -= part.length;
        rest = rest.subarray(part.length);
        if (this.#left === 0) this.#state = this.#afterChunk;
        continue;
      }
      const end = rest.indexOf(lineFeed);
      const part = end < 0 ? rest : rest.subarray(0, end + 1);
      if (this.#heldLength + part.length > this.#longest()) {
        this.#state = 'stopped';
        return { verdict: 'refused', forward, rest: empty };
      }
      this.#held.push(part);
      this.#heldLength += part.length;
      rest = rest.subarray(part.length);
      if (end < 0) {
        if (this.#state === 'line' && !couldBeRequest(this.#first())) {
          this.#state = 'opaque';
          forward.push(this.#release());
        }
        break;
      }
      const line = this.#release();
      const verdict = this.#take(line);
      if (verdict === 'pass') forward.push(line);
      else {
        this.#state = 'stopped';
        return { verdict, forward, rest: verdict === 'door' ? Buffer.concat([line, rest]) : empty };
      }
    }
    return { verdict: 'pass', forward, rest: empty };
  }

  #longest(): number {
    return this.#state === 'chunk-size' || this.#state === 'chunk-end' ? longestChunkLine : longestLine;
  }

  #first(): Uint8Array {
    const [first = empty] = this.#held;
    return first.length >= 32 || this.#held.length === 1 ? first : Buffer.concat(this.#held).subarray(0, 32);
  }

  #release(): Uint8Array {
    const bytes = this.#held.length === 1 ? (this.#held[0] as Uint8Array) : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldLength = 0;
    return bytes;
  }

  /** Judges a whole line, and moves to what follows it. */
  #take(bytes: Uint8Array): Verdict {
    this.lines++;
    const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      .toString('latin1')
      .replace(/\r?\n$/, '');
    if (this.#state === 'line') return this.#takeStart(line, bytes);
    if (this.#state === 'headers') return this.#takeHeader(line);
    if (this.#state === 'trailers') {
      this.#headLength += bytes.length;
      if (this.#headLength > longestHead) return 'refused';
      if (line === '') this.#state = 'line';
      return 'pass';
    }
    if (this.#state === 'chunk-end') {
      this.#state = 'chunk-size';
      return line === '' ? 'pass' : 'refused';
    }
    const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined) return 'refused';
    this.#left = Number.parseInt(size, 16);
    this.#headLength = 0;
    this.#afterChunk = 'chunk-end';
    this.#state = this.#left === 0 ? 'trailers' : 'body';
    return 'pass';
  }

  #takeStart(line: string, bytes: Uint8Array): Verdict {
    // Empty lines before a request are allowed (RFC 9112, section 2.2).
    if (line === '') return 'pass';
    if (!couldBeRequest(bytes)) {
      this.#state = 'opaque';
      return 'pass';
    }
    const [, , target, version] = startLine.exec(line) ?? [];
    // Whatever a lenient server could make of the line: any word of it may be its target.
    if (line.split(/[\s\r]+/).some(leadsToDoor)) return 'door';
    this.requests++;
    if (target === undefined || version === undefined) {
      this.#state = 'opaque';
      return 'pass';
    }
    this.#state = 'headers';
    this.#version = version;
    this.#headLength = 0;
    this.#lengths = undefined;
    this.#chunked = false;
    return 'pass';
  }

  #takeHeader(line: string): Verdict {
    this.#headLength += line.length;
    if (this.#headLength > longestHead) return 'refused';
    if (line === '') {
      this.#left = this.#lengths ?? 0;
      this.#afterChunk = 'line';
      this.#state = this.#chunked ? 'chunk-size' : this.#left > 0 ? 'body' : 'line';
      return 'pass';
    }
    // A folded line, a space before the colon, a bare carriage return: servers differ in what these mean.
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\0]*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return 'refused';
    if (/^content-length$/i.test(name)) return this.#takeLength(value.trim());
    if (/^transfer-encoding$/i.test(name)) {
      if (this.#chunked || this.#lengths !== undefined || this.#version === 'HTTP/1.0') return 'refused';
      this.#chunked = true;
      return /^[ \t]*chunked[ \t]*$/i.test(value) ? 'pass' : 'refused';
    }
    return 'pass';
  }

  #takeLength(value: string): Verdict {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : undefined;
    if (length === undefined || this.#chunked) return 'refused';
    if (this.#lengths !== undefined && this.#lengths !== length) return 'refused';
    this.#lengths = length;
    return 'pass';
  }
}
