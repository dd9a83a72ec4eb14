/**
 * The heads that this node has grown because the publisher asked for them. One at a time; kept while the siege lasts; then given up
 * in two steps, out of the descriptor first, and gone when nobody uses the old one any more. Enter at `look`.
 */
import type { HeadControl } from '../../core/engine/index.ts';

export interface Wanted {
  /** Whether the publisher asks this node for one more head. */
  readonly asked: boolean;
  /** Whether it keeps any head out because of a siege: what has grown is in its place. */
  readonly siege: boolean;
}

/** How long a head that has found its introduction points may take to stop the asking: told, published, and the word back. */
const settleMs = 15_000;

export class GrownHeads {
  readonly #shrinkMs: number;
  /** Each with when it was last needed. */
  readonly #serving = new Map<string, number>();
  /** Those that are kept from the publisher, since when. */
  readonly #leaving = new Map<string, number>();
  /** Until when nothing more grows. */
  #settledAtMs = 0;

  constructor(shrinkMs: number) {
    this.#shrinkMs = shrinkMs;
  }

  names(): string[] {
    return [...this.#serving.keys()];
  }

  async look(control: HeadControl, { asked, siege }: Wanted, nowMs: number): Promise<void> {
    if (asked) this.#grow(control, nowMs);
    if (asked || siege) for (const head of this.#serving.keys()) this.#serving.set(head, nowMs);
    for (const [head, neededMs] of this.#serving) {
      if (nowMs - neededMs < this.#shrinkMs) continue;
      control.exclude(head, 'the siege is over');
      this.#serving.delete(head);
      this.#leaving.set(head, nowMs);
    }
    for (const [head, leftMs] of this.#leaving) {
      if (nowMs - leftMs < this.#shrinkMs) continue;
      this.#leaving.delete(head);
      await control.shrink?.(head, 'the siege is over');
    }
  }

  /** Asked again and again until there are enough. */
  #grow(control: HeadControl, nowMs: number): void {
    const isWaiting = (head: string): boolean =>
      control.heads().find((own) => own.head === head)?.address === undefined;
    if ([...this.#serving.keys()].some(isWaiting)) this.#settledAtMs = nowMs + settleMs;
    if (nowMs < this.#settledAtMs) return;
    // One that is about to go serves as well, and at once.
    const [back] = this.#leaving.keys();
    const head = back ?? control.grow?.('a head is under siege');
    if (head === undefined) return;
    if (back !== undefined) control.include(back, 'a head is under siege');
    this.#leaving.delete(head);
    this.#serving.set(head, nowMs);
    this.#settledAtMs = nowMs + settleMs;
  }
}
