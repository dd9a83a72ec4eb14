/**
 * A whole cluster on machines of its own: the private Tor network on one, a stock client on another, and a `chimera run` with
 * a tor and a site on each of the rest, over WireGuard with Redis beside. Enter at `startCluster`.
 */
import { createNodeKey, createClusterSecret, writeClusterSecrets } from '../../../plugins/identity/index.ts';
import { keepRoster } from '../../../plugins/mesh/index.ts';
import { admitInto, foundRoster } from '../../../plugins/mesh/roster.ts';
import { prepareTunnel } from '../../../plugins/transport/wireguard/index.ts';
import type { NodeIdentity, TorClient } from '../../../core/engine/index.ts';
import type { OnionAddress } from '../../../core/onion/index.ts';
import { formatEndpoint, type Runtime } from '../../../core/runtime/index.ts';
import {
  startPrivateNetwork,
  type Machine,
  type PrivateNetwork,
  type PrivateTor,
} from '../../kit/network/private/index.ts';
import type { TorrcOptions } from '../../kit/network/network.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { startRedisServer, type RedisServer } from '../fixtures/redis-server.ts';
import { makeMaster } from '../soak/onionbalance.ts';
import { createNamespaces, type Namespaces } from './namespaces.ts';
import { createNodeProcess, type NodeProcess } from './node-process.ts';
import { openSite, type Site } from './site.ts';

export interface ClusterOptions {
  readonly nodes: number;
  /** Beside the three authorities. */
  readonly relays: number;
  readonly progress: (text: string) => void;
  readonly keep?: boolean;
  /** Where the nodes, their tors and the client's write what they say of the service, in full; nowhere unless told. */
  readonly logs?: string;
}

export interface ClusterNode extends NodeProcess {
  readonly tor: PrivateTor;
}

export interface Cluster {
  readonly network: PrivateNetwork;
  readonly machines: Namespaces;
  readonly nodes: readonly ClusterNode[];
  readonly master: OnionAddress;
  /** The stock client's. */
  readonly client: PrivateTor;
  /** Looks at HSDirs. */
  readonly prober: TorClient;
  readonly redis: RedisServer;
  /** What the HSDirs logged of descriptors that they refused. */
  readonly hsdirLog: string;
  stop(): Promise<void>;
}

const listenPort = 51_820;

export async function startCluster(runtime: Runtime, options: ClusterOptions): Promise<Cluster> {
  const { progress } = options;
  const { store } = runtime;
  const names = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
  const machines = createNamespaces(['tor', 'client', ...names]);
  const machineOf = (name: string): Machine => ({ address: machines.addressOf(name), enter: machines.enter(name) });
  const releases: (() => Promise<unknown> | void)[] = [() => machines.remove()];
  const stop = async (): Promise<void> => {
    for (const release of releases.splice(0).reverse()) {
      try {
        await release();
      } catch (error) {
        progress(`while stopping: ${String(error)}`);
      }
    }
  };
  try {
    const redis = await startRedisServer();
    releases.push(() => redis.remove());
    const hsdirLog = `${redis.directory}/hsdirs.log`;
    const network = await startPrivateNetwork(runtime, {
      machine: machineOf('tor'),
      relays: options.relays,
      progress,
      keep: options.keep ?? false,
      config: { Log: ['notice stdout', `[rend]info file ${hsdirLog}`] },
    });
    releases.push(() => network.stop());
    const { logs } = options;
    if (logs !== undefined) await store.makeDirectory(logs);
    const spoken = (name: string): TorrcOptions => ({
      Log: ['notice stdout', ...(logs === undefined ? [] : [`[rend]info notice file ${logs}/${name}-tor.log`])],
      ...(logs === undefined ? {} : { LogTimeGranularity: '1' }),
    });
    const tors = await Promise.all(
      names.map((name) => network.addTor({ name, machine: machineOf(name), config: spoken(name) })),
    );
    const client = await network.addTor({
      name: 'client',
      socks: true,
      machine: machineOf('client'),
      config: spoken('client'),
    });
    const proberTor = await network.addTor({ name: 'prober', machine: machineOf('client') });
    await network.ready();
    const prober = createTorClient(runtime, { control: proberTor.control, name: 'prober' });
    releases.push(() => prober.close());
    await prober.ready(10_000);

    const master = await makeMaster(runtime, `${network.directory}/master`);
    const states = names.map((name) => `${network.directory}/${name}/state`);
    const identities = await makeMembers(runtime, machines, names, states);
    const nodes: ClusterNode[] = [];
    for (const [index, name] of names.entries()) {
      const [tor, state, identity] = [tors[index], states[index], identities[index]] as [
        PrivateTor,
        string,
        NodeIdentity,
      ];
      const sitePath = `${network.directory}/${name}/site.sock`;
      const site: Site = await openSite(sitePath, name);
      releases.push(() => site.close());
      const configPath = `${network.directory}/${name}/chimera.json`;
      const config = {
        preset: 'stable',
        node: { id: name, state_directory: state },
        master: { identity_key_path: master.keyPath },
        tor: { control: formatEndpoint(tor.control) },
        heads: { target: `unix:${sitePath}`, keep_on_exit: false },
        plugins: {
          add: ['identity', 'transport/wireguard', 'transport/redis', 'mesh', 'repair'],
          remove: ['heads/registry'],
        },
        wireguard: {
          interface: `wg${process.pid % 1_000_000}${name}`,
          advertise: `${machines.addressOf(name)}:${listenPort}`,
          listen_port: listenPort,
          implementation: 'wireguard-go',
        },
        redis: { server: formatEndpoint(redis.endpoint) },
        // What came of every cycle is told at this level.
        log: { format: 'json', level: 'debug' },
      };
      await store.write(configPath, JSON.stringify(config));
      const node = createNodeProcess(name, identity.node, machines.enter(name), configPath, logs);
      releases.push(async () => {
        if (!node.running) return;
        await node.signal('SIGCONT');
        await node.signal('SIGTERM');
      });
      nodes.push(Object.assign(node, { tor }));
    }
    return { network, machines, nodes, master: master.address, client, prober, redis, hsdirLog, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Keys, the cluster's secret and a roster for every node, by the functions that `chimera init` and `chimera join --wireguard` call.
 * Nobody knocks at a door: what a member would sign for a joiner is signed here, and every node starts with the whole roster.
 */
async function makeMembers(
  runtime: Runtime,
  machines: Namespaces,
  names: readonly string[],
  states: readonly string[],
): Promise<NodeIdentity[]> {
  const { store, random } = runtime;
  const secret = createClusterSecret(random);
  const identities: NodeIdentity[] = [];
  const endpoints: string[][] = [];
  for (const [index, name] of names.entries()) {
    const state = states[index] as string;
    await store.makeDirectory(state);
    identities.push(await createNodeKey(store, `${state}/node_key`, random));
    await writeClusterSecrets(store, `${state}/cluster_secrets`, [secret]);
    const advertise = { host: machines.addressOf(name), port: listenPort };
    endpoints.push([await prepareTunnel(runtime, state, advertise)]);
  }
  const [founder] = identities as [NodeIdentity];
  const roster = foundRoster(founder, endpoints[0] as string[]);
  for (const [index, { keys }] of identities.entries()) {
    if (index > 0) admitInto(roster, founder, keys, endpoints[index] as string[]);
  }
  for (const state of states) await keepRoster(store, state, roster.encode());
  return identities;
}
