/** Everything that happens, as one digest: two runs of one seed are the same to the byte when their digests are. */
import { createHash, type Hash } from 'node:crypto';

export interface TraceLine {
  readonly atMs: number;
  readonly text: string;
}

/** The last lines, for people. */
const kept = 400;

export class Trace {
  readonly #hash: Hash = createHash('sha256');
  readonly #now: () => number;
  readonly #lines: TraceLine[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Into the digest only. */
  bytes(label: string, bytes: Uint8Array): void {
    this.#hash.update(`${this.#now()} ${label} `).update(bytes);
  }

  line(text: string): void {
    const atMs = this.#now();
    this.#hash.update(`${atMs} ${text}\n`);
    this.#lines.push({ atMs, text });
    if (this.#lines.length > 2 * kept) this.#lines.splice(0, kept);
  }

  get last(): readonly TraceLine[] {
    return this.#lines.slice(-kept);
  }

  /** Ends the trace. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
