/** A publisher that is asked to hand over: to whom, when, and what happens where nobody can. */
import { expect, test } from 'vitest';
import { electionContract } from '../../core/engine/index.ts';
import { createCluster, type TestNode } from './cluster.ts';

function ask({ engine }: TestNode): void {
  engine.service(electionContract).stepDown?.('test');
}

async function electedCluster(names: readonly string[]) {
  const cluster = createCluster(`step down ${names.length}`);
  for (const [index, name] of names.entries()) await cluster.start(name, { priority: 10 * (index + 1) });
  await cluster.clock.runUntil(() => cluster.elected().length === 1, 20_000);
  await cluster.clock.advance(5_000);
  return { ...cluster, leader: cluster.elected()[0] as TestNode };
}

test('another one takes over, without a gap, and keeps the role', async () => {
  const { clock, elected, leader } = await electedCluster(['a', 'b', 'c']);
  ask(leader);
  // The next one claims first: there is no moment without a publisher, and the later epoch counts where two overlap.
  for (let step = 0; step < 1_500; step++) {
    await clock.advance(10);
    expect(elected().length).toBeGreaterThan(0);
  }
  const after = elected();
  expect(after).toHaveLength(1);
  expect(after).not.toContain(leader);
  await clock.advance(60_000);
  expect(elected()).toEqual(after);
});

test('where no other is able it goes on, and does not hand over later of its own', async () => {
  const { clock, nodes, elected, leader } = await electedCluster(['a', 'b']);
  const other = nodes.find((node) => node !== leader) as TestNode;
  other.setTor('connecting');
  await clock.advance(1_000);
  ask(leader);
  for (let second = 0; second < 30; second++) {
    await clock.advance(1_000);
    expect(elected()).toEqual([leader]);
  }
  other.setTor('ready');
  await clock.advance(30_000);
  expect(elected()).toEqual([leader]);
});

test('two that are asked one after the other hand over once each, not to each other for ever', async () => {
  const { clock, nodes, elected, leader } = await electedCluster(['a', 'b']);
  const other = nodes.find((node) => node !== leader) as TestNode;
  const epoch = (): number => leader.engine.service(electionContract).epoch;
  const before = epoch();
  ask(leader);
  await clock.advance(5_000);
  expect(elected()).toEqual([other]);
  ask(other);
  await clock.advance(5_000);
  expect(elected()).toEqual([leader]);
  expect(epoch()).toBe(before + 2);
  await clock.advance(30_000);
  expect([elected(), epoch()]).toEqual([[leader], before + 2]);
});

test('a standby that is asked does nothing', async () => {
  const { clock, nodes, elected, leader } = await electedCluster(['a', 'b', 'c']);
  for (const node of nodes) if (node !== leader) ask(node);
  await clock.advance(20_000);
  expect(elected()).toEqual([leader]);
});
