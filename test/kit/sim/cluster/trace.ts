/** Everything that happens, as one digest: two runs of one seed are the same to the byte when their digests are. */
import { createHash, type Hash } from 'node:crypto';

export interface TraceLine {
  readonly atMs: number;
  readonly text: string;
}

/** The last lines, for people. */
const kept = 400;
/** What is hashed at a time: a call costs more than the bytes. */
const gathered = 65_536;

export class Trace {
  readonly #hash: Hash = createHash('sha256');
  readonly #now: () => number;
  readonly #lines: TraceLine[] = [];
  readonly #waiting = Buffer.allocUnsafe(gathered);
  #length = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  #flush(): void {
    this.#hash.update(this.#waiting.subarray(0, this.#length));
    this.#length = 0;
  }

  #text(text: string): void {
    // No character has more than three bytes for each of its units.
    if (3 * text.length > gathered) {
      this.#flush();
      this.#hash.update(text);
      return;
    }
    if (this.#length + 3 * text.length > gathered) this.#flush();
    this.#length += this.#waiting.write(text, this.#length);
  }

  /** Into the digest only. */
  bytes(label: string, bytes: Uint8Array): void {
    this.#text(`${this.#now()} ${label} `);
    if (this.#length + bytes.length > gathered) this.#flush();
    if (bytes.length > gathered) this.#hash.update(bytes);
    else {
      this.#waiting.set(bytes, this.#length);
      this.#length += bytes.length;
    }
  }

  line(text: string): void {
    const atMs = this.#now();
    this.#text(`${atMs} ${text}\n`);
    this.#lines.push({ atMs, text });
    if (this.#lines.length > 2 * kept) this.#lines.splice(0, kept);
  }

  get last(): readonly TraceLine[] {
    return this.#lines.slice(-kept);
  }

  /** Ends the trace. */
  digest(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }
}
