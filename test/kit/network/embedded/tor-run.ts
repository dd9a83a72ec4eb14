/** One life of a simulated tor, from its start to its end: everything that a real one keeps in memory. */
import type { Duplex } from 'node:stream';
import type { OnionAddress } from '../../../../core/onion/index.ts';
import type { Endpoint, Listener, Log, Net, Random, Store } from '../../../../core/runtime/index.ts';
import { formatEndpoint, parseEndpoint } from '../../../../core/runtime/index.ts';
import type { TorrcOptions } from '../network.ts';
import { bootstrapStatus, bootstrapSteps } from './bootstrap.ts';
import { CircuitTable } from './circuits.ts';
import { OnionClient } from './client.ts';
import { Configuration, type OptionLine, type Refusal } from './configuration.ts';
import { ConsensusClient } from './consensus-client.ts';
import type { NetworkContext, TorContext } from './context.ts';
import type { ControlledTor } from './controlled-tor.ts';
import { serveControl } from './control-server.ts';
import { dataLines, EventBus } from './event-bus.ts';
import { quoted } from './kvline.ts';
import { drawMs } from './latency.ts';
import { MetricsServer } from './metrics-server.ts';
import { allRouterStatuses } from './network-status.ts';
import { OnionServices } from './onion-services.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { serveSocks, type Traffic } from './socks-server.ts';
import { Uplink } from './uplink.ts';

/** Tor answers NEWNYM at most this often. */
const newIdentityIntervalMs = 10_000;
const consensusAtPercent = 50;

export interface TorRunOptions {
  readonly name: string;
  readonly network: NetworkContext;
  readonly net: Net;
  readonly store: Store;
  readonly random: Random;
  readonly log: Log;
  readonly torrc: TorrcOptions;
  readonly dataDirectory: string;
  readonly control: Endpoint;
  readonly socks: Endpoint | undefined;
  readonly pid: number;
}

export class TorRun implements ControlledTor {
  readonly process: SimulatedProcess;
  readonly client: OnionClient;
  readonly services: OnionServices;
  readonly traffic: Traffic = { read: 0, written: 0 };
  readonly startedAt: number;
  readonly pid: number;
  bootstrapPercent = 0;
  readonly #options: TorRunOptions;
  readonly #context: TorContext;
  readonly #consensus: ConsensusClient;
  readonly #listeners: { readonly kind: 'control' | 'socks'; readonly listener: Listener }[] = [];
  readonly #metrics: MetricsServer;
  readonly #socksStreams = new Set<Duplex>();
  #closedSocks: Endpoint | undefined;
  readonly #bootstrapped: Promise<void>;
  #markBootstrapped: () => void = () => undefined;
  #bootstrapStarted = false;
  #lastNewIdentity = -Infinity;
  #newIdentityPending = false;

  private constructor(options: TorRunOptions) {
    const { network, random } = options;
    this.#options = options;
    this.pid = options.pid;
    this.process = new SimulatedProcess(network.clock);
    const { process } = this;
    const configuration = new Configuration(options.torrc);
    const uplink = new Uplink(!configuration.flag('DisableNetwork'));
    this.#consensus = new ConsensusClient(network, process, random, uplink, () => this.#consensusArrived());
    const now = (): number => network.clock.now() / 1000;
    const events = new EventBus();
    const context: TorContext = {
      name: options.name,
      network,
      clock: network.clock,
      random,
      net: options.net,
      store: options.store,
      log: options.log,
      process,
      events,
      uplink,
      circuits: new CircuitTable({
        process,
        random,
        latency: network.latency,
        events,
        uplink,
        now: () => network.clock.now(),
        relays: () => this.#consensus.current(now())?.relays ?? [],
      }),
      configuration,
      consensus: () => this.#consensus.current(now()),
      now: () => Math.floor(now()),
    };
    this.#context = context;
    this.client = new OnionClient(context);
    this.services = new OnionServices(context);
    this.#metrics = new MetricsServer(context, () => this.services.all());
    this.startedAt = now();
    this.#bootstrapped = new Promise((resolve) => {
      this.#markBootstrapped = resolve;
    });
  }

  /** Resolves when the control port answers. Rejects, as tor exits, when an option or a port cannot be had. */
  static async start(options: TorRunOptions): Promise<TorRun> {
    const run = new TorRun(options);
    try {
      await run.#start();
      return run;
    } catch (error) {
      await run.end();
      throw error;
    }
  }

  get online(): boolean {
    return this.#context.uplink.open;
  }

  get control(): Endpoint {
    return this.#endpoint('control') as Endpoint;
  }

  get socks(): Endpoint | undefined {
    return this.#endpoint('socks');
  }

  #endpoint(kind: 'control' | 'socks'): Endpoint | undefined {
    return this.#listeners.find((entry) => entry.kind === kind)?.listener.endpoint;
  }

  get listeners(): ControlledTor['listeners'] {
    const of = (wanted: 'control' | 'socks'): string[] =>
      this.#listeners
        .filter(({ kind }) => kind === wanted)
        .map(({ listener }) => quoted(formatEndpoint(listener.endpoint)));
    return { socks: of('socks'), control: of('control'), metrics: this.#metrics.describe() };
  }

  get cookiePath(): string | undefined {
    const { configuration } = this.#context;
    if (!configuration.flag('CookieAuthentication')) return undefined;
    return configuration.text('CookieAuthFile') ?? `${this.#options.dataDirectory}/control_auth_cookie`;
  }

  async #start(): Promise<void> {
    const { store, dataDirectory, net, random, control, socks } = this.#options;
    const context = this.#context;
    await store.makeDirectory(dataDirectory);
    const { cookiePath } = this;
    const cookie = cookiePath === undefined ? undefined : random.bytes(32);
    if (cookiePath !== undefined && cookie !== undefined) await store.write(cookiePath, cookie);
    if (!(await this.services.configure(context.configuration.serviceLines))) {
      throw new Error(`tor ${context.name}: Failed to configure rendezvous options. See logs for details.`);
    }
    const credentials = {
      cookie,
      cookiePath: cookiePath ?? '',
      hashedPasswords: context.configuration.lines
        .filter(([name]) => name === 'HashedControlPassword')
        .map(([, value]) => value),
    };
    const controlPorts = [control];
    for (const [name, value] of context.configuration.lines) {
      const endpoint = name === 'ControlSocket' ? parseEndpoint(value) : undefined;
      if (endpoint !== undefined) controlPorts.push(endpoint);
    }
    for (const endpoint of controlPorts) {
      const listener = await net.listen(endpoint, (socket) => {
        if (this.process.ended) socket.destroy();
        else serveControl(context, this, credentials, socket);
      });
      this.#listeners.push({ kind: 'control', listener });
    }
    if (socks !== undefined) await this.#openSocks(socks);
    const metrics = await this.#metrics.prepare(context.configuration.lines);
    if ('code' in metrics) throw new Error(`tor ${context.name}: ${metrics.text}`);
    await metrics.commit();
    if (!context.configuration.flag('DisableNetwork')) this.#bootstrap();
  }

  async #openSocks(endpoint: Endpoint): Promise<void> {
    const listener = await this.#options.net.listen(endpoint, (socket) => {
      if (this.process.ended || !this.#context.uplink.open) {
        socket.destroy();
        return;
      }
      this.#socksStreams.add(socket);
      socket.once('close', () => this.#socksStreams.delete(socket));
      serveSocks(this.#context, this.client, this.traffic, socket);
    });
    this.#listeners.push({ kind: 'socks', listener });
  }

  /** DisableNetwork: what needs the network ends, and the SOCKS port is closed; afterwards all comes back by itself. */
  async setOnline(open: boolean): Promise<void> {
    const { uplink, circuits, events } = this.#context;
    if (this.process.ended || !uplink.set(open)) return;
    if (!open) {
      circuits.uplinkLost();
      for (const socket of this.#socksStreams) socket.destroy();
      this.#closedSocks = this.socks;
      const closing = this.#listeners.filter(({ kind }) => kind === 'socks');
      for (const entry of closing) this.#listeners.splice(this.#listeners.indexOf(entry), 1);
      await Promise.all(closing.map(({ listener }) => listener.close()));
      return;
    }
    if (this.#closedSocks !== undefined) await this.#openSocks(this.#closedSocks);
    this.#closedSocks = undefined;
    this.services.uplinkBack();
    if (this.bootstrapPercent === 100)
      events.emit('STATUS_CLIENT', () => '650 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED');
  }

  #bootstrap(): void {
    if (this.#bootstrapStarted) return;
    this.#bootstrapStarted = true;
    const totalMs = drawMs(this.#options.random, this.#options.network.latency.bootstrapMs);
    for (const percent of bootstrapSteps) {
      this.process.after((totalMs * percent) / 100, () => {
        this.bootstrapPercent = percent;
        if (percent === consensusAtPercent) this.#consensus.fetch();
        this.#context.events.emit('STATUS_CLIENT', () => `650 STATUS_CLIENT NOTICE ${bootstrapStatus(percent)}`);
        if (percent < 100) return;
        this.#context.events.emit('STATUS_CLIENT', () => '650 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED');
        this.#markBootstrapped();
      });
    }
  }

  bootstrapped(): Promise<void> {
    return this.#bootstrapped;
  }

  #consensusArrived(): void {
    const { events } = this.#context;
    const consensus = this.#context.consensus();
    if (consensus === undefined) return;
    events.emit('STATUS_CLIENT', () => '650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED');
    events.emit('NEWCONSENSUS', () => ['650+NEWCONSENSUS', ...dataLines(allRouterStatuses(consensus)), '650 OK']);
    this.services.consensusChanged();
    this.client.consensusChanged();
  }

  async configure(lines: readonly OptionLine[]): Promise<Refusal | undefined> {
    const { configuration, log } = this.#context;
    const metrics = await this.#metrics.prepare(lines);
    if ('code' in metrics) return metrics;
    try {
      const services = lines.filter(([name]) => name.startsWith('HiddenService'));
      if (!(await this.services.configure(services))) {
        await metrics.rollback();
        return {
          code: 513,
          text: 'Unacceptable option value: Failed to configure rendezvous options. See logs for details.',
        };
      }
    } catch (error) {
      // Tor has accepted the options by then, and cannot go back: it exits.
      log.error('the simulated tor exits: it cannot load the keys of a service', { error });
      await metrics.rollback();
      await this.end();
      return undefined;
    }
    await metrics.commit();
    const before = configuration.flag('DisableNetwork');
    configuration.replace(lines);
    const disabled = configuration.flag('DisableNetwork');
    if (disabled !== before) await this.setOnline(!disabled);
    if (!disabled) this.#bootstrap();
    return undefined;
  }

  signal(name: string): void {
    this.#context.events.emit('SIGNAL', () => `650 SIGNAL ${name === 'HUP' ? 'RELOAD' : name}`);
    if (name === 'HUP') void this.configure(this.#context.configuration.torrc);
    else if (name === 'NEWNYM') this.#newIdentity();
    else if (name === 'SHUTDOWN' || name === 'TERM') this.process.after(0, () => void this.end());
  }

  #newIdentity(): void {
    const waitMs = this.#lastNewIdentity + newIdentityIntervalMs - this.#context.clock.monotonic();
    if (waitMs <= 0) {
      this.#lastNewIdentity = this.#context.clock.monotonic();
      this.client.newIdentity();
    } else if (!this.#newIdentityPending) {
      this.#newIdentityPending = true;
      this.process.after(waitMs, () => {
        this.#newIdentityPending = false;
        this.#newIdentity();
      });
    }
  }

  serviceText(address: OnionAddress): string | undefined {
    return this.services.get(address)?.describe();
  }

  get circuits(): CircuitTable {
    return this.#context.circuits;
  }

  /** The process is gone; what it wrote to its data directory stays. */
  async end(): Promise<void> {
    this.process.end();
    const listeners = this.#listeners.splice(0);
    await Promise.all([...listeners.map(({ listener }) => listener.close()), this.#metrics.close()]);
  }
}
