/**
 * A whole service in one process on a virtual clock: nodes with a tor each on the embedded network, joined by mesh and
 * election over the memory transport. Every upload to an HSDir is written down. The seed replays a run.
 */
import { createNode } from '../../core/cli/node.ts';
import { resolveConfig } from '../../core/config/index.ts';
import { electionContract, type AnyPlugin, type Election, type Engine } from '../../core/engine/index.ts';
import {
  addressOfKey,
  encodeSecretKeyFile,
  epochOfRevision,
  masterKeyFromSeed,
  readOuter,
  type OnionAddress,
} from '../../core/onion/index.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import {
  formatEndpoint,
  silentLog,
  systemProcesses,
  type Listener,
  type Processes,
  type Runtime,
} from '../../core/runtime/index.ts';
import { plugins } from '../../plugins/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { createMemoryBus, memoryTransport, type MemoryBus } from '../../plugins/transport/memory/index.ts';
import { presets } from '../../presets/index.ts';
import { openSite } from '../kit/lab/site.ts';
import { createVisitor, type Visitor } from '../kit/lab/visitor.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork, type EmbeddedTor } from '../kit/network/embedded/index.ts';
import { createMemoryNet } from '../kit/sim/memory-net.ts';
import { testMembers } from '../kit/sim/members.ts';
import { createMemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../kit/sim/virtual-clock.ts';

/** An upload of one of the service's own descriptors, as the HSDir saw it. */
export interface SeenUpload {
  readonly atMs: number;
  readonly hsdir: string;
  readonly blindedKey: string;
  readonly revision: bigint;
  readonly epoch: number;
  readonly accepted: boolean;
}

export interface ServiceNode {
  readonly name: string;
  readonly tor: EmbeddedTor;
  readonly engine: Engine;
  readonly election: Election;
  readonly results: CycleResult[];
}

export interface StartOptions {
  readonly state?: boolean;
  readonly election?: AnyPlugin;
  /** More shipped plugins, by name, and tables of the configuration. */
  readonly add?: readonly string[];
  /** Plugins of the test's own; each replaces one of its name. */
  readonly more?: readonly AnyPlugin[];
  readonly tables?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface ServiceCluster {
  readonly clock: VirtualClock;
  readonly runtime: Runtime;
  readonly network: EmbeddedNetwork;
  readonly address: OnionAddress;
  readonly bus: MemoryBus;
  readonly nodes: readonly ServiceNode[];
  readonly uploads: readonly SeenUpload[];
  /** Starts a node, or starts it again; its tor and its state directory, if it has one, are those of its last life. */
  start(name: string, options?: StartOptions): Promise<ServiceNode>;
  /** Stops it as SIGTERM does. */
  stop(node: ServiceNode): Promise<void>;
  /** Its process dies: it says nothing any more. Its tor goes on, and loses its control connection. */
  kill(node: ServiceNode): Promise<void>;
  /**
   * Waits until one node is elected, all know it, and it has published in its epoch, confirmed. `heads`: so many of them;
   * `after`: in a later epoch than this.
   */
  published(limitMs: number, wanted?: { readonly heads?: number; readonly after?: number }): Promise<ServiceNode>;
  /** A client's tor that knows nothing yet. */
  client(name: string): Promise<Visitor>;
  /** Starts a site that says this name, for a head to lead to; gives its address. It closes with the cluster. */
  site(name: string): Promise<string>;
  /** The newest publication of all nodes; undefined before the first. */
  newest(): CycleResult | undefined;
  /** Those that think that they may publish. */
  elected(): ServiceNode[];
  /** The epochs of what the HSDirs that clients ask hold now, each once, sorted. */
  heldEpochs(): number[];
  end(): Promise<void>;
}

/** `processes`: what plugins start instead of real ones; `preset`: of all nodes. */
export async function startServiceCluster(
  seed: string,
  { processes = systemProcesses, preset = 'stable' }: { readonly processes?: Processes; readonly preset?: string } = {},
): Promise<ServiceCluster> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, 0, 2));
  const random = createSeededRandom(seed);
  const store = createMemoryStore();
  const net = createMemoryNet({ clock, latencyMs: 1 });
  const runtime: Runtime = { clock, random, net, store, processes, log: silentLog };
  const network = await startEmbeddedNetwork(runtime);
  const bus = createMemoryBus({ clock, random: random.fork('bus'), delayMs: { minimum: 1, maximum: 30 } });
  const members = testMembers(['a', 'b', 'c', 'd', 'e'], random.fork('members'));
  const key = masterKeyFromSeed(random.bytes(32));
  await store.makeDirectory('/service');
  await store.write('/service/key', encodeSecretKeyFile(key));

  const tors = new Map<string, EmbeddedTor>();
  const nodes: ServiceNode[] = [];
  const sites: Listener[] = [];
  /** Blinded keys of the service; the heads' own descriptors go to the same HSDirs. */
  const ours = new Set<string>();
  const everything: SeenUpload[] = [];
  /** Of the newest descriptor for clients. */
  let current: { readonly blindedKey: string; readonly asked: readonly string[] } | undefined;
  for (const { fingerprint, hsdir } of network.relays) {
    const take = hsdir.store.bind(hsdir);
    hsdir.store = (text, now) => {
      const status = take(text, now);
      const { blindedKey, revision } = readOuter(text);
      everything.push({
        atMs: clock.monotonic(),
        hsdir: fingerprint,
        blindedKey: Buffer.from(blindedKey).toString('hex'),
        revision,
        epoch: epochOfRevision(revision),
        accepted: status === 200,
      });
      return status;
    };
  }

  const start: ServiceCluster['start'] = async (name, options = {}) => {
    const { state = false, election, add = [], tables = {}, more = [] } = options;
    let tor = tors.get(name);
    if (tor === undefined) {
      tor = await clock.runFor(network.addTor({ name }), 10_000);
      tors.set(name, tor);
      await clock.runFor(tor.bootstrapped(), 60_000);
    }
    const value = {
      node: { id: members.identity(name).node, ...(state ? { state_directory: `/service/${name}` } : {}) },
      master: { identity_key_path: '/service/key' },
      tor: { control: formatEndpoint(tor.control) },
      heads: { target: '127.0.0.1:8080' },
      plugins: { remove: ['heads/registry'], add: ['mesh', ...add] },
      ...tables,
    };
    const resolved = await resolveConfig(
      { file: undefined, directory: '/service', value },
      { presets, plugins },
      preset,
    );
    const others = resolved.plugins.filter(
      ({ name: plugin }) =>
        (election === undefined || !plugin.startsWith('election/')) && more.every((own) => own.name !== plugin),
    );
    const life = random.fork(`${name} ${clock.monotonic()}`);
    const engine = createNode(
      {
        ...resolved,
        plugins: [
          ...others,
          ...(election === undefined ? [] : [election]),
          ...members.plugins(name),
          ...more,
          memoryTransport(bus, name),
        ],
      },
      { ...runtime, random: life },
    );
    const results: CycleResult[] = [];
    engine.onResult((result) => {
      results.push(result);
      for (const { slot, blindedKey, targets } of result.sealed?.descriptors ?? []) {
        const hex = Buffer.from(blindedKey).toString('hex');
        ours.add(hex);
        const asked = targets.flatMap(({ relay, fetched }) => (fetched ? [relay.fingerprint] : []));
        if (slot === result.sealed?.slots.clientUses) current = { blindedKey: hex, asked };
      }
    });
    const node: ServiceNode = { name, tor, engine, election: engine.service(electionContract), results };
    nodes.push(node);
    await clock.runFor(engine.start(), 60_000);
    return node;
  };

  const end = async (node: ServiceNode): Promise<void> => {
    nodes.splice(nodes.indexOf(node), 1);
    await clock.runFor(node.engine.stop(), 30_000);
  };
  const uploads = (): SeenUpload[] => everything.filter(({ blindedKey }) => ours.has(blindedKey));

  const elected = (): ServiceNode[] => nodes.filter(({ election }) => election.elected);

  return {
    clock,
    runtime,
    network,
    address: addressOfKey(key.publicKey),
    bus,
    nodes,
    get uploads() {
      return uploads();
    },
    start,
    stop: end,
    kill: (node) => {
      bus.remove(node.name);
      return end(node);
    },
    elected,
    published: async (limitMs, { heads, after = -1 } = {}) => {
      let found: ServiceNode | undefined;
      await clock.runUntil(() => {
        const [one, ...more] = elected();
        if (one === undefined || more.length > 0 || one.election.epoch <= after) return false;
        const { epoch } = one.election;
        const agreed = nodes.every(
          ({ election }) => election.publisher === one.engine.node && election.epoch === epoch,
        );
        const last = one.results.findLast(({ outcome }) => outcome === 'published');
        if (agreed && last?.epoch === epoch && last.heads.length === (heads ?? last.heads.length)) found = one;
        return found !== undefined;
      }, limitMs);
      return found as ServiceNode;
    },
    heldEpochs: () => {
      const newest = new Map<string, number>();
      for (const { hsdir, blindedKey, epoch, accepted } of uploads()) {
        if (accepted && blindedKey === current?.blindedKey && current.asked.includes(hsdir)) newest.set(hsdir, epoch);
      }
      return [...new Set(newest.values())].sort((a, b) => a - b);
    },
    client: async (name) => {
      const instance = await clock.runFor(network.addTor({ name, socks: true }), 10_000);
      await clock.runFor(instance.bootstrapped(), 60_000);
      const tor = createTorClient(runtime, { control: instance.control, name });
      await clock.runFor(tor.ready(10_000), 20_000);
      const socks = instance.socks as NonNullable<typeof instance.socks>;
      return createVisitor({ net, clock, tor, socks, address: addressOfKey(key.publicKey), port: 80 });
    },
    site: async (name) => {
      const listener = await openSite(net, name);
      sites.push(listener);
      return formatEndpoint(listener.endpoint);
    },
    newest: () =>
      nodes
        .flatMap(({ results }) => results.filter(({ outcome }) => outcome === 'published'))
        .sort((one, other) => one.startedAt - other.startedAt)
        .at(-1),
    end: async () => {
      while (nodes[0] !== undefined) await end(nodes[0]);
      for (const site of sites) await site.close();
      await clock.runFor(network.stop(), 30_000);
    },
  };
}
