/**
 * Starts authorities and relays, then clients and heads as asked, follows the network until onion services work, and
 * leaves nothing behind.
 */
import { ChimeraError } from '../../../../core/errors.ts';
import { formatEndpoint, systemSelf, type Endpoint, type Runtime, type Self } from '../../../../core/runtime/index.ts';
import type { AddTorOptions, TorInstance, TorNetwork, TorrcOptions } from '../network.ts';
import { makeAuthorityKeys } from './authority-keys.ts';
import { bringUp } from './bootstrap.ts';
import { freePorts } from './ports.ts';
import { TorProcess, dataDirectoryIn } from './tor-process.ts';
import {
  authorityOptions,
  commonOptions,
  relayOptions,
  torrcText,
  type AuthorityFacts,
  votingSeconds,
} from './torrc.ts';
import { makeWorkspace } from './workspace.ts';

/** A machine beside this one, with its own network and the same files: a network namespace. */
export interface Machine {
  /** IPv4, on a network that all machines share. */
  readonly address: string;
  /** What a command line begins with to run there: `ip netns exec NAME`. */
  readonly enter: readonly string[];
}

export interface PrivateNetworkOptions {
  /** Where authorities and relays run; this machine's loopback unless told otherwise. */
  readonly machine?: Machine;
  /** Default 3. */
  readonly authorities?: number;
  /** Beside the authorities; every relay is an HSDir. Default 5; 17 give the 20 HSDirs that placement needs. */
  readonly relays?: number;
  /** More torrc options for every tor of the network. */
  readonly config?: TorrcOptions;
  /** The program, by name or path. Default `tor`. */
  readonly tor?: string;
  /** How long `ready` waits for a consensus with every relay. Default 120 s. */
  readonly consensusLimitMs?: number;
  /** How long a tor may take to bootstrap after that. Default 120 s. */
  readonly bootstrapLimitMs?: number;
  /** Leaves the directory with every torrc and log. Default false. */
  readonly keep?: boolean;
  readonly progress?: (text: string) => void;
  /** Gives up the start, and stops the network, when aborted. */
  readonly signal?: AbortSignal;
}

export interface AddPrivateTorOptions extends AddTorOptions {
  /** Where it runs; its control and SOCKS ports are unix sockets then, which can be reached from everywhere. */
  readonly machine?: Machine;
}

export interface PrivateTor extends TorInstance {
  readonly cookiePath: string;
  /** The id of its process while it runs. */
  readonly pid: number | undefined;
  /** One question at its control port, and the answer's text. Rejects when tor refuses it. */
  ask(command: string): Promise<string>;
}

export interface PrivateNetwork extends TorNetwork {
  readonly kind: 'real';
  addTor(options: AddPrivateTorOptions): Promise<PrivateTor>;
  /** The authorities and relays. */
  readonly relays: readonly PrivateTor[];
  readonly directory: string;
  /** The ids of all running processes of the network. */
  readonly pids: readonly number[];
}

const loopback = '127.0.0.1';

/** Resolves when authorities and relays have been started; `ready()` waits until they work. */
export async function startPrivateNetwork(
  runtime: Runtime,
  options: PrivateNetworkOptions = {},
  self: Self = systemSelf,
): Promise<PrivateNetwork> {
  const directory = await makeWorkspace(runtime, self);
  const network = new Network(runtime, self, options, directory);
  const onAbort = (): void => void network.stop();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await network.start();
    options.signal?.throwIfAborted();
    return network;
  } catch (error) {
    await network.stop();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

class Network implements PrivateNetwork {
  readonly kind = 'real';
  readonly votingSeconds = votingSeconds;
  readonly hsdirCount: number;
  readonly directory: string;
  readonly relays: TorProcess[] = [];
  readonly tors: TorProcess[] = [];
  readonly #runtime: Runtime;
  readonly #self: Self;
  readonly #options: PrivateNetworkOptions;
  readonly #authorityCount: number;
  readonly #listeners = new Set<(text: string) => void>();
  readonly #startedAtMs: number;
  readonly #release: () => void;
  #authorities: AuthorityFacts[] = [];
  #live: Promise<void> | undefined;
  #isLive = false;
  #failure: ChimeraError | undefined;
  #stopped: Promise<void> | undefined;

  constructor(runtime: Runtime, self: Self, options: PrivateNetworkOptions, directory: string) {
    this.#runtime = runtime;
    this.#self = self;
    this.#options = options;
    this.directory = directory;
    this.#authorityCount = options.authorities ?? 3;
    this.hsdirCount = this.#authorityCount + (options.relays ?? 5);
    this.#startedAtMs = runtime.clock.monotonic();
    if (options.progress) this.#listeners.add(options.progress);
    this.#release = self.atEnd(() => ({
      kill: this.pids,
      remove: options.keep ? [] : [directory],
    }));
  }

  async start(): Promise<void> {
    const ports = await freePorts(this.#runtime, this.#authorityCount + 2 * this.hsdirCount);
    const port = (): number => ports.pop() as number;
    const { machine } = this.#options;
    const address = machine?.address ?? loopback;
    this.#tell(`making the keys of ${this.#authorityCount} authorities`);
    this.#authorities = await Promise.all(
      Array.from({ length: this.#authorityCount }, (_, index) => {
        const name = `auth${index}`;
        return makeAuthorityKeys(this.#runtime, this.#command, dataDirectoryIn(this.#home(name)), {
          name,
          address,
          orPort: port(),
          dirPort: port(),
        });
      }),
    );
    this.#refuseWhenStopped();
    this.#tell(`starting ${this.#authorityCount} authorities and ${this.hsdirCount - this.#authorityCount} relays`);
    for (const authority of this.#authorities) {
      const { name, orPort, dirPort } = authority;
      const options = [relayOptions(name, address, orPort), authorityOptions(address, dirPort)];
      const control = this.#door(name, 'control', port(), machine);
      this.relays.push(this.#process({ name, control, machine, options: () => options, essential: true }));
    }
    for (let index = 0; index < this.hsdirCount - this.#authorityCount; index++) {
      const name = `relay${index}`;
      const options = [relayOptions(name, address, port())];
      const control = this.#door(name, 'control', port(), machine);
      this.relays.push(this.#process({ name, control, machine, options: () => options, essential: true }));
    }
    // Authorities first: a relay uploads its descriptor once, as soon as it is up.
    for (const relay of this.relays) {
      await relay.launch();
      this.#refuseWhenStopped();
    }
  }

  async addTor({ name, socks = false, config = {}, machine }: AddPrivateTorOptions): Promise<PrivateTor> {
    this.#refuseWhenStopped();
    const [controlPort, socksPort] = (await freePorts(this.#runtime, 2)) as [number, number];
    const endpoint = socks ? this.#door(name, 'socks', socksPort, machine) : undefined;
    // A client that looks for a consensus before there is one backs off, and then misses its coming by many seconds.
    const held: TorrcOptions = { DisableNetwork: '1' };
    const socksPortOption: TorrcOptions = endpoint === undefined ? {} : { SocksPort: formatEndpoint(endpoint) };
    const tor = this.#process({
      name,
      control: this.#door(name, 'control', controlPort, machine),
      socks: endpoint,
      machine,
      options: () => [socksPortOption, config, this.#isLive ? {} : held],
      essential: false,
    });
    this.tors.push(tor);
    await tor.launch();
    await tor.answering();
    void this.#becomeLive()
      .then(
        () => ('DisableNetwork' in config ? undefined : tor.ask('SETCONF DisableNetwork=0')),
        () => undefined,
      )
      .catch(() => undefined);
    return tor;
  }

  async ready(progress?: (text: string) => void): Promise<void> {
    if (progress) this.#listeners.add(progress);
    try {
      await this.#becomeLive();
      await Promise.all(this.tors.filter((tor) => tor.running).map((tor) => tor.bootstrapped()));
      if (this.tors.length > 0) this.#tell(`bootstrapped: ${this.tors.map((tor) => tor.name).join(', ')}`);
    } finally {
      if (progress) this.#listeners.delete(progress);
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    await Promise.all(this.#all().map((tor) => tor.kill()));
    if (!this.#options.keep) await this.#runtime.store.remove(this.directory);
    this.#release();
    this.#tell(this.#options.keep ? `stopped; left ${this.directory}` : 'stopped');
  }

  get pids(): number[] {
    return this.#all()
      .map((tor) => tor.pid)
      .filter((pid) => pid !== undefined);
  }

  get #command(): string {
    return this.#options.tor ?? 'tor';
  }

  #all(): TorProcess[] {
    return [...this.relays, ...this.tors];
  }

  #home(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** A port on loopback, or where that is another machine's, a unix socket. */
  #door(name: string, what: string, port: number, machine: Machine | undefined): Endpoint {
    if (machine === undefined) return { host: loopback, port };
    return { path: `${dataDirectoryIn(this.#home(name))}/${what}.sock` };
  }

  #process(one: {
    readonly name: string;
    readonly control: Endpoint;
    readonly socks?: Endpoint | undefined;
    readonly machine: Machine | undefined;
    readonly options: () => readonly TorrcOptions[];
    readonly essential: boolean;
  }): TorProcess {
    const { name, control, socks, machine, options, essential } = one;
    const directory = this.#home(name);
    return new TorProcess({
      runtime: this.#runtime,
      command: [...(machine?.enter ?? []), this.#command],
      name,
      directory,
      control,
      socks,
      torrc: () =>
        torrcText(
          commonOptions(dataDirectoryIn(directory), control, this.#authorities, this.#self.pid),
          this.#options.config ?? {},
          ...options(),
        ),
      live: () => this.#becomeLive(),
      bootstrapLimitMs: this.#options.bootstrapLimitMs ?? 120_000,
      died: (error) => {
        if (this.#stopped) return;
        if (essential) this.#failure ??= error;
        this.#tell(`tor ${name} has ended by itself`);
      },
    });
  }

  #becomeLive(): Promise<void> {
    this.#live ??= this.#bringUp();
    return this.#live;
  }

  async #bringUp(): Promise<void> {
    await bringUp({
      clock: this.#runtime.clock,
      authorities: this.relays.slice(0, this.#authorityCount),
      relays: this.relays,
      limitMs: this.#options.consensusLimitMs ?? 120_000,
      check: () => {
        if (this.#failure) throw this.#failure;
        this.#refuseWhenStopped();
      },
      tell: (text) => this.#tell(text),
    });
    this.#isLive = true;
  }

  #refuseWhenStopped(): void {
    if (!this.#stopped) return;
    throw new ChimeraError('LAB_STOPPED', 'the private Tor network has been stopped', {
      remedy: 'Start another one.',
    });
  }

  #tell(text: string): void {
    const seconds = ((this.#runtime.clock.monotonic() - this.#startedAtMs) / 1000).toFixed(1);
    for (const listener of this.#listeners) listener(`${seconds} s: ${text}`);
  }
}
