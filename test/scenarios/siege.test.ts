/**
 * An introduction flood against a service of four heads, in virtual time on the embedded network. The flooders are stock
 * clients: they fetched the descriptor when it held one head alone, and keep it as C tor does, for as long as its points
 * answer.
 */
import { afterEach, expect, test } from 'vitest';
import { createTorClient } from '../../plugins/tor/index.ts';
import { adminContract, definePlugin, meshContract, type Json } from '../../core/engine/index.ts';
import type { Endpoint } from '../../core/runtime/index.ts';
import type { Visit, Visitor } from '../kit/lab/visitor.ts';
import { socksConnect } from '../kit/network/conformance/raw-socks.ts';
import { introduce } from '../kit/network/embedded/introduction.ts';
import { Rendezvous } from '../kit/network/embedded/rendezvous.ts';
import { startServiceCluster, type ServiceCluster } from './service-cluster.ts';

let cluster: ServiceCluster | undefined;
afterEach(async () => {
  await cluster?.end();
  cluster = undefined;
});

const client = (name: string): Promise<Visitor> => (cluster as ServiceCluster).client(name);
const site = (name: string): Promise<string> => (cluster as ServiceCluster).site(name);

/** `perSecond` introductions, each over a circuit of its own, until stopped; nobody waits for an answer. */
function flood(visitor: Visitor, perSecond: number): () => void {
  const { clock } = cluster as ServiceCluster;
  let on = true;
  const next = (): void => {
    if (!on) return;
    void visitor.visit(10_000);
    clock.after(1_000 / perSecond, next);
  };
  next();
  return () => (on = false);
}

async function begin(
  seed: string,
  tables: Record<string, Record<string, unknown>> = {},
  { add = [], preset = 'hydra' }: { readonly add?: readonly string[]; readonly preset?: string } = {},
): Promise<void> {
  cluster = await startServiceCluster(seed, { preset });
  await cluster.start('a', { tables: { heads: { target: await site('a') }, ...tables }, add });
  await cluster.published(60_000, { heads: 1 });
}
/** The descriptor that is out no longer leads to the first node. */
const isCut = (): boolean => {
  const [first] = (cluster as ServiceCluster).nodes;
  const live = (cluster as ServiceCluster).newest()?.live ?? [];
  return live.length > 0 && live.every((head) => !head.startsWith(`${first?.engine.node}/`));
};

test(
  'a flood at one head: it is cut within seconds, another one grows, honest clients hardly notice',
  { timeout: 60_000 },
  async () => {
    await begin('flood');
    const { clock } = cluster as ServiceCluster;
    const flooder = await client('flooder');
    expect((await clock.runFor(flooder.visit(15_000), 20_000)).head).toBe('a');
    for (const name of ['b', 'c', 'd']) {
      await cluster?.start(name, { tables: { heads: { target: await site(name) } } });
    }
    await cluster?.published(60_000);
    await clock.advance(30_000);

    const began = clock.monotonic();
    const stop = flood(flooder, 20);
    await clock.runUntil(isCut, 20_000);
    const took = clock.monotonic() - began;
    expect(took).toBeLessThan(10_000);

    const visits: Visit[] = [];
    for (let second = 0; second < 12; second++) {
      const honest = await client(`honest-${second}`);
      visits.push(await clock.runFor(honest.visit(15_000), 20_000));
    }
    stop();
    expect(visits.filter(({ head }) => head === undefined)).toEqual([]);
    expect(visits.map(({ head }) => head)).not.toContain('a');

    // The publisher's own tor was the besieged one: another node publishes, and knows what the first has spent.
    const [publisher] = (cluster as ServiceCluster).elected();
    expect(publisher?.name).not.toBe('a');
    const said = publisher?.engine.service(meshContract).records('hydra') ?? [];
    const own = said.find(({ node }) => node === publisher?.engine.node)?.value as { spent: number[] } | undefined;
    expect(own?.spent).toHaveLength(1);
  },
);

test(
  'a ghost refuses after its grace: its points answer no more, and what is joined all the same is closed',
  { timeout: 60_000 },
  async () => {
    await begin('ghost', { ghost: { siege_grace_secs: 180 } });
    const { clock } = cluster as ServiceCluster;
    const flooder = await client('flooder');
    const stale = await client('stale');
    for (const visitor of [flooder, stale]) await clock.runFor(visitor.visit(15_000), 20_000);
    for (const name of ['b', 'c', 'd']) {
      await cluster?.start(name, { tables: { heads: { target: await site(name) } } });
    }
    await clock.advance(30_000);
    const stop = flood(flooder, 20);
    await clock.runUntil(isCut, 20_000);
    stop();
    // Within the grace the old descriptor is as good as ever.
    expect((await clock.runFor(stale.visit(15_000), 20_000)).head).toBe('a');
    await clock.advance(240_000);
    const visit = await clock.runFor(stale.visit(60_000), 70_000);
    expect(visit.head).toMatch(/^[bcd]$/);
    expect(visit.durationMs).toBeLessThan(10_000);
  },
);

test(
  'reactive: a flooded head leaves the descriptor, drains, and comes back after its calm',
  { timeout: 60_000 },
  async () => {
    const calm = { siege: { calm_secs: 10, sample_interval_ms: 1_000 }, strategy: { calm_secs: 10 } };
    await begin('reactive', calm, { preset: 'reactive' });
    const { clock } = cluster as ServiceCluster;
    const flooder = await client('flooder');
    expect((await clock.runFor(flooder.visit(15_000), 20_000)).head).toBe('a');
    for (const name of ['b', 'c', 'd']) {
      await cluster?.start(name, { tables: { heads: { target: await site(name) }, ...calm } });
    }
    await cluster?.published(60_000, { heads: 4 });
    await clock.advance(30_000);
    expect(isCut()).toBe(false);

    const stop = flood(flooder, 20);
    await clock.runUntil(isCut, 20_000);
    expect((cluster as ServiceCluster).newest()?.live).toHaveLength(3);
    stop();
    const honest = await client('honest');
    expect((await clock.runFor(honest.visit(15_000), 20_000)).head).toMatch(/^[bcd]$/);
    // Who holds only the old descriptor is served still: the head drains.
    expect((await clock.runFor(flooder.visit(15_000), 20_000)).head).toBe('a');
    const ended = clock.monotonic();
    await clock.runUntil(() => !isCut(), 300_000);
    expect(clock.monotonic() - ended).toBeGreaterThan(10_000);
    expect((cluster as ServiceCluster).newest()?.live).toHaveLength(4);
  },
);

test('a flood at one introduction point shows there, though nobody can read it', { timeout: 60_000 }, async () => {
  cluster = await startServiceCluster('point', { preset: 'hydra' });
  const { clock, network } = cluster;
  const sections = new Map<string, () => Json>();
  const status = definePlugin({
    name: 'admin',
    summary: 'Keeps what the others would tell.',
    gives: [adminContract],
    apply: (host) =>
      host.give(adminContract, {
        command: () => undefined,
        status: (section, read) => void sections.set(section, read),
      }),
  });
  // What the service cannot read makes no rendezvous: that something comes at all only the MetricsPort tells.
  const tables = { heads: { target: await site('a') }, siege: { open_metrics_port: true } };
  await cluster.start('a', { tables, more: [status] });
  await cluster.published(60_000, { heads: 1 });
  const relay = network.relays.find(({ introductions }) => introductions.size > 0);
  const [authKey = ''] = relay?.introductions.keys() ?? [];
  if (relay === undefined) throw new Error('no introduction point');
  const meet = { joined: () => false, serviceGone: () => undefined };
  const junk = {
    authKey: Buffer.from(authKey, 'hex'),
    encKey: new Uint8Array(32),
    subcredential: new Uint8Array(32),
    rendezvous: new Rendezvous(relay, meet),
  };
  type Section = {
    readonly heads: readonly {
      readonly besieged: boolean;
      readonly points: readonly { readonly relay: string; readonly introductionsPerSecond: number }[];
    }[];
  };
  const head = () => (sections.get('siege')?.() as Section | undefined)?.heads[0];
  await clock.advance(70_000);
  expect(head()?.besieged).toBe(false);
  expect(head()?.points.length).toBeGreaterThanOrEqual(3);
  expect(head()?.points.every(({ introductionsPerSecond }) => introductionsPerSecond === 0)).toBe(true);

  for (let count = 0; count < 200; count++) {
    expect(introduce(relay, junk)).toBe('ack');
    await clock.advance(50);
  }
  expect(head()?.besieged).toBe(true);
  const [first, ...others] = head()?.points ?? [];
  expect(first?.relay).toBe(relay.fingerprint);
  expect(first?.introductionsPerSecond).toBeGreaterThan(12);
  expect(first?.introductionsPerSecond).toBeLessThan(28);
  expect(others.every(({ introductionsPerSecond }) => introductionsPerSecond === 0)).toBe(true);
  const [node] = cluster.nodes;
  const record = node?.engine.service(meshContract).record('siege', node.engine.node)?.value;
  const named = `mostly at 1 of ${others.length + 1} introduction points: $${relay.fingerprint.slice(0, 8)}… `;
  expect(JSON.stringify(record)).toContain(named);
});

test('a MetricsPort of the node’s own is there while it runs', { timeout: 60_000 }, async () => {
  await begin('metrics', { siege: { open_metrics_port: true } });
  const { clock, runtime, nodes } = cluster as ServiceCluster;
  const [node] = nodes;
  if (node === undefined) throw new Error('no node');
  const tor = createTorClient(runtime, { control: node.tor.control });
  await clock.runFor(tor.ready(5_000), 6_000);
  const ports = (): Promise<string> => clock.runFor(tor.getInfo('net/listeners/metrics'), 5_000);
  expect(await ports()).toMatch(/^"127\.0\.0\.1:\d+"$/);
  await cluster?.stop(node);
  expect(await ports()).toBe('');
  await tor.close();
});

test('a client circuit with too many streams is closed on a live head, and no other', { timeout: 60_000 }, async () => {
  await begin(
    'greedy',
    { ghost: { max_streams_per_circuit: 8, max_circuit_streams_per_second: 2 } },
    { add: ['proxy'] },
  );
  const { clock, runtime, network, address } = cluster as ServiceCluster;
  const tor = await clock.runFor(network.addTor({ name: 'clients', socks: true }), 10_000);
  await clock.runFor(tor.bootstrapped(), 60_000);
  const ended = new Set<string>();
  /** A stream over the circuit of this name. */
  const open = async (isolation: string): Promise<void> => {
    const opened = socksConnect(runtime.net, tor.socks as Endpoint, `${address}.onion`, 80, isolation);
    const { code, stream } = await clock.runFor(opened, 15_000);
    expect([isolation, code]).toEqual([isolation, 0]);
    stream.resume().once('close', () => ended.add(isolation));
  };
  // So that a circuit's id is not the same in every base.
  for (let visit = 0; visit < 12; visit++) await open(`passer-by-${visit}`);
  for (let stream = 0; stream < 8; stream++) await open('polite');
  for (let stream = 0; stream < 9; stream++) await open('greedy');
  await clock.advance(1_500);
  expect([...ended]).toEqual(['greedy']);
  // The same by pace: one after another, each closed at once.
  for (let stream = 0; stream < 25 && !ended.has('hasty'); stream++) {
    const opened = socksConnect(runtime.net, tor.socks as Endpoint, `${address}.onion`, 80, 'hasty');
    const { stream: one } = await clock.runFor(opened, 15_000);
    if (stream === 0) one.resume().once('close', () => ended.add('hasty'));
    else one.destroy();
  }
  await clock.advance(1_500);
  expect([...ended]).toEqual(['greedy', 'hasty']);
});
