/** One tor process of a private network: start, ask, signal, restart, measure. */
import { ChimeraError, messageOf } from '../../../../core/errors.ts';
import type { ChildProcess, Endpoint, Runtime } from '../../../../core/runtime/index.ts';
import type { ProcessUsage, TorInstance, TorSignal } from '../network.ts';
import { askControl } from './control.ts';
import { lastLines, startProgram } from './program.ts';

const controlLimitMs = 30_000;
const pollMs = 100;
/** Linux counts process times in hundredths of a second, whatever the kernel's own tick is. */
const ticksPerSecond = 100;
const pageBytes = 4096;

export interface TorProcessOptions {
  readonly runtime: Runtime;
  /** The program, behind what it takes to run it where it is to run. */
  readonly command: readonly string[];
  readonly name: string;
  /** Holds the torrc and tor's data. */
  readonly directory: string;
  readonly control: Endpoint;
  readonly socks: Endpoint | undefined;
  /** The torrc for the next start. */
  readonly torrc: () => string;
  /** Awaited before bootstrap is looked at: the moment since when it can succeed. */
  readonly live: () => Promise<void>;
  readonly bootstrapLimitMs: number;
  /** Told when the process ends without having been killed through this object. */
  readonly died: (error: ChimeraError) => void;
}

export class TorProcess implements TorInstance {
  readonly name: string;
  readonly control: Endpoint;
  readonly socks: Endpoint | undefined;
  readonly cookiePath: string;
  readonly dataDirectory: string;
  readonly #options: TorProcessOptions;
  #child: ChildProcess | undefined;
  #running = false;
  /** Pids whose end was asked for. */
  readonly #expected = new Set<number>();

  constructor(options: TorProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.control = options.control;
    this.socks = options.socks;
    this.dataDirectory = dataDirectoryIn(options.directory);
    this.cookiePath = `${this.dataDirectory}/control_auth_cookie`;
  }

  get running(): boolean {
    return this.#running;
  }

  /** The id of the running process. */
  get pid(): number | undefined {
    return this.#running ? this.#child?.pid : undefined;
  }

  /** Starts the process without waiting for anything it does. */
  async launch(): Promise<void> {
    const { runtime, command, directory, torrc } = this.#options;
    await runtime.store.makeDirectory(this.dataDirectory);
    // An old cookie would be taken for the new process' one.
    await runtime.store.remove(this.cookiePath);
    await runtime.store.write(`${directory}/torrc`, torrc());
    const [program, ...words] = [...command, '--defaults-torrc', '/dev/null', '-f', `${directory}/torrc`];
    const child = await startProgram(runtime, program, words);
    this.#child = child;
    this.#running = true;
    void child.ended.then(() => {
      if (this.#child === child) this.#running = false;
      if (!this.#expected.delete(child.pid)) this.#options.died(this.#exited(child));
      return undefined;
    });
  }

  /** Resolves when the control port answers. */
  async answering(): Promise<void> {
    await this.#until('LAB_TOR_SILENT', 'its control port did not answer', controlLimitMs, async () => {
      await this.ask('GETINFO version');
      return true;
    });
  }

  async bootstrapped(): Promise<void> {
    await this.#options.live();
    await this.#until('LAB_BOOTSTRAP', 'it did not bootstrap', this.#options.bootstrapLimitMs, () =>
      this.isBootstrapped(),
    );
  }

  async isBootstrapped(): Promise<boolean> {
    return /PROGRESS=100\b/.test(await this.ask('GETINFO status/bootstrap-phase'));
  }

  async kill(signal: TorSignal = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (!this.#running || child === undefined) return;
    const ends = signal === 'SIGKILL' || signal === 'SIGTERM';
    if (ends) this.#expected.add(child.pid);
    child.kill(signal);
    if (ends) await child.ended;
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.launch();
    await this.answering();
  }

  async usage(): Promise<ProcessUsage | undefined> {
    const pid = this.pid;
    return pid === undefined ? undefined : processUsage(this.#options.runtime, pid);
  }

  /** One command to the control port, its reply's text. */
  ask(command: string): Promise<string> {
    return askControl(this.#options.runtime, this, command);
  }

  /** Repeats `check`, whose throwing counts as "not yet", until it gives true, the process ends or the limit passes. */
  async #until(
    code: 'LAB_TOR_SILENT' | 'LAB_BOOTSTRAP',
    what: string,
    limitMs: number,
    check: () => Promise<boolean>,
  ): Promise<void> {
    const { clock } = this.#options.runtime;
    const end = clock.monotonic() + limitMs;
    const child = this.#child;
    let reason = '';
    for (;;) {
      if (child === undefined || !this.#running) {
        throw child === undefined ? new ChimeraError(code, `tor ${this.name} was never started`) : this.#exited(child);
      }
      try {
        if (await check()) return;
        reason = '';
      } catch (error) {
        reason = ` (${messageOf(error)})`;
      }
      if (clock.monotonic() > end) {
        throw new ChimeraError(
          code,
          `tor ${this.name}: ${what} within ${limitMs / 1000} s${reason}; its last lines:\n${lastLines(child.output())}`,
          { remedy: 'Give it more processor time or a longer limit; `keep` leaves its log to be read.' },
        );
      }
      await clock.sleep(pollMs);
    }
  }

  #exited(child: ChildProcess): ChimeraError {
    return new ChimeraError(
      'LAB_TOR_EXITED',
      `tor ${this.name} has ended by itself; its last lines:\n${lastLines(child.output())}`,
      { remedy: 'Read the lines: tor names the option, file or port that it refuses.' },
    );
  }
}

export function dataDirectoryIn(directory: string): string {
  return `${directory}/data`;
}

/** What a process has used, from Linux' /proc; undefined when it is gone or there is no /proc. */
export async function processUsage(runtime: Runtime, pid: number): Promise<ProcessUsage | undefined> {
  const stat = await runtime.store.read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const text = Buffer.from(stat).toString('utf8');
  // The program's name, in parentheses, may hold anything; what follows it starts with field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentBytes: Number(fields[21]) * pageBytes,
  };
}
