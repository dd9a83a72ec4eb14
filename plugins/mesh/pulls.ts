/**
 * Records on their way: asked for piece by piece, so that any size of datagram carries any record. A piece that is lost is
 * asked for again when the next beacon tells of the record, from whoever tells.
 */
import type { Piece, Pull } from './message.ts';

interface Wanted {
  readonly node: string;
  readonly kind: string;
  readonly incarnation: number;
  readonly version: number;
}

interface Open extends Wanted {
  readonly bytes: Uint8Array[];
  have: number;
  total: number | undefined;
  askedAtMs: number;
}

/** A record that is all here. */
export interface Complete extends Wanted {
  readonly bytes: Uint8Array;
}

const maximumOpen = 64;

export class Pulls {
  readonly #open = new Map<string, Open>();
  readonly #ask: (to: string, pull: Pull) => void;
  readonly #retryMs: number;

  /** `retryMs`: a pull that has not moved for so long may be asked for again. */
  constructor(ask: (to: string, pull: Pull) => void, retryMs: number) {
    this.#ask = ask;
    this.#retryMs = retryMs;
  }

  /** `from` has this record, and it is newer than the one here. */
  want(wanted: Wanted, from: string, nowMs: number): void {
    const key = `${wanted.node} ${wanted.kind}`;
    let open = this.#open.get(key);
    if (open !== undefined && open.incarnation === wanted.incarnation && open.version === wanted.version) {
      if (nowMs - open.askedAtMs < this.#retryMs) return;
    } else {
      this.#open.delete(key);
      // The oldest gives way: it has waited longest in vain.
      if (this.#open.size >= maximumOpen) this.#open.delete([...this.#open.keys()][0] as string);
      open = { ...wanted, bytes: [], have: 0, total: undefined, askedAtMs: nowMs };
      this.#open.set(key, open);
    }
    this.#askFor(open, from, nowMs);
  }

  /** Takes a piece that was asked for; gives the record when that was the last. Other pieces are left alone. */
  take(piece: Piece, from: string, nowMs: number): Complete | undefined {
    const key = `${piece.node} ${piece.kind}`;
    const open = this.#open.get(key);
    if (open === undefined || open.incarnation !== piece.incarnation || open.version !== piece.version)
      return undefined;
    if (open.have !== piece.offset || (open.total ?? piece.total) !== piece.total) return undefined;
    open.total = piece.total;
    open.bytes.push(piece.body);
    open.have += piece.body.length;
    if (open.have < open.total) {
      this.#askFor(open, from, nowMs);
      return undefined;
    }
    this.#open.delete(key);
    const { node, kind, incarnation, version } = open;
    return { node, kind, incarnation, version, bytes: Buffer.concat(open.bytes) };
  }

  #askFor(open: Open, from: string, nowMs: number): void {
    open.askedAtMs = nowMs;
    const { node, kind, incarnation, version, have } = open;
    this.#ask(from, { type: 'pull', node, kind, incarnation, version, offset: have });
  }
}
