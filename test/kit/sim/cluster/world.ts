/**
 * The simulated world: an embedded Tor network, machines with daemons, tors and sites, the network between them, and a client.
 * It does what it is told (start, kill, pause, cut …) and says what is the case; who decides is storm.ts, who judges checkers/.
 */
import type { AnyPlugin, ClusterSecret } from '../../../../core/engine/index.ts';
import { addressOfKey, masterKeyFromSeed, type MasterKey, type OnionAddress } from '../../../../core/onion/index.ts';
import { rememberAgreed } from '../../../../core/onion/key-agreement.ts';
import { rememberVerified } from '../../../../core/onion/signature.ts';
import type { CycleResult } from '../../../../core/pipeline/index.ts';
import { formatEndpoint, type LogFields, type Processes } from '../../../../core/runtime/index.ts';
import { writeClusterSecrets } from '../../../../plugins/identity/index.ts';
import { rememberSealed } from '../../../../plugins/mesh/session/noise.ts';
import { rememberDerived } from '../../../../plugins/signer/vault/blob.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork, type EmbeddedTor } from '../../network/embedded/index.ts';
import { chachaPoly } from '../chacha-poly.ts';
import { createMemoryNet, type MemoryNet } from '../memory-net.ts';
import { createMemoryStore, type MemoryStore } from '../memory-store.ts';
import { createSeededRandom, type SeededRandom } from '../seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../virtual-clock.ts';
import { endpointOf, SimulatedBus, type Datagram } from './bus.ts';
import type { FaultOptions } from './faults.ts';
import { Life, type Machine } from './life.ts';
import { makeDaemon, restartTor, type Daemon, type NodeParts } from './node.ts';
import { createObserver, type Observations } from './observe.ts';
import { Operator } from './operator.ts';
import { Trace } from './trace.ts';

export interface SimulatedNode {
  /** `n0`, `n1` … */
  readonly name: string;
  readonly id: string;
  readonly parts: NodeParts;
  daemon: Daemon | undefined;
  /** How often its daemon was started. */
  lives: number;
  /** When its daemon, tor or connections changed last, monotonic. */
  changedAtMs: number;
  /** Of one that was removed: its machine is gone, and is started no more. */
  scrapped: boolean;
  /** Whom it has named the next publisher, and when last: another one, too, where it does not hear the first. */
  readonly named: Map<string, number>;
}

export interface WorldOptions {
  readonly seed: string;
  readonly nodes: number;
  readonly faults: FaultOptions;
  readonly mutate?: NodeParts['mutate'] | undefined;
  /** Of every node's configuration. */
  readonly settings?: NodeParts['settings'] | undefined;
  /** The plugin that elects. */
  readonly election: string;
}

const startLimitMs = 60_000;
/** One process holds all nodes: what one has sealed another opens, what one has verified the next verifies, byte for byte. */
const rememberedSignatures = 4_096;
const rememberedSeals = 4_096;
const rememberedAgreements = 256;
const rememberedPassphrases = 8;
/** Tor's own day, and clients that keep what they fetched: the public network's rules. */
const votingSeconds = 3_600;

/** Within it a publisher has taken over from the one that named it, and said so to the HSDirs. */
const handOverMs = 5_000;

/** True while one of the nodes has named its successor and that may not have begun: there are two publishers for a moment. */
export const isHanding = (nodes: readonly SimulatedNode[], nowMs: number): boolean =>
  nodes.some(({ named }) => [...named.values()].some((atMs) => nowMs - atMs < handOverMs));

export class World {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly net: MemoryNet;
  readonly store: MemoryStore;
  readonly trace: Trace;
  readonly bus: SimulatedBus;
  readonly observations: Observations;
  /** The members. */
  readonly nodes: SimulatedNode[] = [];
  /** Those that were removed. */
  readonly former: SimulatedNode[] = [];
  readonly master: MasterKey;
  readonly address: OnionAddress;
  readonly operator: Operator;
  /** What the machines are set up with. */
  clusterSecret!: ClusterSecret;
  network!: EmbeddedNetwork;
  /** A client's tor, and one that a cloned machine takes. */
  client!: EmbeddedTor;
  spare!: EmbeddedTor;
  /** Called with every log line of every daemon. */
  onLog: (node: string, message: string, fields: LogFields) => void = () => undefined;
  /** Called with each daemon before it is started. */
  onDaemon: (node: SimulatedNode, daemon: Daemon) => void = () => undefined;
  onResult: (node: SimulatedNode, result: CycleResult) => void = () => undefined;
  /** Called with what goes over streams between members and those who join. */
  onBytes: (datagram: Datagram) => void = () => undefined;
  /** Called with secrets that come up on the way. */
  onSecret: (name: string, secret: Uint8Array) => void = () => undefined;
  readonly #options: WorldOptions;
  #entries: Uint8Array | undefined;
  /** When somebody was removed or joined last, monotonic. */
  membersChangedAtMs = 0;
  #machines = 0;
  readonly #starting = new Set<SimulatedNode>();
  readonly #raising = new Map<EmbeddedTor, Promise<void>>();
  /** In some clusters the nodes' own `repair` restarts a tor, in the others something else does. */
  readonly #restartsTor: boolean;
  /** Whether heads lead to the plugin `proxy`, and joiners come over the service's address. */
  readonly proxied: boolean;

  constructor(options: WorldOptions) {
    this.#options = options;
    rememberVerified(rememberedSignatures);
    rememberSealed(rememberedSeals, chachaPoly);
    rememberAgreed(rememberedAgreements);
    rememberDerived(rememberedPassphrases);
    this.random = createSeededRandom(options.seed);
    // Anywhere in Tor's day.
    this.clock = createVirtualClock(Date.UTC(2026, 0, 1, this.random.int(24), 17));
    this.trace = new Trace(() => Math.round(this.clock.monotonic() * 1_000) / 1_000);
    this.net = createMemoryNet({ clock: this.clock });
    this.store = createMemoryStore();
    this.bus = new SimulatedBus(this.clock, this.random.fork('bus'), options.faults);
    this.master = masterKeyFromSeed(this.random.bytes(32));
    this.address = addressOfKey(this.master.publicKey);
    this.#restartsTor = this.random.fork('repair').float() < 0.5;
    this.proxied = this.random.fork('proxy').float() < 0.5;
    this.operator = new Operator(this, this.random.fork('operator'));
    this.observations = { texts: new Map(), owners: new Map(), unsigned: new Set(), onSending: () => undefined };
  }

  get nowMs(): number {
    return this.clock.monotonic();
  }

  async build(): Promise<void> {
    const { clock, random, net, store } = this;
    const runtime = { clock, random: random.fork('tor'), net, store };
    this.network = await startEmbeddedNetwork(runtime, {
      testingNetwork: false,
      votingSeconds,
      sharedRandom: 'both',
      directory: '/tor',
      netOf: (name) => net.host(`tor-${name}`),
    });
    this.clusterSecret = await this.operator.found();
    const machines: SimulatedNode[] = [];
    for (let count = 0; count < this.#options.nodes; count++)
      machines.push(await clock.runFor(this.addMachine(), startLimitMs));
    this.spare = await clock.runFor(this.network.addTor({ name: 'spare' }), startLimitMs);
    this.client = await clock.runFor(this.network.addTor({ name: 'client', socks: true }), startLimitMs);
    await clock.runFor(this.network.ready(), 3 * votingSeconds * 1_000);
    for (const machine of machines) {
      const { directory } = machine.parts;
      await writeClusterSecrets(store, `${directory}/cluster_secrets`, [this.clusterSecret], { fresh: true });
      this.enrol(machine);
    }
  }

  /** A machine with a tor, a site and a key of its own, that belongs to no cluster yet. */
  async addMachine(): Promise<SimulatedNode> {
    const name = `n${this.#machines++}`;
    const own = this.random.fork(name);
    const tor = await this.network.addTor({ name, socks: this.proxied });
    const machine: Machine = {
      name,
      monotonicOffsetMs: Math.floor(1e7 * own.float()),
      wallOffsetMs: Math.floor(2_000 * (own.float() - 0.5)),
      diskFull: false,
    };
    const site = await this.net.host(`site-${name}`).listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      stream.on('error', () => stream.destroy());
      // Says its name as often as it is asked.
      stream.on('data', (chunk: Buffer) => stream.write(`${name}\n`.repeat(chunk.length)));
    });
    const directory = `/machines/${name}`;
    const identity = await this.operator.setUp(directory, own.fork('identity'));
    const parts: NodeParts = {
      machine,
      identity,
      tor,
      target: formatEndpoint(site.endpoint),
      directory,
      address: this.address,
      passphrase: () => this.operator.answer(name),
      settings: this.#options.settings ?? {},
      mutate: this.#options.mutate ?? ((plugins: readonly AnyPlugin[]) => plugins),
      election: this.#options.election,
      restartsTor: this.#restartsTor,
      proxied: this.proxied,
      onHandOver: (to) => {
        this.node(identity.node)?.named.set(to, this.nowMs);
      },
      observer: createObserver(this.observations, () => this.nowMs, identity.node),
    };
    const { node: id } = identity;
    return {
      name,
      id,
      parts,
      daemon: undefined,
      lives: 0,
      changedAtMs: this.nowMs,
      scrapped: false,
      named: new Map(),
    };
  }

  /** A member from now on. */
  enrol(node: SimulatedNode): void {
    this.nodes.push(node);
    this.membersChangedAtMs = this.nowMs;
  }

  /** No member from now on, whatever its daemon does. */
  expel(node: SimulatedNode): void {
    this.nodes.splice(this.nodes.indexOf(node), 1);
    this.former.push(node);
    this.membersChangedAtMs = this.nowMs;
  }

  /** What is given from now on to a node that has lost its roster. */
  learnRoster(): void {
    const entries = this.awake().flatMap(({ daemon }) => daemon?.roster?.entries() ?? []);
    this.#entries = entries.reduce(
      (longest, one) => (one.length > longest.length ? one : longest),
      this.#entries ?? new Uint8Array(),
    );
  }

  /** The machine of one that was removed is switched off for good. */
  scrap(node: SimulatedNode): void {
    this.trace.line(`${node.name} is scrapped`);
    node.scrapped = true;
    this.kill(node);
    void node.parts.tor.kill();
  }

  /** A member, or one that was. */
  node(id: string): SimulatedNode | undefined {
    return this.nodes.find((node) => node.id === id) ?? this.former.find((node) => node.id === id);
  }

  /** Those whose daemons run and do not stand still. */
  awake(): SimulatedNode[] {
    return this.nodes.filter(({ daemon }) => daemon?.running === true && daemon.life.state === 'up');
  }

  /** Starts a node's tor if it does not run. Several may want it at once. */
  raise({ parts: { tor }, scrapped }: SimulatedNode): Promise<void> {
    if (tor.running || scrapped) return Promise.resolve();
    const raising = this.#raising.get(tor) ?? tor.start().finally(() => this.#raising.delete(tor));
    this.#raising.set(tor, raising);
    return raising;
  }

  /** A machine on which one command does something: it restarts the machine's tor. */
  #processesOf(node: SimulatedNode): Processes {
    const { name, parts } = node;
    return {
      start: async (command) => {
        if (command !== restartTor) throw new Error(`${command}: no such command`);
        this.trace.line(`${name} restarts its tor`);
        const ended = parts.tor
          .kill()
          .then(() => this.raise(node))
          .then(() => ({ code: 0, signal: null }));
        return { pid: 1, ended, output: () => '', kill: () => undefined };
      },
    };
  }

  life(machine: Machine, label: string, node: string): Life {
    const own = this.node(node);
    return new Life({
      machine,
      processes: own?.parts.machine === machine ? this.#processesOf(own) : undefined,
      clock: this.clock,
      random: this.random.fork(label),
      net: this.net,
      store: this.store,
      onLog: (level, message, fields) => {
        if (level !== 'debug') this.trace.line(`${machine.name} ${level}: ${message}`);
        this.onLog(node, message, fields);
      },
    });
  }

  /** Starts a daemon, and goes on at once: the start takes its time. */
  async start(node: SimulatedNode): Promise<void> {
    if (node.daemon !== undefined || node.scrapped || this.#starting.has(node)) return;
    this.#starting.add(node);
    const life = this.life(node.parts.machine, `${node.name}/${node.lives++}`, node.id);
    this.trace.line(`${node.name} starts`);
    // Who has kept the roster needs none.
    const kept = (await this.store.mode(`${node.parts.directory}/roster`)) !== undefined;
    const daemon = await makeDaemon(node.parts, life, this.bus, kept ? undefined : this.#entries, (result) => {
      this.trace.line(`${node.name} cycle: ${result.outcome}, ${result.why}`);
      this.onResult(node, result);
    });
    this.#starting.delete(node);
    if (node.scrapped) {
      life.kill();
      return;
    }
    node.daemon = daemon;
    node.changedAtMs = this.nowMs;
    this.onDaemon(node, daemon);
    void this.#run(node, daemon);
  }

  async #run(node: SimulatedNode, daemon: Daemon): Promise<void> {
    try {
      await daemon.engine.start();
      daemon.running = true;
      node.changedAtMs = this.nowMs;
      this.#admitAll(daemon);
    } catch (error) {
      this.trace.line(`${node.name} does not start: ${String(error)}`);
      if (node.daemon !== daemon) return;
      daemon.life.kill();
      node.daemon = undefined;
      await this.operator.repair(node, error);
    }
  }

  /** The first daemon founds the cluster and admits the others' keys; they learn of it as by a join. */
  #admitAll({ roster }: Daemon): void {
    if (roster === undefined || this.#entries !== undefined) return;
    const admitted = new Set(roster.admitted().map(({ node }) => node));
    for (const { id, parts } of this.nodes) {
      if (!admitted.has(id)) roster.admit(parts.identity.keys, [endpointOf(id)]);
    }
    this.#entries = roster.entries();
  }

  /** The daemon is killed: nothing of it happens any more. */
  kill(node: SimulatedNode): void {
    const { daemon } = node;
    if (daemon === undefined) return;
    this.trace.line(`${node.name} is killed`);
    daemon.life.kill();
    node.daemon = undefined;
    node.changedAtMs = this.nowMs;
  }

  /** The daemon is told to stop, and does so in order. */
  async stop(node: SimulatedNode): Promise<void> {
    const { daemon } = node;
    if (daemon === undefined) return;
    this.trace.line(`${node.name} stops`);
    daemon.running = false;
    node.changedAtMs = this.nowMs;
    await daemon.engine.stop();
    daemon.life.kill();
    if (node.daemon === daemon) node.daemon = undefined;
    node.changedAtMs = this.nowMs;
  }

  /** What the roster says, for a daemon made by hand. */
  get entries(): Uint8Array | undefined {
    return this.#entries;
  }

  async end(): Promise<void> {
    for (const node of [...this.nodes, ...this.former]) this.kill(node);
    await this.clock.runFor(this.network.stop(), startLimitMs);
    rememberVerified(0);
    rememberSealed(0);
    rememberAgreed(0);
    rememberDerived(0);
  }
}
