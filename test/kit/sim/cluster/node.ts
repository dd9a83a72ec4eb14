/** A node of the simulated cluster: a machine with a daemon, a tor and a site behind its head. The daemon has several lives. */
import { createNode } from '../../../../core/cli/node.ts';
import { resolveConfig } from '../../../../core/config/index.ts';
import {
  clusterSecretsContract,
  definePlugin,
  electionContract,
  meshContract,
  nodeIdentityContract,
  passphraseContract,
  rosterContract,
  signerContract,
  transportContract,
  type AdminCommand,
  type AnyPlugin,
  type ClusterSecrets,
  type Contract,
  type Election,
  type Engine,
  type Mesh,
  type NodeIdentity,
  type Roster,
} from '../../../../core/engine/index.ts';
import { adminContract } from '../../../../core/engine/index.ts';
import type { OnionAddress } from '../../../../core/onion/index.ts';
import type { CycleResult, Signer } from '../../../../core/pipeline/index.ts';
import { formatEndpoint } from '../../../../core/runtime/index.ts';
import { plugins } from '../../../../plugins/index.ts';
import { presets } from '../../../../presets/index.ts';
import type { EmbeddedTor } from '../../network/embedded/index.ts';
import { endpointOf, maximumDatagram, type SimulatedBus } from './bus.ts';
import type { Life, Machine } from './life.ts';
import { successorOf } from './observe.ts';
import { signingWith, type Pen } from './pen.ts';
import { replaced, withService } from './wrap.ts';

/** Where the operator's sealed key lies on those machines that may be started first. */
export const sealedKeyIn = (directory: string): string => `${directory}/master.sealed`;

/** Where a machine lets others in. */
export const doorOf = ({ name }: Machine): string => `door-${name}:7412`;

/** The only command of a simulated machine. */
export const restartTor = 'restart-tor';

/** What a daemon's socket keeps while the daemon stands still. */
const socketQueue = 256;

export interface NodeParts {
  readonly machine: Machine;
  /** As its key file has it. */
  readonly identity: NodeIdentity;
  readonly tor: EmbeddedTor;
  /** `host:port` of the site that the head leads to. */
  readonly target: string;
  readonly directory: string;
  readonly address: OnionAddress;
  /** The plugin that elects, one of those that ship. */
  readonly election: string;
  /** What the operator answers when this node asks for the passphrase. */
  readonly passphrase: () => Uint8Array | undefined;
  /** Of the configuration, over the preset's. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Whether `repair` may restart the tor. */
  readonly restartsTor: boolean;
  /** Whether `proxy` stands before the site, and who joins comes over the service's address. */
  readonly proxied: boolean;
  /** In place of the shipped ones; a test puts a mistake in here. */
  readonly mutate: (plugins: readonly AnyPlugin[], node: string) => readonly AnyPlugin[];
  /** Called when the node names the one that is to publish next. */
  readonly onHandOver: (successor: string) => void;
  /** What the node says of itself when it is observed. */
  readonly observer: AnyPlugin;
}

/** A daemon that has been started. */
export interface Daemon {
  readonly life: Life;
  readonly engine: Engine;
  readonly election: Election;
  readonly mesh: Mesh;
  readonly roster: Roster | undefined;
  readonly signer: Signer;
  readonly secrets: ClusterSecrets | undefined;
  readonly commands: ReadonlyMap<string, AdminCommand>;
  /** What plugins would show in the status. */
  readonly statuses: ReadonlyMap<string, () => unknown>;
  readonly pen: Pen;
  /** False until its start has resolved. */
  running: boolean;
}

/** The service if some plugin gives it. */
function optional<Service>(engine: Engine, contract: Contract<Service>): Service | undefined {
  try {
    return engine.service(contract);
  } catch {
    return undefined;
  }
}

export function busTransport(bus: SimulatedBus, life: Life, name: string): AnyPlugin {
  return definePlugin({
    name: 'transport/simulated',
    summary: 'Carries datagrams over the faulty network of a simulation.',
    gives: [transportContract],
    apply(host) {
      const listeners = new Set<(from: string, bytes: Uint8Array) => void>();
      const receive = (from: string, bytes: Uint8Array): boolean =>
        life.run(() => {
          for (const listener of listeners) listener(from, bytes);
        }, socketQueue);
      const leave = bus.join(name, receive);
      host.give(transportContract, {
        endpoint: endpointOf(name),
        maximumBytes: maximumDatagram,
        send: (endpoint, bytes) => {
          if (life.state !== 'dead') bus.send(name, endpoint, bytes);
        },
        onMessage: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      });
      host.defer(leave);
      life.atEnd(leave);
    },
  });
}

function ownPlugins(
  parts: NodeParts,
  commands: Map<string, AdminCommand>,
  statuses: Map<string, () => unknown>,
): AnyPlugin[] {
  const prompt = definePlugin({
    name: 'passphrase/simulated',
    summary: 'Asks the operator of the simulation.',
    gives: [passphraseContract],
    apply: (host) => host.give(passphraseContract, { take: async () => parts.passphrase() }),
  });
  const door = definePlugin({
    name: 'admin/simulated',
    summary: 'Keeps the commands for the operator of the simulation.',
    gives: [adminContract],
    apply: (host) =>
      host.give(adminContract, {
        command: (command) => void commands.set(command.name, command),
        status: (section, report) => void statuses.set(section, report),
      }),
  });
  return [prompt, door, parts.observer];
}

const defaultElection = 'election/uptime';
/** Of preset cluster, what the simulation has others for; each run has an election of its own. */
const without = ['admin', 'transport/udp', defaultElection];

/** Whether it was asked to, or its term is over: who names a successor publishes on until that one has begun. */
function tellHandOver(mesh: Mesh, node: string, told: (successor: string) => void): void {
  let named: string | undefined;
  mesh.onChange((change) => {
    if (change.node !== node || change.what !== 'record' || change.kind !== 'election') return;
    const successor = successorOf(mesh, node);
    if (successor !== undefined && successor !== named) told(successor);
    named = successor;
  });
}

/** Makes a daemon that is not started yet. `entries`: the roster of the cluster that it belongs to. */
export async function makeDaemon(
  parts: NodeParts,
  life: Life,
  bus: SimulatedBus,
  entries: Uint8Array | undefined,
  onResult: (result: CycleResult) => void,
): Promise<Daemon> {
  const { address, identity, tor, settings, directory } = parts;
  const sealedKeyPath = sealedKeyIn(directory);
  const isKeeper = (await life.runtime.store.mode(sealedKeyPath)) !== undefined;
  const value = {
    ...settings,
    node: { id: 'simulated', state_directory: directory },
    // Where the machine has nothing else that restarts its tor.
    ...(parts.restartsTor ? { repair: { tors: [{ command: [restartTor] }] } } : {}),
    join: { listen: doorOf(parts.machine) },
    vault: { onion_address: address, ...(isKeeper ? { sealed_key_path: sealedKeyPath } : {}) },
    tor: { control: formatEndpoint(tor.control) },
    // Changes are told by events; a poll only finds what hangs, and costs much.
    heads: { target: parts.target, poll_interval_ms: 30_000, ...settings['heads'] },
    // What somebody else published last is found within the calm.
    schedule: { watch_secs: 60, ...settings['schedule'] },
    plugins: { remove: parts.proxied ? without : [...without, 'proxy'], add: [parts.election] },
  };
  const loaded = { file: undefined, directory, value };
  const resolved = await resolveConfig(loaded, { presets, plugins }, 'cluster');
  const commands = new Map<string, AdminCommand>();
  const statuses = new Map<string, () => unknown>();
  const pen: Pen = { honest: true };
  const shipped = replaced(resolved.plugins, 'identity', (plugin) =>
    withService(plugin, nodeIdentityContract, (own) => signingWith(pen, own)),
  );
  const all = [...ownPlugins(parts, commands, statuses), busTransport(bus, life, identity.node), ...shipped];
  const mutated = parts.mutate(all, identity.node) as AnyPlugin[];
  const engine = createNode({ ...resolved, plugins: mutated }, life.runtime, identity.node);
  const mesh = engine.service(meshContract);
  tellHandOver(mesh, identity.node, parts.onHandOver);
  engine.onResult(onResult);
  const roster = optional(engine, rosterContract);
  if (entries !== undefined) roster?.learn(entries);
  return {
    life,
    engine,
    election: engine.service(electionContract),
    mesh,
    roster,
    signer: engine.service(signerContract),
    secrets: optional(engine, clusterSecretsContract),
    commands,
    statuses,
    pen,
    running: false,
  };
}
