/** The real command as a process: in a temporary directory of its own, run with files of its own. Enter at `buildCommand`. */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const root = resolve(import.meta.dirname, '../../..');

export interface Ended {
  /** 128 and more for a signal that nobody handled. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A line of `chimera run`'s log with `log.format = "json"`. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly error?: { readonly code?: string; readonly message: string; readonly remedy?: string };
  readonly [field: string]: unknown;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Everything on standard error so far. */
  err(): string;
  lines(): LogLine[];
  /** Resolves once its standard output has this text; rejects when the process ends without. */
  said(text: string): Promise<void>;
  /** Resolves at the first line that fits, of all that were (but for the first `after`) and will be; rejects when the process ends without one. */
  line(fits: (line: LogLine) => boolean, after?: number): Promise<LogLine>;
  kill(signal: NodeJS.Signals): void;
  /** Goes away as the reader of its standard error, as `| head` does. */
  stopReading(): void;
}

export interface Command {
  /**
   * Runs it. `deprived` takes the right to ignore file modes from root; `descriptor` is what it can read from file descriptor 3;
   * `environment` goes over this process' own; `enter` is what the command line begins with, to run it on another machine.
   */
  start(
    args: readonly string[],
    options?: {
      readonly deprived?: boolean;
      readonly cwd?: string;
      readonly descriptor?: string;
      readonly environment?: Readonly<Record<string, string>>;
      readonly enter?: readonly string[];
    },
  ): Running;
  /** Ends what still runs and removes the build. */
  remove(): Promise<void>;
}

const signals: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 };

function parsed(line: string): LogLine[] {
  if (!line.startsWith('{')) return [];
  return [JSON.parse(line) as LogLine];
}

const built = join(root, 'dist');
const sources = ['core', 'plugins', 'strategies', 'presets', 'test/kit', 'tsconfig.json', 'tsconfig.build.json'];

/** When the newest of the files below a path was written, Unix milliseconds. */
function newestOf(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(found.mtimeMs, ...readdirSync(path).map((name) => newestOf(join(path, name))));
}

/** Whether the repository's own build is of its sources as they are: `npm test` and `npm run test:real` begin with one. */
function isBuilt(): boolean {
  const main = join(built, 'core/cli/main.js');
  return existsSync(main) && statSync(main).mtimeMs > Math.max(...sources.map((name) => newestOf(join(root, name))));
}

/** A copy of the command as it is built, or is compiled here. Its dependencies are those of this repository. */
export function buildCommand(): Command {
  const directory = mkdtempSync(join(tmpdir(), 'chimera-newcomer-build-'));
  const compiler = join(root, 'node_modules/.bin/tsc');
  const own = join(directory, 'dist');
  if (isBuilt()) cpSync(built, own, { recursive: true });
  else execFileSync(compiler, ['-p', join(root, 'tsconfig.build.json'), '--outDir', own]);
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  cpSync(join(root, 'package.json'), join(directory, 'package.json'));
  const main = join(directory, 'dist/core/cli/main.js');
  const running = new Set<{ readonly kill: (signal: NodeJS.Signals) => void; readonly ended: Promise<Ended> }>();

  const start: Command['start'] = (args, { deprived = false, cwd, descriptor, environment, enter = [] } = {}) => {
    const deprive = deprived && process.getuid?.() === 0;
    const command = [...enter, process.execPath, main, ...args];
    const whole = deprive ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all', ...command] : command;
    const child = spawn(whole[0] as string, whole.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe', descriptor === undefined ? 'ignore' : 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...environment },
      ...(cwd === undefined ? {} : { cwd }),
    }) as ChildProcessByStdio<null, Readable, Readable>;
    if (descriptor !== undefined) (child.stdio[3] as unknown as Writable).end(descriptor);
    let out = '';
    let err = '';
    let over = false;
    const listeners = new Set<() => void>();
    const tell = (): void => {
      for (const listener of listeners) listener();
    };
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      tell();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
      tell();
    });
    const ended = new Promise<Ended>((done, failed) => {
      child.once('error', failed);
      child.once('close', (code, signal) => {
        over = true;
        done({ code: code ?? signals[signal ?? ''] ?? 128, out, err });
        tell();
      });
    });
    const lines = (): LogLine[] => err.split('\n').slice(0, -1).flatMap(parsed);
    /** Asked again whenever the process says something; rejects when it ends without an answer. */
    const until = <T>(find: () => T | undefined, what: string): Promise<T> =>
      new Promise((found, failed) => {
        const look = (): void => {
          const answer = find();
          if (answer === undefined && !over) return;
          listeners.delete(look);
          if (answer !== undefined) found(answer);
          else failed(new Error(`it ended without ${what}:\n${err}`));
        };
        listeners.add(look);
        look();
      });
    const self: Running = {
      pid: child.pid as number,
      ended,
      err: () => err,
      lines,
      said: async (text) => void (await until(() => out.includes(text) || undefined, `saying ${text}`)),
      line: (fits, after = 0) => until(() => lines().slice(after).find(fits), 'that line'),
      kill: (signal) => void child.kill(signal),
      stopReading: () => void child.stderr.destroy(),
    };
    running.add(self);
    void ended.finally(() => running.delete(self));
    return self;
  };

  return {
    start,
    remove: async () => {
      const left = [...running];
      for (const one of left) one.kill('SIGKILL');
      await Promise.all(left.map((one) => one.ended));
      rmSync(directory, { recursive: true });
    },
  };
}
