/**
 * The life of one simulated process: all that it does goes through `run` and `after`, so that it can be frozen as by
 * SIGSTOP (what falls due waits for SIGCONT) and killed (nothing of it happens any more).
 */
import type { Clock, Timer } from '../../../../core/runtime/index.ts';
import { ProcessTimers } from '../../sim/process-timers.ts';

export class SimulatedProcess {
  readonly #timers: ProcessTimers;
  readonly #atEnd = new Set<() => void>();
  #frozen = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#timers = new ProcessTimers(clock, (work) => this.run(work));
  }

  get ended(): boolean {
    return this.#ended;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Does `work` now; after the thaw when frozen; never when ended. */
  run(work: () => void): void {
    if (this.#ended) return;
    if (this.#frozen) this.#waiting.push(work);
    else work();
  }

  after(delayMs: number, work: () => void): Timer {
    if (this.#ended) return { cancel: () => undefined };
    return this.#timers.after(delayMs, work);
  }

  /** Called once when the process ends, in order of registration. Returns the unsubscriber. */
  atEnd(release: () => void): () => void {
    this.#atEnd.add(release);
    return () => this.#atEnd.delete(release);
  }

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    while (this.#waiting.length > 0 && !this.#frozen && !this.#ended) this.#waiting.shift()?.();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = [];
    this.#timers.cancelAll();
    for (const release of this.#atEnd) release();
    this.#atEnd.clear();
  }
}
