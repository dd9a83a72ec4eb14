/** Panic mode on a whole service, in virtual time on the embedded network. */
import { afterEach, expect, test } from 'vitest';
import { adminContract, definePlugin, type AdminCommand, type Json } from '../../core/engine/index.ts';
import type { Listener } from '../../core/runtime/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { openSite } from '../kit/lab/site.ts';
import { createVisitor, type Visit, type Visitor } from '../kit/lab/visitor.ts';
import { startServiceCluster, type ServiceCluster } from './service-cluster.ts';

let cluster: ServiceCluster | undefined;
const sites: Listener[] = [];
afterEach(async () => {
  await cluster?.end();
  cluster = undefined;
  for (const site of sites.splice(0)) await site.close();
});

async function client(name: string): Promise<Visitor> {
  const { clock, runtime, network, address } = cluster as ServiceCluster;
  const { net } = runtime;
  const instance = await clock.runFor(network.addTor({ name, socks: true }), 10_000);
  await clock.runFor(instance.bootstrapped(), 60_000);
  const tor = createTorClient(runtime, { control: instance.control, name });
  await clock.runFor(tor.ready(10_000), 20_000);
  return createVisitor({
    net,
    clock,
    tor,
    socks: instance.socks as NonNullable<typeof instance.socks>,
    address,
    port: 80,
  });
}

/** What people do from time to time: a visit by a client that knows nothing, and one by a client that has been here before. */
async function keepVisiting(known: readonly Visitor[], fresh: readonly string[], everyMs: number): Promise<Visit[]> {
  const { clock } = cluster as ServiceCluster;
  const visits: Visit[] = [];
  for (const [index, name] of fresh.entries()) {
    const visitor = await client(name);
    visits.push(await clock.runFor(visitor.visit(15_000), 20_000));
    visits.push(await clock.runFor((known[index % known.length] as Visitor).visit(15_000), 20_000));
    await clock.advance(everyMs);
  }
  return visits;
}

async function site(name: string): Promise<string> {
  const listener = await openSite((cluster as ServiceCluster).runtime.net, name);
  sites.push(listener);
  const { host, port } = listener.endpoint as { host: string; port: number };
  return `${host}:${port}`;
}
const reasons = (): string[] => {
  const { nodes } = cluster as ServiceCluster;
  const last = nodes.flatMap(({ results }) => results.filter(({ outcome }) => outcome === 'published'));
  const newest = last.sort((a, b) => a.startedAt - b.startedAt).at(-1);
  return newest === undefined ? [] : [newest.why];
};

test(
  'chimera panic on: three rotations, nobody fails for long, and off leaves a stable descriptor',
  { timeout: 90_000 },
  async () => {
    cluster = await startServiceCluster('panic', { preset: 'roulette' });
    const { clock } = cluster;
    const commands: AdminCommand[] = [];
    const admin = definePlugin({
      name: 'admin',
      summary: 'Commands for the test.',
      gives: [adminContract],
      apply: (host) => host.give(adminContract, { command: (one) => void commands.push(one), status: () => undefined }),
    });
    for (const name of ['a', 'b', 'c', 'd']) {
      await cluster.start(name, {
        tables: {
          heads: { target: await site(name) },
          election: { slot_secs: 180 },
          roulette: { every_secs: 180, jitter_secs: 0 },
        },
        more: name === 'c' ? [admin] : [],
      });
    }
    await cluster.published(60_000);
    await clock.advance(30_000);
    const regular = await client('regular');
    await clock.runFor(regular.visit(15_000), 20_000);

    const publishers = new Set<string>();
    const sets = new Set<string>();
    const panic = (on: boolean): Promise<Json> =>
      (commands.find(({ name }) => name === 'panic') as AdminCommand).run(
        { on },
        () => undefined,
        new AbortController().signal,
      );
    await panic(true);
    const visits: Visit[] = [];
    for (let turn = 0; turn < 4; turn++) {
      visits.push(...(await keepVisiting([regular], [`${turn}`], 170_000)));
      publishers.add(cluster.elected()[0]?.name ?? '');
      sets.add(/panic: ([^:]+):/.exec(reasons()[0] ?? '')?.[1] ?? '');
    }
    expect(sets.size).toBeGreaterThanOrEqual(2);
    expect(publishers.size).toBeGreaterThanOrEqual(2);
    for (const visit of visits) {
      expect(visit.reason).toBeUndefined();
      expect(visit.durationMs).toBeLessThan(10_000);
    }

    await panic(false);
    await clock.advance(60_000);
    const offAt = clock.now();
    const [publisher] = cluster.elected();
    expect(reasons()[0]).toContain('3 of 4 heads are live');
    await clock.advance(240_000);
    // A testing network's heads have other introduction points every few minutes; nothing else moves the descriptor.
    const later = cluster.nodes.flatMap(({ results }) =>
      results.filter(({ outcome, startedAt }) => outcome === 'published' && startedAt > offAt),
    );
    for (const { why, reasons: causes } of later) {
      expect(why).toMatch(/3 of 4 heads are live$/);
      expect(causes.join()).not.toMatch(/tick|panic|leaderChanged/);
    }
    expect(cluster.elected()).toEqual([publisher]);
    expect((await clock.runFor(regular.visit(15_000), 20_000)).reason).toBeUndefined();
  },
);
