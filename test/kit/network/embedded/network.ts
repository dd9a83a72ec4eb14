/**
 * A Tor network in this process. Its tors serve control and SOCKS ports over the `Net` they are given, real or in memory,
 * and keep C tor's rules; see docs/embedded-network.md for what they model. Enter through `startEmbeddedNetwork`.
 */
import { createRingCache } from '../../../../core/onion/index.ts';
import {
  silentLog,
  systemSelf,
  systemStore,
  type Net,
  type Random,
  type Runtime,
} from '../../../../core/runtime/index.ts';
import type { AddTorOptions, TorInstance, TorNetwork } from '../network.ts';
import { ConsensusSchedule } from './consensus.ts';
import type { NetworkContext, NetworkFaults } from './context.ts';
import { loopbackLatency, type LatencyProfile } from './latency.ts';
import { createRelays, type SimulatedRelay } from './relay.ts';
import { EmbeddedTor } from './tor.ts';

export interface EmbeddedNetworkOptions {
  /** Seconds between two consensuses; with `testingNetwork` a "day" has 24 of them. Default 20. */
  readonly votingSeconds?: number;
  /** TestingTorNetwork on every tor. Default true. */
  readonly testingNetwork?: boolean;
  /** Relays, all of them HSDirs; three are authorities. Default 20. */
  readonly hsdirs?: number;
  /** `none` (default) as in a newborn network, `both` as in one that has long been running. */
  readonly sharedRandom?: 'none' | 'both';
  /** Consensus parameters, e.g. hsdir_interval or cc_sendme_inc. */
  readonly parameters?: Readonly<Record<string, number>>;
  readonly latency?: Partial<LatencyProfile>;
  /** Where the tors' data directories go. Default: a new one below the temporary directory, removed by `stop`. */
  readonly directory?: string;
  /** The net that a tor listens and connects on, when each is to have its own (hosts of a memory net). */
  readonly netOf?: (torName: string) => Net;
}

export interface EmbeddedNetwork extends TorNetwork {
  readonly kind: 'embedded';
  readonly relays: readonly SimulatedRelay[];
  readonly faults: NetworkFaults;
  /** Stops a relay: its circuits break, what it kept as an HSDir is lost, and the next consensus is without it. */
  stopRelay(fingerprint: string): void;
  startRelay(fingerprint: string): void;
  addTor(options: AddTorOptions): Promise<EmbeddedTor>;
}

const authorities = 3;
/** Process ids that no process of the machine can have: whoever kills by them kills nobody. */
const firstPid = 5_000_000;

/** Resolves when the network is there. All its time, chance, sockets and files are those of `runtime`. */
export async function startEmbeddedNetwork(
  runtime: Pick<Runtime, 'clock' | 'random' | 'net' | 'store'> & Partial<Pick<Runtime, 'log'>>,
  options: EmbeddedNetworkOptions = {},
): Promise<EmbeddedNetwork> {
  const suffix = Buffer.from(runtime.random.bytes(4)).toString('hex');
  const directory = options.directory ?? `${systemSelf.temporaryDirectory}/chimera-embedded-${suffix}`;
  return new Network(runtime, options, directory);
}

/** A part of the network's chance that does not depend on what the others draw, where the source can give one. */
function forked(random: Random, label: string): Random {
  const { fork } = random as Random & { readonly fork?: (label: string) => Random };
  return fork === undefined ? random : fork(label);
}

class Network implements EmbeddedNetwork {
  readonly kind = 'embedded';
  readonly votingSeconds: number;
  readonly hsdirCount: number;
  readonly relays: readonly SimulatedRelay[];
  readonly faults: NetworkFaults = { lingeringIntroductions: 0, lingeringMs: 30_000 };
  readonly #tors: EmbeddedTor[] = [];
  readonly #runtime: Pick<Runtime, 'clock' | 'random' | 'net' | 'store'> & Partial<Pick<Runtime, 'log'>>;
  readonly #options: EmbeddedNetworkOptions;
  readonly #directory: string;
  readonly #context: NetworkContext;
  readonly #release: () => void;
  #nextPid = firstPid;
  #stopped = false;

  constructor(
    runtime: Pick<Runtime, 'clock' | 'random' | 'net' | 'store'> & Partial<Pick<Runtime, 'log'>>,
    options: EmbeddedNetworkOptions,
    directory: string,
  ) {
    const { clock, random } = runtime;
    this.#runtime = runtime;
    this.#options = options;
    this.#directory = directory;
    this.votingSeconds = options.votingSeconds ?? 20;
    this.hsdirCount = options.hsdirs ?? 20;
    this.relays = createRelays(forked(random, 'relays'), {
      authorities: Math.min(authorities, this.hsdirCount),
      relays: Math.max(0, this.hsdirCount - authorities),
    });
    const schedule = new ConsensusSchedule(
      {
        votingSeconds: this.votingSeconds,
        testingNetwork: options.testingNetwork ?? true,
        sharedRandom: options.sharedRandom ?? 'none',
        ...(options.parameters === undefined ? {} : { parameters: options.parameters }),
      },
      forked(random, 'consensus'),
      this.relays,
      clock.now() / 1000,
    );
    const byFingerprint = new Map(this.relays.map((relay) => [relay.fingerprint, relay]));
    this.#context = {
      clock,
      latency: { ...loopbackLatency, ...options.latency },
      faults: this.faults,
      log: runtime.log ?? silentLog,
      relay: (fingerprint) => byFingerprint.get(fingerprint),
      ring: createRingCache(),
      newestConsensus: () => schedule.at(clock.now() / 1000),
    };
    const temporary = options.directory === undefined && runtime.store === systemStore;
    this.#release = temporary ? systemSelf.atEnd(() => ({ kill: [], remove: [directory] })) : () => undefined;
  }

  get tors(): readonly TorInstance[] {
    return this.#tors;
  }

  async addTor({ name, socks = false, config = {} }: AddTorOptions): Promise<EmbeddedTor> {
    if (this.#stopped) throw new Error('the network has been stopped');
    if (this.#tors.some((tor) => tor.name === name)) throw new Error(`there is a tor called ${name} already`);
    const { random, store, log = silentLog } = this.#runtime;
    const dataDirectory = `${this.#directory}/${name}/data`;
    const torrc = {
      DataDirectory: dataDirectory,
      CookieAuthentication: '1',
      TestingTorNetwork: (this.#options.testingNetwork ?? true) ? '1' : '0',
      ...config,
    };
    const net = this.#options.netOf?.(name) ?? this.#runtime.net;
    const anyPort = { host: '127.0.0.1', port: 0 };
    const tor = new EmbeddedTor(
      (runIndex) => ({
        name,
        network: this.#context,
        net,
        store,
        random: forked(random, `tor/${name}/${runIndex}`),
        log: log.child({ tor: name }),
        torrc,
        dataDirectory,
        pid: this.#nextPid++,
      }),
      anyPort,
      socks ? anyPort : undefined,
    );
    await tor.start();
    this.#tors.push(tor);
    return tor;
  }

  async ready(progress: (text: string) => void = () => undefined): Promise<void> {
    const running = this.#tors.filter((tor) => tor.running);
    await Promise.all(running.map((tor) => tor.bootstrapped()));
    progress(`a consensus with ${this.hsdirCount} HSDirs; bootstrapped: ${running.map((tor) => tor.name).join(', ')}`);
  }

  stopRelay(fingerprint: string): void {
    const relay = this.#context.relay(fingerprint);
    if (relay === undefined || !relay.up) return;
    relay.up = false;
    relay.hsdir.forget();
    relay.introductions.clear();
    for (const tor of this.#tors) tor.run?.circuits.relayLost(relay);
  }

  startRelay(fingerprint: string): void {
    const relay = this.#context.relay(fingerprint);
    if (relay !== undefined) relay.up = true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#tors.map((tor) => tor.kill()));
    this.#tors.length = 0;
    if (this.#options.directory === undefined) await this.#runtime.store.remove(this.#directory);
    this.#release();
  }
}
