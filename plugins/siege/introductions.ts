/**
 * How many introductions came to one head: what tor's events show as circuits, and what only its MetricsPort counts. Both
 * sources tell of most of them, each at a moment of its own, so it is their sums that are compared, not what is new in each.
 */
import type { ServiceCounts } from './metrics.ts';

/** No tor takes more between two samples: a sum that jumps so far is of another tor. */
const mostAtOnce = 1e6;

export class IntroductionCount {
  /** Since the MetricsPort was read first: circuits seen, and introductions told. */
  #circuits = 0;
  #told = 0;
  /** What the MetricsPort said then. */
  #base: number | undefined;
  #last = 0;

  /** tor has launched a rendezvous circuit. */
  seen(): void {
    this.#circuits++;
  }

  /** Introductions since the last call; `counts` of the MetricsPort where there is one. */
  take(counts: ServiceCounts | undefined): number {
    const total = counts === undefined ? undefined : counts.introductions + counts.rejected;
    if (total === undefined || this.#base === undefined || total < this.#last || total - this.#last > mostAtOnce) {
      const fresh = Math.max(0, this.#circuits - this.#told);
      this.#circuits = 0;
      this.#told = 0;
      this.#base = total;
      this.#last = total ?? 0;
      return fresh;
    }
    this.#last = total;
    const known = Math.max(this.#circuits, total - this.#base);
    const fresh = known - this.#told;
    this.#told = known;
    return Math.max(0, fresh);
  }
}
