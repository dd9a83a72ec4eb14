/**
 * One cycle at a time. Requests that come while a cycle runs, or before it has begun, are answered together by the next one.
 */

export interface CycleQueue<Result> {
  /** Asks for a cycle; resolves with the result of the one that answers this request. */
  request(reason: string): Promise<Result>;
  /** Refuses further requests, rejects those that wait, and resolves when the running cycle has ended. */
  close(error: Error): Promise<void>;
  readonly running: boolean;
}

interface Waiting<Result> {
  readonly reasons: Set<string>;
  readonly promise: Promise<Result>;
  settle(result: Promise<Result>): void;
  fail(error: Error): void;
}

function createWaiting<Result>(): Waiting<Result> {
  let resolve: (result: Promise<Result>) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<Result>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  promise.catch(() => undefined);
  return { reasons: new Set(), promise, settle: (result) => resolve(result), fail: (error) => reject(error) };
}

/** `run` must not reject for reasons of the cycle itself; a rejection reaches the requesters. */
export function createCycleQueue<Result>(run: (reasons: readonly string[]) => Promise<Result>): CycleQueue<Result> {
  let waiting: Waiting<Result> | undefined;
  let active: Promise<unknown> | undefined;
  let closed: Error | undefined;

  const pump = async (): Promise<void> => {
    while (waiting !== undefined) {
      const batch = waiting;
      waiting = undefined;
      const result = (async () => run([...batch.reasons]))();
      batch.settle(result);
      await result.catch(() => undefined);
    }
    active = undefined;
  };

  return {
    request: (reason) => {
      if (closed !== undefined) return Promise.reject(closed);
      waiting ??= createWaiting();
      waiting.reasons.add(reason);
      const { promise } = waiting;
      // A microtask later, so that the signals of one event end in one cycle.
      active ??= Promise.resolve().then(pump);
      return promise;
    },
    close: async (error) => {
      closed = error;
      waiting?.fail(error);
      waiting = undefined;
      await active;
    },
    get running() {
      return active !== undefined;
    },
  };
}
