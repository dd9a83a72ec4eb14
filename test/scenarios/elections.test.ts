/** The elections as plugins on a virtual clock: each one's order, hand-overs, rotation, the lease that publishing earns. */
import { describe, expect, test } from 'vitest';
import type { AnyPlugin } from '../../core/engine/index.ts';
import electionHighestId from '../../plugins/election/highest-id/index.ts';
import electionPriority from '../../plugins/election/priority/index.ts';
import electionTimeHash from '../../plugins/election/time-hash/index.ts';
import electionUptime from '../../plugins/election/uptime/index.ts';
import { createCluster, type TestCluster, type TestNode } from './cluster.ts';

const elections: readonly AnyPlugin[] = [electionPriority, electionUptime, electionHighestId, electionTimeHash];

async function agree({ clock, nodes, elected }: TestCluster, limitMs = 10_000): Promise<TestNode> {
  await clock.runUntil(() => {
    const [one, ...more] = elected();
    if (one === undefined || more.length > 0) return false;
    return nodes.every(({ election: { publisher, epoch } }) => publisher === one.name && epoch === one.election.epoch);
  }, limitMs);
  return cluster0(elected());
}
const cluster0 = ([one]: TestNode[]): TestNode => one as TestNode;

async function started(
  election: AnyPlugin,
  seed: string,
  electionOptions: Record<string, unknown> = {},
): Promise<TestCluster> {
  const cluster = createCluster(`${election.name} ${seed}`, { delayMs: { minimum: 1, maximum: 30 } });
  for (const name of ['a', 'b', 'c']) await cluster.start(name, { election, electionOptions });
  await agree(cluster);
  return cluster;
}

const never = new AbortController().signal;
function stepDown(node: TestNode, said: string[] = []): Promise<unknown> {
  const command = node.commands.get('step-down');
  if (command === undefined) throw new Error('there is no step-down');
  return command.run({}, (progress) => void said.push(progress), never);
}

/** Advances in small steps; nobody is elected at no moment. */
async function withoutGap(cluster: TestCluster, forMs: number): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 5) {
    await cluster.clock.advance(5);
    expect(cluster.elected().length).toBeGreaterThan(0);
  }
}

describe.each(elections)('$name', (election) => {
  test('elects one, replaces it when it is killed, goes on alone, and takes the others back', async () => {
    const cluster = await started(election, 'life');
    const first = cluster0(cluster.elected());
    await cluster.kill(first);
    const second = await agree(cluster);
    expect(second.election.epoch).toBe(1);
    await cluster.kill(cluster.nodes.find((node) => node !== second) as TestNode);
    await cluster.clock.advance(10_000);
    expect([second.election.elected, second.election.epoch]).toEqual([true, 1]);
    for (const name of ['d', 'e']) await cluster.start(name, { election, electionOptions: {} });
    await cluster.clock.advance(10_000);
    expect(await agree(cluster)).toBe(second);
    expect(second.election.epoch).toBe(1);
  });

  test('step-down: the successor publishes before the old one stops', async () => {
    const cluster = await started(election, 'step-down');
    const first = cluster0(cluster.elected());
    const said: string[] = [];
    const answer = stepDown(first, said);
    await withoutGap(cluster, 500);
    const second = await agree(cluster);
    expect(await answer).toEqual({ steppedDown: true, publisher: second.name, epoch: 1 });
    expect(said).toEqual([`${second.name} is asked to publish`, `${second.name} publishes`]);
    await withoutGap(cluster, 10_000);
    expect(cluster.elected()).toEqual([second]);
    expect(await stepDown(first)).toEqual({ steppedDown: false, publisher: second.name, epoch: 1 });
  });
});

test('step-down fails while nobody else is ready, and the publisher goes on', async () => {
  const cluster = await started(electionPriority, 'nobody');
  const first = cluster0(cluster.elected());
  for (const node of cluster.nodes) if (node !== first) node.setTor('connecting');
  await cluster.clock.advance(1_000);
  await expect(stepDown(first)).rejects.toThrow(/no other node is ready/);
  await cluster.clock.advance(10_000);
  expect(cluster.elected()).toEqual([first]);
});

test('one that was asked and does not answer is passed over', async () => {
  const cluster = await started(electionPriority, 'passed over');
  const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  cluster.bus.cut('a', 'b', true);
  cluster.bus.cut('c', 'b', true);
  const answer = cluster.clock.runFor(stepDown(a), 10_000);
  expect(await answer).toMatchObject({ steppedDown: true, publisher: 'c' });
  expect([b.election.elected, c.election.elected]).toEqual([false, true]);
});

test('time-hash: every slot another publisher, and no moment without one', async () => {
  const cluster = await started(electionTimeHash, 'rotation', { slot_secs: 10 });
  const publishers: string[] = [];
  for (let slot = 0; slot < 12; slot++) {
    await withoutGap(cluster, 10_000);
    const { name, election } = await agree(cluster);
    publishers[election.epoch] = name;
  }
  expect(new Set(publishers.filter(Boolean)).size).toBe(3);
  expect(publishers.filter((name, epoch) => name === publishers[epoch - 1])).toEqual([]);
  expect(cluster0(cluster.elected()).election.epoch).toBeGreaterThan(10);
});

test('time-hash in panic mode only: the slots end while it is on', async () => {
  const cluster = await started(electionTimeHash, 'panic', { slot_secs: 10, rotate: 'panic' });
  await cluster.clock.advance(60_000);
  expect((await agree(cluster)).election.epoch).toBe(0);
  const panic = (on: boolean): void => cluster.nodes.forEach(({ engine }) => engine.signal('panic', { on }));
  panic(true);
  await cluster.clock.advance(60_000);
  const { epoch } = (await agree(cluster)).election;
  expect(epoch).toBeGreaterThan(4);
  panic(false);
  await cluster.clock.advance(60_000);
  expect((await agree(cluster)).election.epoch).toBe(epoch);
});

test('who is heard and does not publish is replaced: by itself first, and by the others in any case', async () => {
  const cluster = await started(electionPriority, 'stuck', { publish_lease_ms: 9_000 });
  const [a] = cluster.nodes as [TestNode];
  // All cycles end in a failure that each node would meet, and that is proof of life …
  await cluster.clock.advance(60_000);
  expect(cluster.elected()).toEqual([a]);
  // … until one does not end at all.
  a.hang(true);
  await cluster.clock.advance(9_000);
  const next = await agree(cluster);
  expect([next.name, next.election.epoch]).toEqual(['b', 1]);
});

test('the operator sees who publishes, why, and who is ready', async () => {
  const cluster = await started(electionPriority, 'status');
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  await cluster.clock.advance(1_000);
  expect(a.status.get('election')?.()).toMatchObject({
    publisher: 'a',
    epoch: 0,
    elected: true,
    able: true,
    merit: 100,
  });
  expect(b.status.get('election')?.()).toMatchObject({
    publisher: 'a',
    elected: false,
    why: 'a publishes',
    others: [
      { node: 'a', ready: true, claim: 0 },
      { node: 'c', ready: true, claim: null },
    ],
  });
});
