/** Elections and the mesh together, on a virtual clock. */
import { describe, expect, test } from 'vitest';
import { createCluster, reportOf, stateDirectory, type TestCluster, type TestNode } from './cluster.ts';

const names = ['a', 'b', 'c', 'd', 'e'];

async function electedCluster(count: number, seed: string): Promise<{ cluster: TestCluster; leader: TestNode }> {
  const cluster = createCluster(seed, { delayMs: { minimum: 1, maximum: 30 } });
  for (const [index, name] of names.slice(0, count).entries())
    await cluster.start(name, { priority: 10 * (index + 1) });
  await agree(cluster);
  return { cluster, leader: cluster.elected()[0] as TestNode };
}

async function agree({ clock, nodes, elected }: TestCluster, limitMs = 10_000): Promise<void> {
  await clock.runUntil(() => {
    const [one, ...more] = elected();
    if (one === undefined || more.length > 0) return false;
    return nodes.every(({ election: { publisher, epoch } }) => publisher === one.name && epoch === one.election.epoch);
  }, limitMs);
}

describe.each([3, 5])('%i nodes', (count) => {
  test('elect the first in order, after listening for a lease, in epoch 0, and stay so', async () => {
    const { cluster, leader } = await electedCluster(count, `elect ${count}`);
    expect(leader.name).toBe('a');
    expect(leader.election.epoch).toBe(0);
    expect(cluster.clock.monotonic()).toBeGreaterThanOrEqual(2_000);
    expect(cluster.clock.monotonic()).toBeLessThan(3_000);
    for (let second = 0; second < 60; second++) {
      await cluster.clock.advance(1_000);
      expect(cluster.elected()).toEqual([leader]);
    }
    for (const node of cluster.nodes)
      expect(node.signals.filter((signal) => signal === 'leaderChanged a')).toHaveLength(1);
  });

  test.each([1, 2, 3, 4])('replace a killed leader within 3.2 s, in the next epoch (seed %i)', async (seed) => {
    const { cluster, leader } = await electedCluster(count, `kill ${count} ${seed}`);
    await cluster.clock.advance(5_000 + seed * 61);
    const killedAt = cluster.clock.monotonic();
    await cluster.kill(leader);
    await agree(cluster);
    expect(cluster.clock.monotonic() - killedAt).toBeLessThan(3_200);
    expect(cluster.elected().map(({ name, election }) => [name, election.epoch])).toEqual([['b', 1]]);
  });

  test.each([1, 2, 3, 4])(
    'replace a leader that stops at once, and do not unseat the successor when it returns (seed %i)',
    async (seed) => {
      const { cluster, leader } = await electedCluster(count, `stop ${count} ${seed}`);
      // Until all have met: who has no session with the leader yet hears of it by another, half a second later.
      await cluster.clock.advance(5_000);
      await cluster.stop(leader);
      const stoppedAt = cluster.clock.monotonic();
      await agree(cluster);
      expect(cluster.clock.monotonic() - stoppedAt).toBeLessThan(200);
      await cluster.start('a', { priority: 10, store: leader.store });
      await cluster.clock.advance(20_000);
      expect(cluster.elected().map(({ name, election }) => [name, election.epoch])).toEqual([['b', 1]]);
      expect(cluster.nodes.every(({ election }) => election.publisher === 'b')).toBe(true);
    },
  );

  test('after a cut and its healing one steps down, and the highest epoch stays', async () => {
    const { cluster, leader } = await electedCluster(count, `cut ${count}`);
    const others = cluster.nodes.filter((node) => node !== leader);
    for (const { name } of others) cluster.bus.cut(leader.name, name);
    await cluster.clock.advance(10_000);
    expect(cluster.elected().map(({ name, election }) => [name, election.epoch])).toEqual([
      ['a', 0],
      ['b', 1],
    ]);
    cluster.bus.heal();
    const healedAt = cluster.clock.monotonic();
    await agree(cluster);
    expect(cluster.clock.monotonic() - healedAt).toBeLessThan(1_500);
    expect(cluster.elected().map(({ name, election }) => [name, election.epoch])).toEqual([['b', 1]]);
  });

  test('keep their leader when the way between two of them is cut: the third tells', async () => {
    const { cluster, leader } = await electedCluster(count, `indirect ${count}`);
    cluster.bus.cut('a', 'b');
    for (let second = 0; second < 30; second++) {
      await cluster.clock.advance(1_000);
      expect(cluster.elected()).toEqual([leader]);
      expect(cluster.nodes.every(({ election }) => election.publisher === 'a')).toBe(true);
    }
  });
});

test('five seeds at 10 % loss: one leader all the time, for five minutes', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const cluster = createCluster(`loss ${seed}`, { loss: 0.1, delayMs: { minimum: 1, maximum: 50 } });
    for (const name of ['a', 'b', 'c']) await cluster.start(name);
    await agree(cluster);
    for (let tens = 0; tens < 30; tens++) {
      await cluster.clock.advance(10_000);
      expect(cluster.elected().map(({ name, election }) => [seed, name, election.epoch])).toEqual([[seed, 'a', 0]]);
    }
  }
}, 120_000);

test('equal priorities: the smaller id, and only one, however close the starts', async () => {
  const cluster = createCluster('equal');
  for (const name of ['c', 'b', 'a']) await cluster.start(name);
  await agree(cluster);
  expect(cluster.elected().map(({ name }) => name)).toEqual(['a']);
});

test('a leader whose tor is gone hands over at once, and only where another is able', async () => {
  const { cluster, leader } = await electedCluster(3, 'unable');
  const terms = () => cluster.elected().map(({ name, election }) => [name, election.epoch]);
  leader.setTor('connecting');
  expect(cluster.elected()).toEqual([]);
  await cluster.clock.advance(100);
  expect(terms()).toEqual([['b', 1]]);
  const [, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  c.setTor('connecting');
  await cluster.clock.advance(100);
  b.setTor('connecting');
  await cluster.clock.advance(10_000);
  expect(terms()).toEqual([['b', 1]]);
  leader.setTor('ready');
  await cluster.clock.advance(1_000);
  expect(terms()).toEqual([['a', 2]]);
  // All are gone, and return together: two never claim at a time.
  for (const node of cluster.nodes) node.setTor('connecting');
  await cluster.clock.advance(10_000);
  for (const node of cluster.nodes) node.setTor('ready');
  for (let step = 0; step < 200; step++) {
    await cluster.clock.advance(10);
    expect(cluster.elected().length).toBeLessThan(2);
  }
  expect(cluster.elected()).toHaveLength(1);
});

test('the epoch survives restarts: a later one for another node, the own one resumed', async () => {
  const { cluster, leader } = await electedCluster(3, 'restart');
  await cluster.kill(leader);
  await agree(cluster);
  const second = cluster.elected()[0] as TestNode;
  while (cluster.nodes[0] !== undefined) await cluster.stop(cluster.nodes[0]);
  expect(
    JSON.parse(Buffer.from((await second.store.read(`${stateDirectory}/election.json`)) as Uint8Array).toString()),
  ).toEqual({
    highestEpoch: 1,
    claimedBy: second.engine.node,
  });
  const b = await cluster.start('b', { store: second.store });
  await agree(cluster);
  expect(b.election.epoch).toBe(1);
  const late = await cluster.start('late', { priority: 1 });
  await cluster.clock.advance(5_000);
  expect([late.election.publisher, late.election.epoch]).toEqual(['b', 1]);
  await cluster.kill(b);
  await agree(cluster);
  expect([late.election.elected, late.election.epoch]).toEqual([true, 2]);
});

test('standby nodes refuse with the publisher’s name', async () => {
  const { cluster } = await electedCluster(3, 'standby');
  const [, b] = cluster.nodes as [TestNode, TestNode];
  const result = await cluster.clock.runFor(b.engine.requestCycle('test'), 1_000);
  expect([result.outcome, result.why]).toEqual(['standby', `${cluster.nodes[0]?.engine.node} publishes`]);
});

test('heads travel to every node; a peer that sheds one is believed at once, a silent one is held', async () => {
  const { cluster, leader } = await electedCluster(3, 'heads');
  const [, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  const long = 'x'.repeat(50_000);
  b.registry.set([reportOf('b', '1', 'one'), reportOf('b', '2', long), reportOf('b', '3', long)]);
  c.registry.set([reportOf('c', '1', 'two')]);
  await cluster.clock.advance(1_000);
  expect(await leader.gather()).toEqual(['b/1 one', `b/2 ${long}`, `b/3 ${long}`, 'c/1 two']);
  expect(leader.signals).toContain('peerChanged b');
  b.registry.set([reportOf('b', '1', 'one')]);
  await cluster.clock.advance(200);
  expect(await leader.gather()).toEqual(['b/1 one', 'c/1 two']);
  await cluster.kill(b);
  await cluster.clock.advance(8_000);
  expect(await leader.gather()).toEqual(['b/1 one', 'c/1 two']);
  await cluster.clock.advance(3_000);
  expect(await leader.gather()).toEqual(['c/1 two']);
  c.registry.set([]);
  await cluster.stop(c);
  await cluster.clock.advance(100);
  expect(await leader.gather()).toEqual([]);
});
