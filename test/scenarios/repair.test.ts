/** What is dropped when, what is held, and what comes back: tors that die, nodes that are cut off, on the embedded network. */
import { describe, expect, test } from 'vitest';
import { headControlContract, torContract } from '../../core/engine/index.ts';
import type { ChildProcess, Processes } from '../../core/runtime/index.ts';
import { reachableServices } from '../../plugins/repair/heads.ts';
import { startServiceCluster, type ServiceCluster, type ServiceNode } from './service-cluster.ts';

/** A service manager that starts tors of the embedded network again, by name. */
function manager(): { readonly processes: Processes; readonly started: string[]; cluster: ServiceCluster | undefined } {
  const started: string[] = [];
  const self = {
    started,
    cluster: undefined as ServiceCluster | undefined,
    processes: undefined as unknown as Processes,
  };
  self.processes = {
    start: async (command, args): Promise<ChildProcess> => {
      started.push([command, ...args].join(' '));
      const node = self.cluster?.nodes.find(({ name }) => name === args[0]);
      const ended = (node?.tor.restart() ?? Promise.resolve()).then(() => ({ code: 0, signal: null }));
      return { pid: 1, ended, output: () => '', kill: () => undefined };
    },
  };
  return self;
}

const liveHeads = ({ results }: ServiceNode): number | undefined =>
  results.findLast(({ outcome }) => outcome === 'published' || outcome === 'unconfirmed')?.heads.length;

async function until(cluster: ServiceCluster, condition: () => boolean, limitMs: number): Promise<number> {
  const from = cluster.clock.monotonic();
  await cluster.clock.runUntil(condition, limitMs);
  return cluster.clock.monotonic() - from;
}

describe('a tor that dies', () => {
  test('sheds its own heads within seconds, is started again, and they return', async () => {
    const service = manager();
    const cluster = await startServiceCluster('tor dies', { processes: service.processes });
    service.cluster = cluster;
    for (const name of ['a', 'b', 'c']) {
      const tables = { repair: { tors: [{ command: ['start-tor', name] }] } };
      await cluster.start(name, { add: ['repair'], tables });
    }
    const publisher = await cluster.published(20_000, { heads: 3 });
    const victim = cluster.nodes.find((node) => node !== publisher) as ServiceNode;
    await cluster.clock.runFor(victim.tor.kill(), 1_000);
    const shedMs = await until(cluster, () => liveHeads(publisher) === 2, 30_000);
    expect(shedMs).toBeLessThan(5_000);
    expect(service.started).toEqual([]);
    await until(cluster, () => service.started.length > 0, 60_000);
    expect(service.started).toEqual([`start-tor ${victim.name}`]);
    await until(cluster, () => liveHeads(publisher) === 3, 120_000);
    await cluster.clock.advance(120_000);
    expect(service.started).toHaveLength(1);
    expect(publisher.election.elected).toBe(true);
    await cluster.end();
  });

  test('of the publisher hands over at once, and the service never has fewer heads than tors', async () => {
    const service = manager();
    const cluster = await startServiceCluster('publisher’s tor', { processes: service.processes });
    service.cluster = cluster;
    for (const name of ['a', 'b', 'c']) await cluster.start(name);
    const publisher = await cluster.published(20_000, { heads: 3 });
    await cluster.clock.runFor(publisher.tor.kill(), 1_000);
    const next = await cluster.published(30_000, { after: publisher.election.epoch });
    expect(next).not.toBe(publisher);
    await until(cluster, () => liveHeads(next) === 2, 30_000);
    await cluster.end();
  });
});

test('a publisher whose tor answers and has no network lets another publish, without its head until that is back', async () => {
  const cluster = await startServiceCluster('tor without a network');
  for (const name of ['a', 'b', 'c']) await cluster.start(name, { add: ['repair'] });
  const publisher = await cluster.published(20_000, { heads: 3 });
  await cluster.clock.runFor(publisher.tor.run?.setOnline(false) ?? Promise.resolve(), 1_000);
  const next = await cluster.published(40_000, { after: publisher.election.epoch });
  expect(next).not.toBe(publisher);
  await until(cluster, () => liveHeads(next) === 2, 10_000);
  await cluster.clock.advance(120_000);
  expect(next.election.elected).toBe(true);
  await cluster.clock.runFor(publisher.tor.run?.setOnline(true) ?? Promise.resolve(), 1_000);
  await until(cluster, () => liveHeads(next) === 3, 30_000);
  await cluster.end();
});

test('a node that is cut off keeps its heads in the descriptor for a hold time, and no longer', async () => {
  const cluster = await startServiceCluster('cut');
  for (const name of ['a', 'b', 'c']) await cluster.start(name);
  const publisher = await cluster.published(20_000, { heads: 3 });
  const lost = cluster.nodes.find((node) => node !== publisher) as ServiceNode;
  for (const { name } of cluster.nodes) if (name !== lost.name) cluster.bus.cut(lost.name, name);
  // Silence for four seconds is death, and death is held for six: the tors may be well, and what clients reach stays. Both
  // sides may publish meanwhile.
  const before = new Map(cluster.nodes.map((node) => [node, node.results.length]));
  await cluster.clock.advance(8_000);
  const during = cluster.nodes.flatMap((node) => node.results.slice(before.get(node)));
  const wide = during.filter(({ outcome }) => outcome !== 'standby').map(({ heads }) => heads.length);
  expect(wide.length).toBeGreaterThan(0);
  expect(wide.filter((heads) => heads < 3)).toEqual([]);
  await until(cluster, () => cluster.nodes.some((node) => (liveHeads(node) ?? 3) < 3), 30_000);
  cluster.bus.heal();
  await cluster.published(60_000, { heads: 3 });
  await cluster.end();
});

test('the introduction circuits of a head are read from its tor as they are', async () => {
  const cluster = await startServiceCluster('circuits');
  const node = await cluster.start('a');
  await cluster.published(20_000, { heads: 1 });
  const tor = node.engine.service(torContract).primary;
  const addresses = node.engine
    .service(headControlContract)
    .heads()
    .map(({ address }) => address);
  expect(addresses).toHaveLength(1);
  expect([...reachableServices(await cluster.clock.runFor(tor.getInfo('circuit-status'), 1_000))]).toEqual(addresses);
  await cluster.end();
});
