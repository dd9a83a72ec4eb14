/** A node of the simulated cluster: a machine with a daemon, a tor and a site behind its head. The daemon has several lives. */
import { createNode } from '../../../../core/cli/node.ts';
import { resolveConfig } from '../../../../core/config/index.ts';
import {
  clusterSecretsContract,
  definePlugin,
  electionContract,
  meshContract,
  nodeIdentityContract,
  rosterContract,
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
import type { CycleResult } from '../../../../core/pipeline/index.ts';
import { formatEndpoint } from '../../../../core/runtime/index.ts';
import { plugins } from '../../../../plugins/index.ts';
import { presets } from '../../../../presets/index.ts';
import type { EmbeddedTor } from '../../network/embedded/index.ts';
import { endpointOf, maximumDatagram, type SimulatedBus } from './bus.ts';
import type { Life, Machine } from './life.ts';
import { signingWith, type Pen } from './pen.ts';

/** What a daemon's socket keeps while the daemon stands still. */
const socketQueue = 256;

export interface NodeParts {
  readonly machine: Machine;
  readonly identity: NodeIdentity;
  readonly secrets: ClusterSecrets;
  readonly tor: EmbeddedTor;
  /** `host:port` of the site that the head leads to. */
  readonly target: string;
  readonly directory: string;
  readonly keyPath: string;
  /** Of the configuration, over the preset's. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** In place of the shipped ones; a test puts a mistake in here. */
  readonly mutate: (plugins: readonly AnyPlugin[], node: string) => readonly AnyPlugin[];
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
  readonly commands: ReadonlyMap<string, AdminCommand>;
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
      const receive = (from: string, bytes: Uint8Array): void =>
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

function ownPlugins(parts: NodeParts, commands: Map<string, AdminCommand>, pen: Pen): AnyPlugin[] {
  const keys = definePlugin({
    name: 'identity/simulated',
    summary: 'Keys from the seed.',
    gives: [nodeIdentityContract, clusterSecretsContract],
    apply(host) {
      host.give(nodeIdentityContract, signingWith(pen, parts.identity));
      host.give(clusterSecretsContract, parts.secrets);
    },
  });
  const door = definePlugin({
    name: 'admin/simulated',
    summary: 'Keeps the commands for the operator of the simulation.',
    gives: [adminContract],
    apply: (host) =>
      host.give(adminContract, {
        command: (command) => void commands.set(command.name, command),
        status: () => undefined,
      }),
  });
  return [keys, door, parts.observer];
}

/** Makes a daemon that is not started yet. `entries`: the roster of the cluster that it belongs to. */
export async function makeDaemon(
  parts: NodeParts,
  life: Life,
  bus: SimulatedBus,
  entries: Uint8Array | undefined,
  onResult: (result: CycleResult) => void,
): Promise<Daemon> {
  const { identity, tor, settings, directory } = parts;
  const value = {
    ...settings,
    node: { id: identity.node, state_directory: directory },
    master: { identity_key_path: parts.keyPath },
    tor: { control: formatEndpoint(tor.control) },
    // Changes are told by events; a poll only finds what hangs, and costs much.
    heads: { target: parts.target, poll_interval_ms: 30_000, ...settings['heads'] },
    // What somebody else published last is found within the calm.
    schedule: { watch_secs: 60, ...settings['schedule'] },
    // As preset cluster has it, less what a storm has no subject for.
    plugins: { remove: ['heads/registry', 'admin', 'election/priority'], add: ['mesh', 'election/uptime'] },
  };
  const loaded = { file: undefined, directory, value };
  const resolved = await resolveConfig(loaded, { presets, plugins }, 'stable');
  const commands = new Map<string, AdminCommand>();
  const pen: Pen = { honest: true };
  const all = [...ownPlugins(parts, commands, pen), busTransport(bus, life, identity.node), ...resolved.plugins];
  const engine = createNode({ ...resolved, plugins: parts.mutate(all, identity.node) as AnyPlugin[] }, life.runtime);
  engine.onResult(onResult);
  const roster = optional(engine, rosterContract);
  if (entries !== undefined) roster?.learn(entries);
  return {
    life,
    engine,
    election: engine.service(electionContract),
    mesh: engine.service(meshContract),
    roster,
    commands,
    pen,
    running: false,
  };
}
