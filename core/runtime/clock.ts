/** Time. The only place that reads a clock or sets a timer; simulations pass a virtual one. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. For what leaves the machine or is read by people, never for durations. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. For durations and leases. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`. */
  after(delayMs: number, run: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when aborted before. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Builds a clock's `sleep` on its `after`. */
export function sleepOn(after: Clock['after']): Clock['sleep'] {
  return (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        timer.cancel();
        reject(signal?.reason as Error);
      };
      const timer = after(delayMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
}

const after: Clock['after'] = (delayMs, run) => {
  // Node's timers overflow beyond 2^31-1 ms and would fire at once.
  const handle = setTimeout(run, Math.min(Math.max(0, delayMs), 0x7fff_ffff));
  return { cancel: () => clearTimeout(handle) };
};

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after,
  sleep: sleepOn(after),
};

/**
 * Runs `work` with a signal that aborts after `limitMs`, or when `outer` does.
 * Rejects with `late()` when the limit passes first, even if `work` ignores its signal.
 */
export async function withDeadline<T>(
  clock: Clock,
  limitMs: number,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  let stop: (error: Error) => void = () => undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = (error) => {
      controller.abort(error);
      reject(error);
    };
  });
  stopped.catch(() => undefined);
  const onOuter = (): void => stop(outer?.reason as Error);
  const timer = clock.after(limitMs, () => stop(late()));
  if (outer?.aborted) onOuter();
  else outer?.addEventListener('abort', onOuter, { once: true });
  try {
    return await Promise.race([work(controller.signal), stopped]);
  } finally {
    timer.cancel();
    outer?.removeEventListener('abort', onOuter);
  }
}

/** Unix seconds for people to read: `2026-11-21 04:30:00 UTC`. Times beyond what a date can hold stay a number. */
export function formatTime(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  if (Number.isNaN(date.getTime())) return `${unixSeconds} s`;
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
