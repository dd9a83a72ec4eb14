/** Several nodes in one process on a virtual clock: real mesh and election over the memory transport, tors that are stubs. */
import * as v from 'valibot';
import {
  adminContract,
  createEngine,
  definePlugin,
  electionContract,
  headRegistryContract,
  meshContract,
  signerContract,
  torContract,
  type AdminCommand,
  type AnyPlugin,
  type Election,
  type Engine,
  type HeadRegistry,
  type Json,
  type Mesh,
  type Tor,
  type TorState,
} from '../../core/engine/index.ts';
import { addressOfKey, masterKeyFromSeed } from '../../core/onion/index.ts';
import type { CycleResult, HeadReport } from '../../core/pipeline/index.ts';
import { silentLog } from '../../core/runtime/index.ts';
import electionPriority from '../../plugins/election/priority/index.ts';
import mesh from '../../plugins/mesh/index.ts';
import {
  createMemoryBus,
  memoryTransport,
  type MemoryBus,
  type MemoryBusOptions,
} from '../../plugins/transport/memory/index.ts';
import { testMembers } from '../kit/sim/members.ts';
import { createMemoryStore, type MemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../kit/sim/virtual-clock.ts';
import { makeConsensus } from '../unit/pipeline/support.ts';

export interface TestNode {
  readonly name: string;
  readonly engine: Engine;
  readonly election: Election;
  readonly mesh: Mesh;
  readonly registry: HeadRegistry;
  readonly store: MemoryStore;
  readonly results: CycleResult[];
  /** Every signal that came, as `name node`. */
  readonly signals: string[];
  /** What the plugins offer to the operator. */
  readonly commands: Map<string, AdminCommand>;
  readonly status: Map<string, () => Json>;
  /** What a cycle would gather now: `head descriptor`, sorted. */
  gather(): Promise<string[]>;
  setTor(state: TorState): void;
  /** Lets its cycles hang in their first step, or not any more. */
  hang(on: boolean): void;
}

export interface TestCluster {
  readonly clock: VirtualClock;
  readonly bus: MemoryBus;
  readonly nodes: TestNode[];
  start(
    name: string,
    options?: {
      priority?: number;
      store?: MemoryStore;
      mesh?: Record<string, number>;
      /** In place of election/priority, with its options. */
      election?: AnyPlugin;
      electionOptions?: Record<string, unknown>;
    },
  ): Promise<TestNode>;
  stop(node: TestNode): Promise<void>;
  /** The process is killed: no good-bye, silence at once. */
  kill(node: TestNode): Promise<void>;
  /** Those that think that they may publish. */
  readonly elected: () => TestNode[];
}

/** Whoever may take part. Their ids are in the same order. */
const memberNames = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'late'];

const key = masterKeyFromSeed(new Uint8Array(32).fill(7));
export const stateDirectory = '/state';

export function reportOf(node: string, head: string, descriptor: string): HeadReport {
  const address = addressOfKey(masterKeyFromSeed(new Uint8Array(32).fill(head.length)).publicKey);
  return { node, head: `${node}/${head}`, address, descriptor, provenance: 'service', observedAt: 0 };
}

export function createCluster(
  seed: string,
  network: Partial<Omit<MemoryBusOptions, 'clock' | 'random'>> = {},
): TestCluster {
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const bus = createMemoryBus({ clock, random: random.fork('bus'), ...network });
  const nodes: TestNode[] = [];
  const members = testMembers(memberNames, random.fork('members'));
  const consensus = makeConsensus(Math.floor(clock.now() / 1000) - 600);

  /** What is said to the operator, with names in place of ids. */
  const translated = (value: Json): Json =>
    JSON.parse(JSON.stringify(value).replaceAll(/[a-z2-7]{20}/g, (id) => members.nameOf(id) ?? id)) as Json;

  /** The election, with the publisher's name in place of its id. */
  const named = (election: Election): Election => ({
    get publisher() {
      return members.nameOf(election.publisher);
    },
    get epoch() {
      return election.epoch;
    },
    get elected() {
      return election.elected;
    },
  });

  const start: TestCluster['start'] = async (name, options = {}) => {
    const store = options.store ?? createMemoryStore();
    const signals: string[] = [];
    const commands = new Map<string, AdminCommand>();
    const status = new Map<string, () => Json>();
    const election = options.election ?? electionPriority;
    const electionOptions =
      options.electionOptions ?? (options.election === undefined ? { priority: options.priority ?? 100 } : {});
    const listeners = new Set<(state: TorState) => void>();
    let torState: TorState = 'ready';
    let hangs = false;
    const tor = {
      primary: {
        get state() {
          return torState;
        },
        onState: (listener: (state: TorState) => void) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        consensus: () => (hangs ? new Promise<never>(() => undefined) : Promise.resolve(consensus)),
      },
    } as unknown as Tor;
    const stub: AnyPlugin = definePlugin({
      name: 'stub',
      summary: 'A tor that is ready, and a key.',
      gives: [torContract, signerContract, adminContract],
      apply(host) {
        host.give(torContract, tor);
        host.give(adminContract, {
          command: (command) =>
            void commands.set(command.name, {
              ...command,
              run: async (args, say, signal) =>
                translated(await command.run(args, (text) => say(translated(text) as string), signal)),
            }),
          status: (section, read) => void status.set(section, () => translated(read())),
        });
        host.give(signerContract, {
          publicKey: key.publicKey,
          sign: async () => new Uint8Array(64),
          revisionKey: async () => new Uint8Array(32),
        });
        host.hooks.signals.for('leaderChanged').tap('stub', (payload) => {
          signals.push(`leaderChanged ${members.nameOf((payload as { node?: string }).node)}`);
        });
        host.hooks.signals.for('peerChanged').tap('stub', (payload) => {
          signals.push(`peerChanged ${members.nameOf((payload as { node: string }).node)}`);
        });
      },
    });
    const engine = createEngine({
      runtime: {
        clock,
        random: random.fork(`${name} ${clock.monotonic()}`),
        store,
        log: silentLog,
        net: undefined as never,
        processes: undefined as never,
      },
      node: members.identity(name).node,
      plugins: [stub, ...members.plugins(name), memoryTransport(bus, name), mesh, election],
      options: new Map<string, unknown>([
        ['mesh', v.parse(mesh.options as never, options.mesh ?? {})],
        [election.name, v.parse(election.options as never, electionOptions)],
      ]),
      stateDirectory,
    });
    const node: TestNode = {
      name,
      engine,
      election: named(engine.service(electionContract)),
      mesh: engine.service(meshContract),
      registry: {
        set: (reports, source) =>
          engine.service(headRegistryContract).set(
            reports.map((report) => ({
              ...report,
              node: engine.node,
              head: report.head.replace(/^[^/]*/, engine.node),
            })),
            source,
          ),
      },
      store,
      results: [],
      signals,
      commands,
      status,
      gather: async () => {
        const found: string[] = [];
        const add = ({ node: from, head, descriptor }: HeadReport): void =>
          void found.push(`${head.replace(from, members.nameOf(from) as string)} ${descriptor}`);
        await engine.hooks.gather.promise({ consensus, signal: new AbortController().signal, add });
        return found.sort();
      },
      hang: (on) => {
        hangs = on;
      },
      setTor: (state) => {
        torState = state;
        for (const listener of listeners) listener(state);
      },
    };
    engine.onResult((result) => node.results.push(result));
    nodes.push(node);
    await clock.runFor(engine.start(), 1_000);
    return node;
  };

  const forget = (node: TestNode): void => void nodes.splice(nodes.indexOf(node), 1);
  return {
    clock,
    bus,
    nodes,
    start,
    stop: async (node) => {
      await clock.runFor(node.engine.stop(), 5_000);
      forget(node);
    },
    kill: async (node) => {
      bus.remove(node.name);
      await clock.runFor(node.engine.stop(), 5_000);
      forget(node);
    },
    elected: () => nodes.filter(({ election }) => election.elected),
  };
}
