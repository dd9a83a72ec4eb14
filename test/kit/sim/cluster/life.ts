/**
 * One life of a daemon: a runtime that can be stopped for good (nothing of it happens any more), or made to stand still as by
 * SIGSTOP (what falls due waits), with a wall clock of its own and a disk that may be full.
 */
import {
  silentLog,
  sleepOn,
  type Clock,
  type Log,
  type LogFields,
  type Processes,
  type Random,
  type Runtime,
  type Store,
} from '../../../../core/runtime/index.ts';
import type { MemoryNet } from '../memory-net.ts';
import { ProcessTimers } from '../process-timers.ts';

/** What outlives a daemon: its machine. */
export interface Machine {
  readonly name: string;
  /** What its clocks show differs from the others' by so much. */
  readonly monotonicOffsetMs: number;
  wallOffsetMs: number;
  diskFull: boolean;
}

export type LogListener = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields) => void;

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
const full = (path: string): Error =>
  Object.assign(new Error(`ENOSPC: no space left on device, '${path}'`), { code: 'ENOSPC', path });

const noProcesses: Processes = { start: () => Promise.reject(new Error('this machine starts no process')) };

export class Life {
  readonly machine: Machine;
  readonly runtime: Runtime;
  readonly #base: Clock;
  readonly #net: MemoryNet;
  readonly #host: string;
  readonly #timers: ProcessTimers;
  readonly #atEnd: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  #state: 'up' | 'paused' | 'dead' = 'up';
  /** When it stood still last, of the world's clock. */
  stoodStill: { readonly fromMs: number; readonly toMs: number } | undefined;

  constructor(options: {
    readonly machine: Machine;
    readonly clock: Clock;
    readonly random: Random;
    readonly net: MemoryNet;
    readonly store: Store;
    readonly onLog: LogListener;
    /** None can be started without it. */
    readonly processes?: Processes | undefined;
  }) {
    const { machine, clock, random, net, store, onLog, processes = noProcesses } = options;
    this.machine = machine;
    this.#base = clock;
    this.#net = net;
    this.#host = machine.name;
    this.#timers = new ProcessTimers(clock, (work) => void this.run(work));
    const after: Clock['after'] = (delayMs, run) =>
      this.#state === 'dead' ? { cancel: () => undefined } : this.#timers.after(delayMs, run);
    this.runtime = {
      clock: {
        now: () => Math.floor(clock.now() + machine.wallOffsetMs),
        monotonic: () => clock.monotonic() + machine.monotonicOffsetMs,
        after,
        sleep: sleepOn(after),
      },
      random,
      net: net.host(machine.name),
      store: this.#guarded(store),
      processes: {
        start: (command, args) => (this.#state === 'dead' ? never() : processes.start(command, args)),
      },
      log: this.#logTo(onLog, {}),
    };
  }

  get state(): 'up' | 'paused' | 'dead' {
    return this.#state;
  }

  /** Timers set and neither run nor cancelled. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Does it now, which is told, when it goes on, or never. At most `maximumWaiting` wait. */
  run(work: () => void, maximumWaiting = Infinity): boolean {
    if (this.#state === 'up') {
      work();
      return true;
    }
    if (this.#state === 'paused' && this.#waiting.length < maximumWaiting) this.#waiting.push(work);
    return false;
  }

  pause(): void {
    if (this.#state !== 'up') return;
    this.#state = 'paused';
    this.stoodStill = { fromMs: this.#base.monotonic(), toMs: Infinity };
    this.#net.pause(this.#host);
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'up';
    this.stoodStill = { fromMs: this.stoodStill?.fromMs ?? 0, toMs: this.#base.monotonic() };
    const waiting = this.#waiting;
    this.#waiting = [];
    // One after another, each with all that follows from it, as an event loop would.
    for (const work of waiting) this.#base.after(0, () => this.run(work));
    this.#base.after(0, () => this.#net.resume(this.#host));
  }

  /** Called when it is killed. */
  atEnd(work: () => void): void {
    this.#atEnd.push(work);
  }

  kill(): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'paused') this.#net.resume(this.#host);
    this.#state = 'dead';
    this.#waiting = [];
    this.#timers.cancelAll();
    this.#net.fail(this.#host);
    for (const work of this.#atEnd.splice(0)) work();
  }

  #guarded(store: Store): Store {
    const writes = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
      if (this.#state === 'dead') return never();
      if (this.machine.diskFull) throw full(path);
      return work();
    };
    const reads = <T>(work: () => Promise<T>): Promise<T> => (this.#state === 'dead' ? never() : work());
    return {
      ...store,
      read: (path, maximumBytes) => reads(() => store.read(path, maximumBytes)),
      write: (path, data, mode) => writes(path, () => store.write(path, data, mode)),
      makeDirectory: (path, mode) => writes(path, () => store.makeDirectory(path, mode)),
      remove: (path) => reads(() => store.remove(path)),
      removeEmpty: (path) => reads(() => store.removeEmpty(path)),
      own: (path, uid) => reads(() => store.own(path, uid)),
      list: (path) => reads(() => store.list(path)),
    };
  }

  #logTo(onLog: LogListener, context: LogFields): Log {
    const at =
      (level: 'debug' | 'info' | 'warn' | 'error') =>
      (message: string, fields: LogFields = {}): void => {
        if (this.#state !== 'dead') onLog(level, message, { ...context, ...fields });
      };
    return {
      ...silentLog,
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => this.#logTo(onLog, { ...context, ...fields }),
    };
  }
}
