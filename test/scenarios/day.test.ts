/**
 * Every hour of Tor's day: whole nodes on the embedded network, on a virtual clock, under the public network's rules
 * (hourly consensuses, a day of 24 hours, clients whose consensus is up to hours behind). Clients visit through the rollovers, of
 * more than a day for presets that publish in a way of their own; one keeps what it fetched, the other comes anew each time. The seed replays a failure.
 */
import { describe, expect, test } from 'vitest';
import { createNode } from '../../core/cli/node.ts';
import { resolveConfig } from '../../core/config/index.ts';
import { addressOfKey, encodeSecretKeyFile, masterKeyFromSeed } from '../../core/onion/index.ts';
import type { CycleResult } from '../../core/pipeline/index.ts';
import { formatEndpoint, silentLog, systemProcesses, type Runtime } from '../../core/runtime/index.ts';
import { createClusterSecret, createNodeKey, writeClusterSecrets } from '../../plugins/identity/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { plugins } from '../../plugins/index.ts';
import { presets } from '../../presets/index.ts';
import { startBackend } from '../kit/lab/backend.ts';
import { openSite } from '../kit/lab/site.ts';
import { createVisitor, type Visit } from '../kit/lab/visitor.ts';
import { startEmbeddedNetwork } from '../kit/network/embedded/index.ts';
import { createMemoryNet } from '../kit/sim/memory-net.ts';
import { createMemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../kit/sim/virtual-clock.ts';

const hourMs = 3_600_000;
const visitEveryMs = 10 * 60_000;
const heads = ['one', 'two', 'three'] as const;

interface Day {
  readonly results: readonly CycleResult[];
  /** By a client that keeps its descriptor as long as tor does. */
  readonly lasting: readonly Visit[];
  /** By a client that forgets before each visit. */
  readonly fresh: readonly Visit[];
}

/** From an hour of the day on, UTC, so many hours. */
interface Span {
  readonly from: number;
  readonly hours: number;
}

interface Case {
  readonly preset: string;
  readonly span: Span;
  readonly mostPublications: number;
  /** Settings under which a preset does what it is for, with three heads on one node. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Two changes of the time period, at noon, and one of the shared random value, at midnight. */
const wholeDay: Span = { from: 9, hours: 28 };
/** Around each of them, for presets that publish as another one does until they are attacked or lose a node. */
const aroundNoon: Span = { from: 10, hours: 4 };
const aroundMidnight: Span = { from: 22, hours: 4 };
// A day is long when a tor is asked what its circuits do twice a second.
const seldom = { siege: { sample_interval_ms: 10_000 } };

const cases: readonly Case[] = [
  { preset: 'stable', span: wholeDay, mostPublications: 60 },
  { preset: 'standalone', span: wholeDay, mostPublications: 60 },
  { preset: 'shared-identity', span: wholeDay, mostPublications: 60 },
  // Each head, or sub-master, changes something about once an hour.
  { preset: 'staggered', span: wholeDay, mostPublications: 160 },
  // More heads than places.
  { preset: 'stacked', span: wholeDay, mostPublications: 120, settings: { publish: { max_intro_points: 2 } } },
  { preset: 'distinct', span: wholeDay, mostPublications: 60 },
  ...[aroundNoon, aroundMidnight].flatMap((span): Case[] => [
    { preset: 'reactive', span, mostPublications: 20, settings: seldom },
    { preset: 'hydra', span, mostPublications: 20, settings: seldom },
    { preset: 'roulette', span, mostPublications: 20, settings: seldom },
    // As `chimera init --plain-key` sets up its first node.
    {
      preset: 'cluster',
      span,
      mostPublications: 20,
      settings: { plugins: { add: ['signer/file'], remove: ['signer/vault'] } },
    },
  ]),
];

/** What `chimera init` leaves for the first node of a cluster; gives its id. */
async function prepareMember({ store, random }: Runtime, directory: string): Promise<string> {
  await store.makeDirectory(directory);
  const { node } = await createNodeKey(store, `${directory}/node_key`, random);
  await writeClusterSecrets(store, `${directory}/cluster_secrets`, [createClusterSecret(random)], { fresh: true });
  return node;
}

async function live({ preset, span, settings }: Case): Promise<Day> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, span.from, 17));
  const random = createSeededRandom(`a day of ${preset}`);
  const store = createMemoryStore();
  const runtime: Runtime = {
    clock,
    random,
    net: createMemoryNet({ clock, latencyMs: 1 }),
    store,
    processes: systemProcesses,
    log: silentLog,
  };
  const network = await startEmbeddedNetwork(runtime, {
    testingNetwork: false,
    votingSeconds: 3_600,
    sharedRandom: 'both',
  });
  const names = [...heads, 'publisher', 'lasting', 'fresh'];
  const tors = await clock.runFor(Promise.all(names.map((name) => network.addTor({ name, socks: true }))), 60_000);
  await clock.runFor(network.ready(), 2 * hourMs);
  const torOf = (name: string) => tors[names.indexOf(name)] as NonNullable<(typeof tors)[number]>;
  const clientOf = (name: string) => createTorClient(runtime, { control: torOf(name).control, name });

  const key = masterKeyFromSeed(random.bytes(32));
  const address = addressOfKey(key.publicKey);
  await store.makeDirectory('/lab');
  await store.write('/lab/key', encodeSecretKeyFile(key));
  const id = preset === 'cluster' ? await prepareMember(runtime, '/lab/state') : 'node';
  const sites = await Promise.all(heads.map((name) => openSite(runtime.net, name)));
  const value: Record<string, unknown> = {
    ...settings,
    master: { identity_key_path: '/lab/key' },
    node: { id, state_directory: '/lab/state' },
    tor: { control: formatEndpoint(torOf(preset === 'standalone' ? 'publisher' : 'one').control) },
  };
  const controls = heads.map((name) => formatEndpoint(torOf(name).control));
  const clients = heads.map(clientOf);
  if (preset === 'standalone') {
    const addresses: string[] = [];
    for (const [index, tor] of clients.entries()) {
      await clock.runFor(tor.ready(60_000), 60_000);
      const target = sites[index]?.endpoint as (typeof sites)[number]['endpoint'];
      const started = startBackend({ store, tor, directory: `/lab/${heads[index]}`, master: address, target });
      addresses.push(await clock.runFor(started, 60_000));
    }
    value.backends = { addresses, watch_port: 0 };
  } else {
    const target = formatEndpoint(sites[0]?.endpoint as (typeof sites)[number]['endpoint']);
    // A day is long when a tor is asked every three seconds.
    value.heads = { controls, target, poll_interval_ms: 60_000 };
  }

  const resolved = await resolveConfig({ file: undefined, directory: '/lab', value }, { presets, plugins }, preset);
  const engine = createNode(resolved, runtime);
  const results: CycleResult[] = [];
  engine.onResult((result) => results.push(result));
  await clock.runFor(engine.start(), 60_000);
  await clock.advance(60_000);

  const visitors = ['lasting', 'fresh'].map((name) => {
    const tor = clientOf(name);
    const socks = torOf(name).socks as NonNullable<ReturnType<typeof torOf>['socks']>;
    return { tor, visitor: createVisitor({ net: runtime.net, clock, tor, socks, address, port: 80 }) };
  });
  const [lastingVisitor, freshVisitor] = visitors as [(typeof visitors)[number], (typeof visitors)[number]];
  await clock.runFor(Promise.all(visitors.map(({ tor }) => tor.ready(60_000))), 60_000);
  const lasting: Visit[] = [];
  const fresh: Visit[] = [];
  for (let spentMs = 0; spentMs < span.hours * hourMs; spentMs += visitEveryMs) {
    await clock.runFor(freshVisitor.tor.signal('NEWNYM'), 10_000);
    fresh.push(await clock.runFor(freshVisitor.visitor.visit(60_000), 90_000));
    lasting.push(await clock.runFor(lastingVisitor.visitor.visit(60_000), 90_000));
    await clock.advance(visitEveryMs);
  }
  await clock.runFor(engine.stop(), 10_000);
  await Promise.all([...clients, ...visitors.map(({ tor }) => tor)].map((client) => client.close()));
  await clock.runFor(network.stop(), 10_000);
  return { results, lasting, fresh };
}

const failures = (visits: readonly Visit[]): string[] =>
  visits.flatMap(({ reason }) => (reason === undefined ? [] : [reason]));

test('every preset has its day', () => {
  expect(new Set(cases.map(({ preset }) => preset))).toEqual(new Set(presets.keys()));
});

describe.each(cases.map((one) => [one.preset, one.span.from, one] as const))(
  'preset %s from %i o’clock',
  (_name, _from, one) => {
    test('is reachable at every hour, through the rollovers', { timeout: 480_000 }, async () => {
      const { results, lasting, fresh } = await live(one);
      expect(failures(fresh)).toEqual([]);
      expect(failures(lasting)).toEqual([]);
      // Never without a published descriptor, and not many publications beyond changes, rollovers and refreshes.
      const published = results.filter(({ outcome }) => outcome === 'published');
      expect(published.length).toBeGreaterThan(one.span.hours / 2);
      expect(published.length).toBeLessThan(one.mostPublications);
    });
  },
);
