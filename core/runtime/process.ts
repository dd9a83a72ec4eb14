/** Child processes. The only place that starts one. */
import { spawn } from 'node:child_process';

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ChildProcess {
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly ended: Promise<ProcessEnd>;
  /** The last output, stdout and stderr mixed, at most 64 KiB. */
  output(): string;
  kill(signal?: NodeJS.Signals): void;
}

export interface ProcessOptions {
  readonly cwd?: string;
  /** Variables set on top of this process' own environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What the process reads on its standard input; without it, nothing. */
  readonly input?: string;
}

export interface Processes {
  /** Starts `command` without a shell. Rejects when it cannot be started. */
  start(command: string, args: readonly string[], options?: ProcessOptions): Promise<ChildProcess>;
}

const outputLimit = 65_536;

export const systemProcesses: Processes = {
  start: (command, args, options = {}) =>
    new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        env: { ...process.env, ...options.environment },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      // A process that does not read its input may end before it is written.
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');
      let text = '';
      const keep = (chunk: Buffer): void => {
        text = (text + chunk.toString('utf8')).slice(-outputLimit);
      };
      child.stdout.on('data', keep);
      child.stderr.on('data', keep);
      const ended = new Promise<ProcessEnd>((settle) => {
        child.once('close', (code, signal) => settle({ code, signal }));
      });
      child.once('error', reject);
      child.once('spawn', () => {
        resolve({
          pid: child.pid as number,
          ended,
          output: () => text,
          kill: (signal = 'SIGTERM') => void child.kill(signal),
        });
      });
    }),
};
