/** The timers of a simulated process: what falls due runs as the process says (now, later, never), and all end with it. */
import type { Clock, Timer } from '../../../core/runtime/index.ts';

export class ProcessTimers {
  readonly #clock: Clock;
  readonly #run: (work: () => void) => void;
  readonly #timers = new Set<Timer>();

  /** `run` does its work, or keeps it until the process goes on. */
  constructor(clock: Clock, run: (work: () => void) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Set and neither run nor cancelled. */
  get size(): number {
    return this.#timers.size;
  }

  after(delayMs: number, work: () => void): Timer {
    let cancelled = false;
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer);
      // It may be cancelled while the process stands still.
      this.#run(() => {
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

  cancelAll(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}
