/** One `chimera run` on a machine of its own: what it logs, with the time of its arrival here; signals; its end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemClock, systemSelf } from '../../../core/runtime/index.ts';

const main = fileURLToPath(new URL('../../../dist/core/cli/main.js', import.meta.url));

/** A line of the log with `log.format = "json"`. */
export interface NodeLine {
  /** On this process' monotonic clock. */
  readonly atMs: number;
  readonly message: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface NodeProcess {
  readonly name: string;
  /** The node's id, which its key gives. */
  readonly id: string;
  readonly running: boolean;
  readonly lines: readonly NodeLine[];
  start(): void;
  /** Resolves when the process has ended, for SIGKILL and SIGTERM. */
  signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Called with each line as it comes. Returns the unsubscriber. */
  onLine(listener: (line: NodeLine) => void): () => void;
  /** The end of its log, for a failed run. */
  tail(): string;
}

const keptLines = 20_000;

/** With `logDirectory` what it says is written there too, to NAME.log. */
export function createNodeProcess(
  name: string,
  id: string,
  enter: readonly string[],
  configPath: string,
  logDirectory?: string,
): NodeProcess {
  const lines: NodeLine[] = [];
  const listeners = new Set<(line: NodeLine) => void>();
  let child: ChildProcess | undefined;
  let ended = Promise.resolve();
  let running = false;
  let release = (): void => undefined;

  const take = (text: string): void => {
    let line: NodeLine;
    try {
      line = { message: text, level: 'raw', ...(JSON.parse(text) as object), atMs: systemClock.monotonic() };
    } catch {
      line = { message: text, level: 'raw', atMs: systemClock.monotonic() };
    }
    lines.push(line);
    if (lines.length > keptLines) lines.shift();
    for (const listener of listeners) listener(line);
  };

  return {
    name,
    id,
    lines,
    get running() {
      return running;
    },
    start: () => {
      const [command, ...words] = [...enter, process.execPath, main, 'run', '--config', configPath];
      const started = spawn(command, words, {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, NO_COLOR: '1' },
      });
      child = started;
      running = true;
      release = systemSelf.atEnd(() => ({ kill: started.pid === undefined ? [] : [started.pid], remove: [] }));
      let rest = '';
      started.stderr.on('data', (chunk: Buffer) => {
        const parts = (rest + chunk.toString()).split('\n');
        rest = parts.pop() ?? '';
        if (logDirectory !== undefined)
          appendFileSync(`${logDirectory}/${name}.log`, parts.map((part) => `${part}\n`).join(''));
        for (const part of parts) take(part);
      });
      ended = new Promise((resolve) => {
        started.once('close', () => {
          running = false;
          release();
          resolve();
        });
      });
    },
    signal: async (signal) => {
      child?.kill(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await ended;
    },
    onLine: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tail: () =>
      lines
        .slice(-40)
        .map(({ atMs, ...line }) => `${(atMs / 1_000).toFixed(1)} ${JSON.stringify(line)}`)
        .join('\n'),
  };
}
