/**
 * The life of one simulated process: all that it does goes through `run` and `after`, so that it can be frozen as by
 * SIGSTOP (what falls due waits for SIGCONT) and killed (nothing of it happens any more).
 */
import type { Clock, Timer } from '../../../../core/runtime/index.ts';

export class SimulatedProcess {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();
  readonly #atEnd = new Set<() => void>();
  #frozen = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
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
    let cancelled = false;
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer);
      this.run(() => {
        if (!cancelled) work();
      });
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        cancelled = true;
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
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
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const release of this.#atEnd) release();
    this.#atEnd.clear();
  }
}
