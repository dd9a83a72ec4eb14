/** A simulated tor as a lab or a test meets it: control port, SOCKS port, a data directory, and signals. */
import type { Endpoint } from '../../../../core/runtime/index.ts';
import type { ProcessUsage, TorInstance, TorSignal } from '../network.ts';
import { TorRun, type TorRunOptions } from './tor-run.ts';

export class EmbeddedTor implements TorInstance {
  readonly name: string;
  readonly dataDirectory: string;
  readonly #options: (runIndex: number) => Omit<TorRunOptions, 'control' | 'socks'>;
  #control: Endpoint;
  #socks: Endpoint | undefined;
  #cookiePath: string | undefined;
  #run: TorRun | undefined;
  #runs = 0;

  constructor(
    options: (runIndex: number) => Omit<TorRunOptions, 'control' | 'socks'>,
    control: Endpoint,
    socks: Endpoint | undefined,
  ) {
    const { name, dataDirectory } = options(0);
    this.name = name;
    this.dataDirectory = dataDirectory;
    this.#options = options;
    this.#control = control;
    this.#socks = socks;
  }

  get control(): Endpoint {
    return this.#control;
  }

  get socks(): Endpoint | undefined {
    return this.#socks;
  }

  get cookiePath(): string | undefined {
    return this.#cookiePath;
  }

  get running(): boolean {
    return this.#run !== undefined && !this.#run.process.ended;
  }

  /** The run under way, for the network that it is a part of. */
  get run(): TorRun | undefined {
    return this.running ? this.#run : undefined;
  }

  async start(): Promise<void> {
    const run = await TorRun.start({ ...this.#options(this.#runs++), control: this.#control, socks: this.#socks });
    this.#run = run;
    // Ports that the system chose are kept over restarts.
    this.#control = run.control;
    this.#socks = run.socks;
    this.#cookiePath = run.cookiePath;
  }

  async bootstrapped(): Promise<void> {
    await this.run?.bootstrapped();
  }

  async kill(signal: TorSignal = 'SIGKILL'): Promise<void> {
    const { run } = this;
    if (run === undefined) return;
    if (signal === 'SIGSTOP') run.process.freeze();
    else if (signal === 'SIGCONT') run.process.thaw();
    else await run.end();
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async usage(): Promise<ProcessUsage | undefined> {
    return undefined;
  }
}
