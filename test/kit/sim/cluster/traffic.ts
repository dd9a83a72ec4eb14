/**
 * Mesh and election alone, without tor and heads, for sizes that a whole simulation cannot have: what does a node send at rest?
 *
 * All nodes know the roster and start together. Once every node knows every other alive, all hold the same and agree on one
 * publisher, and a while has passed, everything that is sent is counted, by who sends it. A service goes on meanwhile: the publisher says
 * once a minute that it has published and where to, and now and then a head has other introduction points.
 */
import * as v from 'valibot';
import { presetPlugins } from '../../../../core/config/preset.ts';
import {
  createEngine,
  definePlugin,
  electionContract,
  meshContract,
  signerContract,
  torContract,
  transportContract,
  type AnyPlugin,
  type ClusterSecrets,
  type Election,
  type Engine,
  type Mesh,
  type NodeIdentity,
  type Tor,
} from '../../../../core/engine/index.ts';
import { masterKeyFromSeed } from '../../../../core/onion/index.ts';
import { rememberVerified } from '../../../../core/onion/signature.ts';
import { silentLog, type Random } from '../../../../core/runtime/index.ts';
import { headsKind } from '../../../../plugins/mesh/heads.ts';
import type { MeshNode } from '../../../../plugins/mesh/model.ts';
import { createMeshNode } from '../../../../plugins/mesh/node.ts';
import { admitInto, foundRoster, type MemberRoster } from '../../../../plugins/mesh/roster.ts';
import { createMeshService } from '../../../../plugins/mesh/service.ts';
import { rememberSealed } from '../../../../plugins/mesh/session/noise.ts';
import { joinTransports } from '../../../../plugins/transport/several.ts';
import cluster from '../../../../presets/cluster.ts';
import { testIdentity, testSecrets } from '../identity.ts';
import { createMemoryNet } from '../memory-net.ts';
import { createMemoryStore } from '../memory-store.ts';
import { createSeededRandom } from '../seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../virtual-clock.ts';
import { endpointOf, SimulatedBus } from './bus.ts';
import { noFaults } from './faults.ts';
import { Life } from './life.ts';
import { busTransport } from './node.ts';

/** Of all nodes, and of the one that sends most. */
export interface TrafficRate {
  readonly mean: number;
  readonly busiest: number;
}

export interface TrafficReport {
  readonly nodes: number;
  readonly seconds: number;
  readonly lossShare: number;
  /** A node each second. */
  readonly messages: TrafficRate;
  readonly bytes: TrafficRate;
  /** From the start until everybody knew everything, and what a node has sent by then. */
  readonly settledAfterSeconds: number;
  readonly bytesUntilSettled: TrafficRate;
  /** Exactly one is elected and all know it, before and after. */
  readonly agreed: boolean;
}

const rememberedSignatures = 4_096;
const rememberedSeals = 4_096;
/** Longer than the election listens, shorter than it takes until the first claims. */
const listenMs = 2_200;
/** How long the cluster may take to find together, and how long it is left alone after that. */
const settleLimitSeconds = 600;
const restSeconds = 20;
/** So many nodes have a head, or all. */
const headCount = 20;
/** What tor's own copy of a descriptor with three introduction points has. */
const descriptorBytes = 14_000;
/** How often some head has others: far more often than twenty heads of tor do, each a few times a day. */
const headChangeMs = 120_000;
/** What a publisher says of each publication beside that it was made. */
const publishMs = 60_000;
const publicationBytes = 700;

/** As of a cluster that was here before: everybody remembers the first epoch, and who claimed it goes on with it. */
const stateDirectory = '/state';

interface TrafficNode {
  readonly id: string;
  readonly life: Life;
  readonly engine: Engine;
  readonly mesh: Mesh;
  readonly election: Election;
  /** A mesh node that is not started yet. */
  join(): MeshNode;
}

interface Parts {
  readonly clock: VirtualClock;
  readonly bus: SimulatedBus;
  readonly net: ReturnType<typeof createMemoryNet>;
  readonly secrets: ClusterSecrets;
  readonly masterKey: Uint8Array;
  /** Nobody comes or goes: one serves all. */
  readonly roster: MemberRoster;
}

/** A mesh node without the heads' plugin and its cycles. It joins when it is told to, and does not start. */
function meshPlugin(
  parts: Parts,
  identity: NodeIdentity,
): { readonly plugin: AnyPlugin; readonly join: () => MeshNode } {
  const { secrets, roster } = parts;
  let join: () => MeshNode = () => {
    throw new Error('the node has not started');
  };
  const plugin = definePlugin({
    name: 'mesh',
    summary: 'Knows which nodes are there.',
    needs: [transportContract],
    gives: [meshContract],
    apply(host) {
      const { clock, random } = host.runtime;
      const transport = joinTransports(host.all(transportContract));
      const service = createMeshService({ identity, transport });
      host.give(meshContract, service.mesh);
      join = () => {
        const node = createMeshNode({
          transport,
          identity,
          secrets,
          roster: service.settle(roster),
          clock,
          random,
          log: silentLog,
          settings: { beaconIntervalMs: 500, probeIntervalMs: 1_300, probeTimeoutMs: 1_000, suspicionMs: 2_000 },
          onRoster: () => undefined,
        });
        service.run(node);
        return node;
      };
    },
  });
  return { plugin, join: () => join() };
}

/** As `chimera init` sets nodes up. */
const election = presetPlugins(cluster).find(({ name }) => name.startsWith('election/')) as AnyPlugin;

async function makeNode(parts: Parts, index: number, identity: NodeIdentity, random: Random): Promise<TrafficNode> {
  const { clock, bus, net, masterKey, roster } = parts;
  const consensus = {} as never;
  const tor = {
    primary: { state: 'ready', onState: () => () => undefined, consensus: async () => consensus },
  } as unknown as Tor;
  const machine = { name: `n${index}`, monotonicOffsetMs: 0, wallOffsetMs: 0, diskFull: false };
  const store = createMemoryStore();
  await store.makeDirectory(stateDirectory);
  await store.write(
    `${stateDirectory}/election.json`,
    Buffer.from(JSON.stringify({ highestEpoch: 0, claimedBy: roster.cluster })),
  );
  const life = new Life({ machine, clock, random, net, store, onLog: () => undefined });
  const own = definePlugin({
    name: 'stub',
    summary: 'A tor that is ready, and a signer.',
    gives: [torContract, signerContract],
    apply(host) {
      host.give(torContract, tor);
      host.give(signerContract, {
        publicKey: masterKey,
        sign: async () => new Uint8Array(64),
        revisionKey: async () => new Uint8Array(32),
      });
      // Nothing is published here; that a cycle ran is what the election counts.
      host.hooks.admit.tap({ name: 'stub', stage: -1_000 }, () => ({ outcome: 'refused', why: 'no tor' }));
    },
  });
  const { plugin: mesh, join } = meshPlugin(parts, identity);
  const engine = createEngine({
    runtime: life.runtime,
    node: identity.node,
    stateDirectory,
    plugins: [own, busTransport(bus, life, identity.node), mesh, election],
    options: new Map([[election.name, v.parse(election.options as never, {})]]),
  });
  return {
    id: identity.node,
    life,
    engine,
    mesh: engine.service(meshContract),
    election: engine.service(electionContract),
    join,
  };
}

/** One elected, and all know it. */
function agree(nodes: readonly TrafficNode[]): boolean {
  const elected = nodes.filter(({ election }) => election.elected);
  return elected.length === 1 && nodes.every(({ election }) => election.publisher === elected[0]?.id);
}

/** Everybody knows everybody alive, and what everybody says. */
function knowAll(nodes: readonly TrafficNode[]): boolean {
  const versionsOf = ({ mesh: own }: TrafficNode, kind: string): string =>
    own
      .records(kind)
      .map(({ version }) => version)
      .join();
  const [first] = nodes;
  if (first === undefined) return true;
  const kinds = ['node', 'election', 'heads'].map((kind) => [kind, versionsOf(first, kind)] as const);
  return nodes.every(
    (node) =>
      node.mesh.members().filter(({ state }) => state === 'alive').length === nodes.length &&
      kinds.every(([kind, versions]) => versionsOf(node, kind) === versions),
  );
}

export async function measureTraffic(options: {
  readonly nodes: number;
  readonly seconds: number;
  readonly seed?: string;
  readonly lossShare?: number;
}): Promise<TrafficReport> {
  const { nodes: count, seconds, seed = 'traffic', lossShare = 0 } = options;
  // Every node verifies every admission and every record; one process holds them all.
  rememberVerified(8 * count + rememberedSignatures);
  rememberSealed(rememberedSeals);
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const bus = new SimulatedBus(clock, random.fork('bus'), { ...noFaults, lossShare });
  const secrets = testSecrets({ generation: 1, secret: random.bytes(32) });
  const masterKey = masterKeyFromSeed(random.bytes(32)).publicKey;
  const identities = Array.from({ length: count }, (_none, index) => testIdentity(random.fork(`identity ${index}`)));
  const [founder] = identities;
  if (founder === undefined) throw new RangeError('a cluster has a node');
  const roster = foundRoster(founder, [endpointOf(founder.node)]);
  for (const { node, keys } of identities.slice(1)) admitInto(roster, founder, keys, [endpointOf(node)]);
  const parts = { clock, bus, net: createMemoryNet({ clock }), secrets, masterKey, roster };

  let sent = new Map<string, { messages: number; bytes: number }>();
  bus.onSent = ({ from, bytes }) => {
    let own = sent.get(from);
    if (own === undefined) sent.set(from, (own = { messages: 0, bytes: 0 }));
    own.messages++;
    own.bytes += bytes.length;
  };
  const rateOf = (kind: 'messages' | 'bytes', perSeconds: number): TrafficRate => {
    const all = [...sent.values()].map((own) => own[kind] / perSeconds);
    return { mean: all.reduce((sum, one) => sum + one, 0) / count, busiest: Math.max(0, ...all) };
  };

  const nodes: TrafficNode[] = [];
  for (const [index, identity] of identities.entries())
    nodes.push(await makeNode(parts, index, identity, random.fork(`n${index}`)));
  await clock.runFor(Promise.all(nodes.map(({ engine }) => engine.start())), 10_000);
  // By then everybody could be elected, and nobody is.
  await clock.advance(listenMs);
  const withHeads = nodes.slice(0, headCount);
  const headTold = ({ mesh }: TrafficNode, number: number): void =>
    mesh.publish(headsKind, [`${number} `.padEnd(descriptorBytes, 'x')]);
  for (const node of withHeads) headTold(node, 0);
  const startedAtMs = clock.monotonic();
  const joined = nodes.map((node) => node.join());
  const said = joined.flatMap((node) => node.said());
  for (const node of joined) node.learn(said);
  for (const node of joined) node.start();

  const publication = (cycle: number): string => `${cycle} `.padEnd(publicationBytes, 'x');
  let cycle = 0;
  const publish = (): void => {
    for (const node of nodes) if (node.election.elected) node.mesh.publish('live', publication(cycle++));
  };
  const publishAgain = (): void => {
    publish();
    clock.after(publishMs, publishAgain);
  };
  let told = 0;
  const changeHead = (): void => {
    const node = withHeads[told++ % withHeads.length];
    if (node !== undefined) headTold(node, told);
    clock.after(headChangeMs, changeHead);
  };

  while (!(agree(nodes) && knowAll(nodes)) && clock.monotonic() - startedAtMs < settleLimitSeconds * 1_000)
    await clock.advance(2_000);
  const settledAfterSeconds = (clock.monotonic() - startedAtMs) / 1_000;
  const bytesUntilSettled = rateOf('bytes', 1);
  publish();
  await clock.advance(restSeconds * 1_000);
  let agreed = agree(nodes);
  clock.after(publishMs / 4, publishAgain);
  clock.after(headChangeMs / 4, changeHead);
  sent = new Map();
  await clock.advance(seconds * 1_000);
  agreed &&= agree(nodes);
  const report = {
    nodes: count,
    seconds,
    lossShare,
    messages: rateOf('messages', seconds),
    bytes: rateOf('bytes', seconds),
    settledAfterSeconds,
    bytesUntilSettled,
    agreed,
  };
  for (const { life } of nodes) life.kill();
  rememberVerified(0);
  rememberSealed(0);
  return report;
}
