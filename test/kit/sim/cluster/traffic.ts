/** Mesh and election alone, without tor and heads, for sizes that a whole simulation cannot have: what does a node send? */
import * as v from 'valibot';
import {
  clusterSecretsContract,
  createEngine,
  definePlugin,
  electionContract,
  nodeIdentityContract,
  rosterContract,
  signerContract,
  torContract,
  type Election,
  type Roster,
  type Tor,
} from '../../../../core/engine/index.ts';
import { masterKeyFromSeed } from '../../../../core/onion/index.ts';
import { rememberVerified } from '../../../../core/onion/signature.ts';
import electionPriority from '../../../../plugins/election/priority/index.ts';
import mesh from '../../../../plugins/mesh/index.ts';
import { rememberSealed } from '../../../../plugins/mesh/session/noise.ts';
import { testIdentity, testSecrets } from '../identity.ts';
import { createMemoryNet } from '../memory-net.ts';
import { createMemoryStore } from '../memory-store.ts';
import { createSeededRandom } from '../seeded-random.ts';
import { createVirtualClock } from '../virtual-clock.ts';
import { endpointOf, SimulatedBus } from './bus.ts';
import { noFaults } from './faults.ts';
import { Life } from './life.ts';
import { busTransport } from './node.ts';

export interface TrafficReport {
  readonly nodes: number;
  readonly seconds: number;
  readonly lossShare: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Exactly one is elected, and all know it. */
  readonly agreed: boolean;
}

const rememberedSignatures = 4_096;
const rememberedSeals = 4_096;
/** How long the cluster may find together before anything is counted. */
const settleSeconds = 60;

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
  const net = createMemoryNet({ clock });
  const secret = { generation: 1, secret: random.bytes(32) };
  const key = masterKeyFromSeed(random.bytes(32));
  const consensus = {} as never;
  const tor = {
    primary: { state: 'ready', onState: () => () => undefined, consensus: async () => consensus },
  } as unknown as Tor;
  const identities = Array.from({ length: count }, (_none, index) => testIdentity(random.fork(`identity ${index}`)));
  const elections: Election[] = [];
  const lives: Life[] = [];
  let entries: Uint8Array | undefined;

  for (const [index, identity] of identities.entries()) {
    const machine = { name: `n${index}`, monotonicOffsetMs: 0, wallOffsetMs: 0, diskFull: false };
    const life = new Life({
      machine,
      clock,
      random: random.fork(`n${index}`),
      net,
      store: createMemoryStore(),
      onLog: () => undefined,
    });
    lives.push(life);
    const own = definePlugin({
      name: 'stub',
      summary: 'A tor that is ready, and keys.',
      gives: [torContract, signerContract, nodeIdentityContract, clusterSecretsContract],
      apply(host) {
        host.give(torContract, tor);
        host.give(signerContract, {
          publicKey: key.publicKey,
          sign: async () => new Uint8Array(64),
          revisionKey: async () => new Uint8Array(32),
        });
        host.give(nodeIdentityContract, identity);
        host.give(clusterSecretsContract, testSecrets(secret));
        // Nothing is published here.
        host.hooks.admit.tap({ name: 'stub', stage: -1_000 }, () => ({ outcome: 'refused', why: 'no tor' }));
      },
    });
    const engine = createEngine({
      runtime: life.runtime,
      node: identity.node,
      plugins: [own, busTransport(bus, life, identity.node), mesh, electionPriority],
      options: new Map<string, unknown>([
        ['mesh', v.parse(mesh.options as never, {})],
        ['election/priority', v.parse(electionPriority.options as never, { priority: index })],
      ]),
    });
    let roster: Roster | undefined;
    try {
      roster = engine.service(rosterContract);
    } catch {
      roster = undefined;
    }
    if (entries !== undefined) roster?.learn(entries);
    await clock.runFor(engine.start(), 10_000);
    if (index === 0 && roster !== undefined) {
      for (const { node, keys } of identities.slice(1)) roster.admit(keys, [endpointOf(node)]);
      entries = roster.entries();
    }
    elections.push(engine.service(electionContract));
  }
  await clock.advance(settleSeconds * 1_000);
  const before = { ...bus.sent };
  await clock.advance(seconds * 1_000);
  const elected = elections.filter((election) => election.elected);
  const agreed = elected.length === 1 && elections.every(({ publisher }) => publisher === elected[0]?.publisher);
  const report = {
    nodes: count,
    seconds,
    lossShare,
    messagesPerSecond: (bus.sent.datagrams - before.datagrams) / seconds / count,
    bytesPerSecond: (bus.sent.bytes - before.bytes) / seconds / count,
    agreed,
  };
  for (const life of lives) life.kill();
  rememberVerified(0);
  rememberSealed(0);
  return report;
}
