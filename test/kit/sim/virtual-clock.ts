/**
 * Time that passes only when told to. Timers run in the order of (time, sequence of their setting); after each one every
 * microtask and nextTick that it caused is let to run before the next, so that a seed and this clock replay a run.
 * Enter through `createVirtualClock`, then `advance` or `runUntil`.
 */
import { sleepOn, type Clock } from '../../../core/runtime/clock.ts';

export interface VirtualClock extends Clock {
  /** Runs everything that falls due within the next `durationMs`, then stands exactly that much later. */
  advance(durationMs: number): Promise<void>;
  /**
   * Runs timers one after another until `condition` holds; it is asked before the first and after each.
   * Rejects when `limitMs` of virtual time pass, or nothing is left to run, before that.
   */
  runUntil(condition: () => boolean, limitMs: number): Promise<void>;
  /** Runs timers until `promise` settles, and gives what it gives. Rejects as `runUntil` does. */
  runFor<T>(promise: Promise<T>, limitMs: number): Promise<T>;
  /** Sets the wall clock forward or back without any time passing: an operator's `date`, or a bad NTP server. */
  jump(byMs: number): void;
  /** Timers set and neither run nor cancelled. */
  readonly pending: number;
}

interface Entry {
  readonly dueMs: number;
  readonly sequence: number;
  run: (() => void) | undefined;
}

function before(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}

/** A binary heap of timers; cancelled ones stay until they come up. */
class TimerHeap {
  readonly #items: Entry[] = [];

  get first(): Entry | undefined {
    while (this.#items.length > 0 && this.#items[0]?.run === undefined) this.#removeFirst();
    return this.#items[0];
  }

  push(entry: Entry): void {
    const items = this.#items;
    let at = items.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, items[parent] as Entry)) break;
      items[at] = items[parent] as Entry;
      at = parent;
    }
    items[at] = entry;
  }

  #removeFirst(): void {
    const items = this.#items;
    const last = items.pop() as Entry;
    if (items.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && before(items[child + 1] as Entry, items[child] as Entry)) child += 1;
      if (!before(items[child] as Entry, last)) break;
      items[at] = items[child] as Entry;
      at = child;
    }
    items[at] = last;
  }
}

/** One turn of the event loop: whatever was ready to run has run. The kit's only use of a real timer. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A clock that stands at `startMs` (Unix milliseconds) until it is advanced. */
export function createVirtualClock(startMs = Date.UTC(2026, 0, 1)): VirtualClock {
  const heap = new TimerHeap();
  let elapsedMs = 0;
  let wallOffsetMs = startMs;
  let sequence = 0;
  let pending = 0;
  let running = false;

  const after: Clock['after'] = (delayMs, run) => {
    const entry: Entry = { dueMs: elapsedMs + Math.max(0, delayMs), sequence: sequence++, run };
    heap.push(entry);
    pending += 1;
    return {
      cancel: () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        pending -= 1;
      },
    };
  };

  /** What it causes has run only after the next turn of the event loop. */
  function runNext(untilMs: number): boolean {
    const entry = heap.first;
    if (entry === undefined || entry.dueMs > untilMs) return false;
    const run = entry.run as () => void;
    entry.run = undefined;
    pending -= 1;
    elapsedMs = Math.max(elapsedMs, entry.dueMs);
    run();
    return true;
  }

  async function exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (running) throw new Error('the virtual clock is already being advanced');
    running = true;
    try {
      await settle();
      return await work();
    } finally {
      running = false;
    }
  }

  const clock: VirtualClock = {
    now: () => Math.floor(wallOffsetMs + elapsedMs),
    monotonic: () => elapsedMs,
    after,
    sleep: sleepOn(after),
    advance: (durationMs) =>
      exclusively(async () => {
        const untilMs = elapsedMs + durationMs;
        while (runNext(untilMs)) await settle();
        elapsedMs = untilMs;
      }),
    runUntil: (condition, limitMs) =>
      exclusively(async () => {
        const untilMs = elapsedMs + limitMs;
        while (!condition()) {
          if (runNext(untilMs)) {
            await settle();
            continue;
          }
          throw new Error(
            pending === 0
              ? 'nothing is left to run, and the condition does not hold'
              : `the condition does not hold after ${limitMs} ms of virtual time`,
          );
        }
      }),
    runFor: async (promise, limitMs) => {
      let settled = false;
      const mark = (): void => {
        settled = true;
      };
      promise.then(mark, mark);
      await clock.runUntil(() => settled, limitMs);
      return await promise;
    },
    jump: (byMs) => {
      wallOffsetMs += byMs;
    },
    get pending() {
      return pending;
    },
  };
  return clock;
}
