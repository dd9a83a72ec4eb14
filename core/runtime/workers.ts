/** Threads of this process that do pieces of work. The only place that starts one. */
import { availableParallelism } from 'node:os';
import { parentPort, Worker } from 'node:worker_threads';
import { ChimeraError, isChimeraError, type ErrorCode } from '../errors.ts';

export const processors = (): number => availableParallelism();

export interface WorkOptions<Result> {
  /** How many threads at once. */
  readonly threads: number;
  /** Called as results come, in any order. */
  readonly done?: (result: Result, index: number) => void;
  readonly signal?: AbortSignal;
}

/** An error does not survive the copy as what it is. */
interface SentError {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly remedy: string | undefined;
}

type Answer<Result> = { readonly result: Result } | { readonly error: SentError };

function sent(error: unknown): SentError {
  if (isChimeraError(error)) return { code: error.code, message: error.message, remedy: error.remedy };
  return {
    code: undefined,
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    remedy: undefined,
  };
}

function received({ code, message, remedy }: SentError): Error {
  if (code === undefined) return new Error(message);
  return new ChimeraError(code, message, remedy === undefined ? {} : { remedy });
}

/** Sources run under tsx, which does not reach into threads by itself; built code needs nothing. */
function start(module: URL): Worker {
  if (!module.pathname.endsWith('.ts')) return new Worker(module);
  const load = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); })`;
  return new Worker(load, { eval: true });
}

/**
 * Gives `jobs` to threads that run `module`, which calls `serveJobs`, and resolves with the results in the order of the jobs.
 * Jobs and results are copied (structured clone). Rejects with the first job's error, or the signal's reason; then no thread is left.
 */
export async function runJobs<Result>(
  module: URL,
  jobs: readonly unknown[],
  { threads, done, signal }: WorkOptions<Result>,
): Promise<Result[]> {
  signal?.throwIfAborted();
  const results: Result[] = [];
  let next = 0;
  const workers = new Set<Worker>();
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = start(module);
      workers.add(worker);
      let at = -1;
      const give = (): void => {
        at = next++;
        if (at < jobs.length) worker.postMessage(jobs[at], []);
        else resolve();
      };
      worker.on('message', (answer: Answer<Result>) => {
        if ('error' in answer) {
          reject(received(answer.error));
          return;
        }
        results[at] = answer.result;
        done?.(answer.result, at);
        give();
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`a worker thread ended with ${code}`)));
      give();
    });
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
  });
  try {
    const all = Array.from({ length: Math.min(threads, jobs.length) }, work);
    await Promise.race([Promise.all(all), aborted]);
    return results;
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all([...workers].map((worker) => worker.terminate()));
  }
}

/** In a thread: answers each job. Does nothing in the main thread. */
export function serveJobs(handle: (job: never) => Promise<unknown>): void {
  const port = parentPort;
  port?.on('message', (job: unknown) => {
    handle(job as never).then(
      (result) => port.postMessage({ result }, []),
      (error: unknown) => port.postMessage({ error: sent(error) }, []),
    );
  });
}
