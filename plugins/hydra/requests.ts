/**
 * Who was asked to grow a head and has not: a node at its limit, or one whose tor refuses, says nothing of it. The asking passes
 * on to the next one, and comes back after a while.
 *
 *   asked ─ a new head of it is seen ─► done · asked ─ none for long ─► left alone ─ for a while ─► may be asked
 */

/** What a tor takes to find introduction points for a head, even under load, and the word to come back. */
const patienceMs = 120_000;
/** How long a node that has not grown is left alone. */
const restMs = 600_000;

interface Own {
  readonly head: string;
  readonly node: string;
}

export class GrowRequests {
  /** Since when each is asked, and the heads that it had then. */
  readonly #asked = new Map<string, { readonly sinceMs: number; readonly heads: ReadonlySet<string> }>();
  /** Until when each is left alone. */
  readonly #resting = new Map<string, number>();

  /** What came of the asking so far, by the heads that there are now: the nodes to leave alone, and those that are new among them. */
  look(
    heads: readonly Own[],
    nowMs: number,
  ): { readonly resting: ReadonlySet<string>; readonly news: readonly string[] } {
    const news: string[] = [];
    for (const [node, untilMs] of this.#resting) if (untilMs <= nowMs) this.#resting.delete(node);
    for (const [node, { sinceMs, heads: before }] of this.#asked) {
      const own = heads.filter((one) => one.node === node);
      if (own.some(({ head }) => !before.has(head))) this.#asked.delete(node);
      else if (nowMs - sinceMs >= patienceMs) {
        this.#asked.delete(node);
        this.#resting.set(node, nowMs + restMs);
        news.push(node);
      }
    }
    return { resting: new Set(this.#resting.keys()), news };
  }

  /** Who is asked from now on. `heads` as in `look`. */
  ask(nodes: readonly string[], heads: readonly Own[], nowMs: number): void {
    for (const node of this.#asked.keys()) if (!nodes.includes(node)) this.#asked.delete(node);
    for (const node of nodes) {
      if (this.#asked.has(node)) continue;
      const own = heads.filter((one) => one.node === node).map(({ head }) => head);
      this.#asked.set(node, { sinceMs: nowMs, heads: new Set(own) });
    }
  }

  /** When it is worth looking again, milliseconds from `nowMs`; undefined while nobody is asked or left alone. */
  nextMs(nowMs: number): number | undefined {
    const due = [...[...this.#asked.values()].map(({ sinceMs }) => sinceMs + patienceMs), ...this.#resting.values()];
    return due.length === 0 ? undefined : Math.max(1_000, Math.min(...due) - nowMs);
  }

  /** Of another publisher's asking this one knows nothing. */
  clear(): void {
    this.#asked.clear();
    this.#resting.clear();
  }
}
