/**
 * Who stands the siege: the same four heads behind one address, kept there by Chimera with a preset or by OnionBalance.
 *
 * The flooders need a descriptor that holds the first head alone. Chimera's is fetched before the other heads start. OnionBalance
 * waits for all of its instances, so there they take the first instance's own address: the same tor, the same introduction
 * points, the same work.
 */
import { createNode } from '../../../core/cli/node.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import type { Engine, TorClient } from '../../../core/engine/index.ts';
import { introPointId, type IntroPoint, type OnionAddress } from '../../../core/onion/index.ts';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import { formatEndpoint, type Listener, type Log, type Runtime } from '../../../core/runtime/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { createMemoryBus, memoryTransport } from '../../../plugins/transport/memory/index.ts';
import { presets } from '../../../presets/index.ts';
import { startBackend } from '../../kit/lab/backend.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { testMembers } from '../../kit/sim/members.ts';
import type { PrivateNetwork, PrivateTor } from '../../kit/network/private/index.ts';
import { introPointsOf } from '../soak/death-watch.ts';
import { makeMaster } from '../soak/onionbalance.ts';
import { createProgram } from '../soak/program.ts';
import { openSlowSite } from './site.ts';

export type ContenderName = 'hydra' | 'stable' | 'onionbalance';

export interface Contender {
  readonly address: OnionAddress;
  /** What the flooders ask their tors for. */
  readonly aim: OnionAddress;
  /** The head of the first tor, as results and events name it. */
  readonly flooded: string;
  /** Of Chimera only: when the siege was reported, what was published, and when the flooded head began to refuse, on the monotonic clock. */
  readonly seen: {
    reportedAtMs: number | undefined;
    readonly results: { atMs: number; result: CycleResult }[];
    refusingAtMs: number | undefined;
  };
  /** Whether all heads that should be live are in what this client has fetched, a descriptor of these introduction points. */
  isComplete(introPoints: readonly IntroPoint[], client: TorClient): Promise<boolean>;
  startFirst(): Promise<void>;
  startOthers(): Promise<void>;
  stop(): Promise<void>;
}

export interface ContenderOptions {
  readonly runtime: Runtime;
  readonly network: PrivateNetwork;
  readonly tors: ReadonlyMap<string, PrivateTor>;
  readonly slowMs: number;
  readonly graceSecs: number;
  readonly tell: (text: string) => void;
}

export async function createContender(name: ContenderName, options: ContenderOptions): Promise<Contender> {
  return name === 'onionbalance' ? onionBalance(options) : chimera(name, options);
}

async function chimera(preset: 'hydra' | 'stable', options: ContenderOptions): Promise<Contender> {
  const { runtime, network, tors, slowMs, graceSecs, tell } = options;
  const { clock, random } = runtime;
  const { address, keyPath } = await makeMaster(runtime, `${network.directory}/master`);
  const names = [...tors.keys()];
  const members = testMembers(names, createSeededRandom('siege'));
  const bus = createMemoryBus({ clock, random });
  const engines: Engine[] = [];
  const sites: Listener[] = [];
  const [first = '', ...others] = names;
  const flooded = `${members.identity(first).node}/1`;
  const seen: Contender['seen'] = { reportedAtMs: undefined, results: [], refusingAtMs: undefined };
  const log: Log = {
    debug: () => undefined,
    info: (message, fields) => {
      if (/^the head is |ghost|head grows/.test(message)) tell(`${message} ${JSON.stringify(fields ?? {})}`);
      if (message === 'the head is refusing' && fields?.head === flooded) seen.refusingAtMs ??= clock.monotonic();
    },
    warn: (message, fields) => {
      if (/ghost/.test(message)) tell(`${message} ${JSON.stringify(fields ?? {})}`);
      if (message === 'a head is under siege') seen.reportedAtMs ??= clock.monotonic();
    },
    error: (message) => tell(message),
    child: () => log,
  };
  const startNode = async (name: string): Promise<void> => {
    const site = await openSlowSite(runtime, name, slowMs);
    sites.push(site);
    const value = {
      node: { id: members.identity(name).node },
      master: { identity_key_path: keyPath },
      tor: { control: formatEndpoint((tors.get(name) as PrivateTor).control) },
      heads: { target: formatEndpoint(site.endpoint) },
      plugins: { remove: ['heads/registry'], add: ['mesh'] },
      ...(preset === 'hydra' ? { ghost: { siege_grace_secs: graceSecs, allow_short_grace: true } } : {}),
    };
    const loaded = { file: undefined, directory: network.directory, value };
    const resolved = await resolveConfig(loaded, { presets, plugins }, preset);
    const engine = createNode(
      { ...resolved, plugins: [...resolved.plugins, ...members.plugins(name), memoryTransport(bus, name)] },
      { ...runtime, log },
    );
    engine.onResult((result) => seen.results.push({ atMs: clock.monotonic(), result }));
    engines.push(engine);
    await engine.start();
  };
  return {
    address,
    aim: address,
    flooded,
    seen,
    isComplete: () => {
      const last = seen.results.filter(({ result }) => result.outcome === 'published').at(-1);
      // Hydra keeps one of four back.
      return Promise.resolve(last?.result.live.length === (preset === 'hydra' ? names.length - 1 : names.length));
    },
    startFirst: async () => startNode(first),
    startOthers: async () => {
      for (const name of others) await startNode(name);
    },
    stop: async () => {
      for (const engine of engines.reverse()) await engine.stop();
      for (const site of sites) await site.close();
    },
  };
}

async function onionBalance({ runtime, network, tors, slowMs, tell }: ContenderOptions): Promise<Contender> {
  const directory = `${network.directory}/onionbalance`;
  const { address, keyPath } = await makeMaster(runtime, directory);
  const sites: Listener[] = [];
  const addresses: OnionAddress[] = [];
  for (const [name, instance] of tors) {
    const site = await openSlowSite(runtime, name, slowMs);
    sites.push(site);
    const tor = createTorClient(runtime, { control: instance.control, name });
    try {
      await tor.ready(10_000);
      const place = `${instance.dataDirectory}/service`;
      addresses.push(
        await startBackend({ store: runtime.store, tor, directory: place, master: address, target: site.endpoint }),
      );
    } finally {
      await tor.close();
    }
  }
  const uploader = await network.addTor({ name: 'onionbalance-tor' });
  await uploader.bootstrapped();
  const instances = addresses.map((one) => `    - address: ${one}.onion\n`).join('');
  await runtime.store.write(`${directory}/config.yaml`, `services:\n- key: ${keyPath}\n  instances:\n${instances}`);
  const { host, port } = uploader.control as { host: string; port: number };
  let complete = false;
  const place = ['-i', host, '-p', String(port), '-c', `${directory}/config.yaml`];
  const program = createProgram(runtime, 'onionbalance', ['--is-testnet', '-v', 'info', ...place], directory);
  return {
    address,
    aim: addresses[0] as OnionAddress,
    flooded: addresses[0] as OnionAddress,
    seen: { reportedAtMs: undefined, results: [], refusingAtMs: undefined },
    isComplete: async (introPoints, client) => {
      const published = introPoints.map(introPointId);
      const heads = await Promise.all([...tors.values()].map((tor) => introPointsOf(runtime, client, address, tor)));
      const there = heads.filter(({ ids }) => published.some((id) => ids.has(id))).length;
      tell(`${there} of ${heads.length} heads are in the descriptor`);
      complete = there === heads.length;
      return complete;
    },
    startFirst: async () => program.start(),
    startOthers: async () => undefined,
    stop: async () => {
      if (!complete) tell(`onionbalance said last:\n${program.output().slice(-3_000)}`);
      // SIGTERM does not end it.
      await program.stop('SIGKILL');
      for (const site of sites) await site.close();
    },
  };
}
