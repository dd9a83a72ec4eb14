/** The publisher's own process: it dies with the soak, however that ends. */
import { systemSelf, type ChildProcess, type Runtime } from '../../../core/runtime/index.ts';
import type { ProcessUsage } from '../../kit/network/network.ts';
import { processUsage } from '../../kit/network/private/index.ts';

export interface Program {
  start(): Promise<void>;
  /** Resolves when the process has ended. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  usage(): Promise<ProcessUsage | undefined>;
  output(): string;
}

export function createProgram(runtime: Runtime, command: string, args: readonly string[], directory: string): Program {
  let child: ChildProcess | undefined;
  let release = (): void => undefined;
  return {
    start: async () => {
      const started = await runtime.processes.start(command, args, { cwd: directory });
      child = started;
      release = systemSelf.atEnd(() => ({ kill: [started.pid], remove: [] }));
      // A process id that is free again may become somebody else's.
      void started.ended.then(() => release());
    },
    stop: async (signal) => {
      child?.kill(signal);
      await child?.ended;
    },
    usage: async () => (child === undefined ? undefined : processUsage(runtime, child.pid)),
    output: () => child?.output() ?? '',
  };
}
