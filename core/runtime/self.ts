/** This process itself: its id, its environment, and what must not outlive it. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** What must be gone when this process is. */
export interface Leftovers {
  /** Processes to kill with SIGKILL; ids that are gone already are fine. */
  readonly kill: readonly number[];
  /** Files and directories to remove after that. */
  readonly remove: readonly string[];
}

export interface Self {
  readonly pid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The directory for temporary files. */
  readonly temporaryDirectory: string;
  /** True when a process with this id exists, whoever owns it. */
  alive(pid: number): boolean;
  /**
   * Cleans up when this process ends in any way that it can notice: exit, an uncaught error, and SIGINT, SIGTERM or
   * SIGHUP when nothing else in the process listens for them. `leftovers` is asked at that moment.
   * The function returned takes the order back.
   */
  atEnd(leftovers: () => Leftovers): () => void;
}

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const orders = new Set<() => Leftovers>();

function cleanUp(): void {
  for (const leftovers of orders) {
    const { kill, remove } = leftovers();
    for (const pid of kill) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    for (const path of remove) {
      try {
        // A process just killed may still be writing; a few retries outlast it.
        rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
      } catch {
        // The process is ending: there is nobody left to tell.
      }
    }
  }
  orders.clear();
}

function onSignal(signal: NodeJS.Signals): void {
  // Somebody else decides what the signal means; if that is to exit, the exit handler runs.
  if (process.listenerCount(signal) > 1) return;
  cleanUp();
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}

export const systemSelf: Self = {
  pid: process.pid,
  environment: process.env,
  temporaryDirectory: tmpdir(),

  alive: (pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM';
    }
  },

  atEnd: (leftovers) => {
    if (orders.size === 0) {
      process.on('exit', cleanUp);
      for (const signal of endSignals) process.on(signal, onSignal);
    }
    orders.add(leftovers);
    return () => {
      if (!orders.delete(leftovers) || orders.size > 0) return;
      process.off('exit', cleanUp);
      for (const signal of endSignals) process.off(signal, onSignal);
    };
  },
};
