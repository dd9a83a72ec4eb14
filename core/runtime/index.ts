/** The one door to the outside world: clock, chance, sockets, files, processes, log. */
import { systemClock, type Clock } from './clock.ts';
import { silentLog, type Log } from './log.ts';
import { systemNet, type Net } from './net.ts';
import { systemProcesses, type Processes } from './process.ts';
import { systemRandom, type Random } from './random.ts';
import { systemStore, type Store } from './store.ts';

export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Net;
  readonly store: Store;
  readonly processes: Processes;
  readonly log: Log;
}

/** The real world. Pass a log to hear from it. */
export function systemRuntime(log: Log = silentLog): Runtime {
  return {
    clock: systemClock,
    random: systemRandom,
    net: systemNet,
    store: systemStore,
    processes: systemProcesses,
    log,
  };
}

export * from './clock.ts';
export * from './datagrams.ts';
export * from './log.ts';
export * from './net.ts';
export * from './process.ts';
export * from './random.ts';
export * from './redis.ts';
export * from './secret-input.ts';
export * from './self.ts';
export * from './socks.ts';
export * from './state-file.ts';
export * from './store.ts';
export * from './workers.ts';
