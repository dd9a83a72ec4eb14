/**
 * What is too large for a datagram, asked for piece by piece from whoever has it: any size of value passes, no more than sixteen pieces
 * are on their way for one, a lost piece is asked for again, and whoever serves keeps no state.
 */
import type { Clock, Timer } from '../../core/runtime/index.ts';
import { maximumPulled, pieceBytes, type Message } from './message.ts';

const maximumOpen = 64;
const retryMs = 250;
/** Given up after so many tries in a row without a new piece; it may be wanted again. */
const maximumTries = 20;

interface Open {
  readonly from: string;
  readonly total: number;
  readonly pieces: (Uint8Array | undefined)[];
  missing: number;
  outstanding: number;
  tries: number;
  timer: Timer | undefined;
  readonly done: (bytes: Uint8Array | undefined) => void;
}

export type Piece = Extract<Message, { type: 'piece' }>;

export class Pulls {
  readonly #open = new Map<string, Open>();
  readonly #clock: Clock;
  readonly #ask: (from: string, message: Message) => void;

  constructor(clock: Clock, ask: (from: string, message: Message) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Fetches a blob of `total` bytes from one member; `done` gets undefined when it is given up. One at a time under a name. */
  fetch(blob: string, from: string, total: number, done: (bytes: Uint8Array | undefined) => void): void {
    if (this.#open.has(blob)) return;
    // The oldest gives way: it has waited longest in vain.
    if (this.#open.size >= maximumOpen) this.#end(this.#open.keys().next().value as string, undefined);
    const count = Math.ceil(total / pieceBytes);
    const open: Open = {
      from,
      total,
      pieces: Array.from({ length: count }, () => undefined),
      missing: count,
      outstanding: 0,
      tries: 0,
      timer: undefined,
      done,
    };
    this.#open.set(blob, open);
    if (count === 0) this.#end(blob, new Uint8Array());
    else this.#request(blob, open);
  }

  /** Takes a piece that was asked for; leaves others alone. */
  take(piece: Piece, from: string): void {
    const open = this.#open.get(piece.blob);
    if (open?.from !== from || piece.total !== open.total || piece.index >= open.pieces.length) return;
    if (open.pieces[piece.index] !== undefined) return;
    open.pieces[piece.index] = Uint8Array.from(piece.body);
    open.missing--;
    open.outstanding--;
    open.tries = 0;
    if (open.missing === 0) this.#end(piece.blob, Buffer.concat(open.pieces as Uint8Array[]));
    else if (open.outstanding <= 0) this.#request(piece.blob, open);
  }

  close(): void {
    for (const blob of this.#open.keys()) this.#end(blob, undefined);
  }

  #request(blob: string, open: Open): void {
    open.timer?.cancel();
    if (open.tries++ >= maximumTries) {
      this.#end(blob, undefined);
      return;
    }
    const indexes: number[] = [];
    for (let index = 0; index < open.pieces.length && indexes.length < maximumPulled; index++) {
      if (open.pieces[index] === undefined) indexes.push(index);
    }
    open.outstanding = indexes.length;
    open.timer = this.#clock.after(retryMs, () => this.#request(blob, open));
    this.#ask(open.from, { type: 'pull', blob, indexes });
  }

  #end(blob: string, bytes: Uint8Array | undefined): void {
    const open = this.#open.get(blob);
    if (open === undefined) return;
    open.timer?.cancel();
    this.#open.delete(blob);
    open.done(bytes);
  }
}

/** The pieces of a blob that were asked for. */
export function piecesOf(blob: string, bytes: Uint8Array, indexes: readonly number[]): Message[] {
  return [...new Set(indexes)].flatMap((index): Message[] => {
    const body = bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes);
    return body.length === 0 ? [] : [{ type: 'piece', blob, total: bytes.length, index, body }];
  });
}
