/** Who publishes, and what the HSDirs hold, while publishers stop, die, are cut off and start again. The seeds replay a failure. */
import { describe, expect, test } from 'vitest';
import { definePlugin, electionContract, rosterContract } from '../../core/engine/index.ts';
import { isChimeraError } from '../../core/errors.ts';
import { startServiceCluster, type SeenUpload, type ServiceCluster, type ServiceNode } from './service-cluster.ts';

/** An election that nobody takes part in. */
const alwaysElected = definePlugin({
  name: 'always-elected',
  summary: 'Publishes in epoch 0, whatever the others say.',
  gives: [electionContract],
  apply: (host) => host.give(electionContract, { publisher: host.node, epoch: 0, elected: true }),
});

const names = ['a', 'b', 'c', 'd', 'e'];
const seeds = [1, 2];

async function started(count: number, seed: string, state = false): Promise<ServiceCluster> {
  const cluster = await startServiceCluster(seed);
  for (const name of names.slice(0, count)) await cluster.start(name, { state });
  await cluster.published(10_000, { heads: count });
  return cluster;
}

const term = ({ name, election }: ServiceNode): [string, number] => [name, election.epoch];

/** How long it takes until a successor has published whatever there is, in virtual milliseconds. */
async function succeeded(cluster: ServiceCluster, after: number): Promise<number> {
  const from = cluster.clock.monotonic();
  await cluster.published(30_000, { after });
  return cluster.clock.monotonic() - from;
}

/**
 * At every HSDir, for every blinded key: epochs never fall, a later epoch is always taken, and an earlier one never.
 * Gives the uploads of an earlier epoch than the HSDir had: each was refused.
 */
function fenced(cluster: ServiceCluster): SeenUpload[] {
  const highest = new Map<string, number>();
  const late: SeenUpload[] = [];
  const wrong: SeenUpload[] = [];
  for (const upload of cluster.uploads) {
    const place = `${upload.hsdir} ${upload.blindedKey}`;
    const before = highest.get(place) ?? -1;
    if (upload.epoch < before) late.push(upload);
    if (upload.epoch !== before && upload.accepted !== upload.epoch > before) wrong.push(upload);
    highest.set(place, Math.max(before, upload.epoch));
  }
  expect(wrong).toEqual([]);
  return late;
}

describe.each([3, 5])('%i nodes', (count) => {
  test.each(seeds)('elect one, which publishes all heads in epoch 0 (seed %i)', async (seed) => {
    const cluster = await started(count, `elect ${count} ${seed}`);
    expect(cluster.elected().map(term)).toEqual([['a', 0]]);
    expect(cluster.heldEpochs()).toEqual([0]);
    await cluster.clock.advance(60_000);
    expect(cluster.elected().map(term)).toEqual([['a', 0]]);
    const others = cluster.nodes.filter(({ name }) => name !== 'a').flatMap(({ results }) => results);
    expect(new Set(others.map(({ outcome }) => outcome))).toEqual(new Set(['standby']));
    await cluster.end();
  });

  test.each(seeds)('the publisher stops: another has published within 1 s (seed %i)', async (seed) => {
    const cluster = await started(count, `stop ${count} ${seed}`);
    await cluster.stop(cluster.elected()[0] as ServiceNode);
    expect(await succeeded(cluster, 0)).toBeLessThan(1_000);
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    // It hands over before it sheds its heads, so that there is no gap: the successor may have published them once more.
    await cluster.published(2_000, { heads: count - 1 });
    expect(cluster.heldEpochs()).toEqual([1]);
    fenced(cluster);
    await cluster.end();
  });

  test.each(seeds)('the publisher’s process dies: another has published within 4 s (seed %i)', async (seed) => {
    const cluster = await started(count, `kill ${count} ${seed}`);
    await cluster.clock.advance(seed * 1_037);
    await cluster.kill(cluster.elected()[0] as ServiceNode);
    expect(await succeeded(cluster, 0)).toBeLessThan(4_000);
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    expect(cluster.heldEpochs()).toEqual([1]);
    // Its heads are held for a while, and then given up.
    await cluster.published(12_000, { heads: count - 1 });
    fenced(cluster);
    await cluster.end();
  });

  test.each(seeds)('the publisher’s tor dies: another has published within 2 s (seed %i)', async (seed) => {
    const cluster = await started(count, `tor ${count} ${seed}`);
    const publisher = cluster.elected()[0] as ServiceNode;
    await cluster.clock.runFor(publisher.tor.kill(), 1_000);
    expect(await succeeded(cluster, 0)).toBeLessThan(2_000);
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    expect(cluster.heldEpochs()).toEqual([1]);
    // It comes back, and unseats nobody.
    await cluster.clock.runFor(publisher.tor.restart(), 10_000);
    await cluster.published(20_000, { heads: count });
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    fenced(cluster);
    await cluster.end();
  });

  test.each(seeds)('two publishers on two sides of a cut: the HSDirs keep the later epoch (seed %i)', async (seed) => {
    const cluster = await started(count, `cut ${count} ${seed}`);
    const others = cluster.nodes.filter(({ name }) => name !== 'a');
    for (const { name } of others) cluster.bus.cut('a', name);
    // Long enough for both sides to give up the other's heads, and to publish without them.
    await cluster.clock.advance(20_000);
    expect(cluster.heldEpochs()).toEqual([1]);
    const late = fenced(cluster);
    expect(late.length).toBeGreaterThanOrEqual(6);
    expect(new Set(late.map(({ epoch }) => epoch))).toEqual(new Set([0]));
    // The one that was deposed has found out from the HSDirs.
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    cluster.bus.heal();
    await cluster.published(10_000, { heads: count });
    expect(cluster.elected().map(term)).toEqual([['b', 1]]);
    expect(cluster.heldEpochs()).toEqual([1]);
    fenced(cluster);
    await cluster.end();
  });
});

test.each(seeds)('two publishers race: both upload at once, the later epoch stays (seed %i)', async (seed) => {
  const cluster = await started(3, `race ${seed}`);
  const [a, b] = cluster.nodes as [ServiceNode, ServiceNode];
  for (const name of ['b', 'c']) cluster.bus.cut('a', name);
  await cluster.clock.runUntil(() => b.election.elected, 10_000);
  expect(cluster.elected().map(term)).toEqual([
    ['a', 0],
    ['b', 1],
  ]);
  const outcomes: string[][] = [];
  for (let round = 0; round < 3; round++) {
    const both = [a, b].map(({ engine }) => engine.requestCycle('operator: race'));
    outcomes.push((await cluster.clock.runFor(Promise.all(both), 60_000)).map(({ outcome }) => outcome));
  }
  // From the second round on the one that was deposed knows it.
  expect(outcomes.slice(1)).toEqual([
    ['standby', 'published'],
    ['standby', 'published'],
  ]);
  expect(fenced(cluster).length).toBeGreaterThan(0);
  expect(cluster.heldEpochs()).toEqual([1]);
  await cluster.end();
});

test.each(seeds)('a publisher that obeys nobody overwrites nothing (seed %i)', async (seed) => {
  const cluster = await started(2, `stubborn ${seed}`);
  await cluster.stop(cluster.elected()[0] as ServiceNode);
  await cluster.published(10_000, { heads: 1, after: 0 });
  const stubborn = await cluster.start('c', { election: alwaysElected });
  await cluster.clock.runUntil(() => stubborn.results.some(({ uploads }) => uploads.length > 0), 60_000);
  const outcomes: unknown[] = [];
  for (let round = 0; round < 3; round++) {
    const { outcome, error, uploads } = await cluster.clock.runFor(
      stubborn.engine.requestCycle('operator: race'),
      60_000,
    );
    outcomes.push([outcome, isChimeraError(error, 'ONION_REVISION'), uploads.length]);
  }
  // The first time the HSDirs refuse it; since then it knows, and its own sealer does.
  expect(fenced(cluster).length).toBeGreaterThan(0);
  expect(outcomes).toEqual(Array.from({ length: 3 }, () => ['failed', true, 0]));
  expect(cluster.heldEpochs()).toEqual([1]);
  await cluster.end();
});

test.each(seeds)('the publisher’s tor stands still: another takes over, and it finds out (seed %i)', async (seed) => {
  const cluster = await started(3, `frozen ${seed}`);
  const publisher = cluster.elected()[0] as ServiceNode;
  await publisher.tor.kill('SIGSTOP');
  expect(await succeeded(cluster, 0)).toBeLessThan(20_000);
  await publisher.tor.kill('SIGCONT');
  await cluster.published(60_000, { heads: 3 });
  fenced(cluster);
  await cluster.end();
});

test.each(seeds)(
  'a cut of ten minutes: the sides take over from each other seldom, the last stays (seed %i)',
  async (seed) => {
    const cluster = await started(3, `long cut ${seed}`);
    for (const name of ['b', 'c']) cluster.bus.cut('a', name);
    await cluster.clock.advance(600_000);
    fenced(cluster);
    const [epoch] = cluster.heldEpochs() as [number];
    expect(epoch).toBeLessThan(10);
    cluster.bus.heal();
    const publisher = await cluster.published(10_000, { heads: 3 });
    expect(publisher.election.epoch).toBeGreaterThanOrEqual(epoch);
    expect(cluster.heldEpochs()).toEqual([publisher.election.epoch]);
    fenced(cluster);
    await cluster.end();
  },
);

describe.each([true, false])('all nodes start again, with a state directory: %s', (state) => {
  test.each(seeds)('and publish in a later epoch than the HSDirs hold (seed %i)', async (seed) => {
    const cluster = await started(3, `restart ${state} ${seed}`, state);
    for (let times = 0; times < 3; times++) {
      await cluster.stop(cluster.elected()[0] as ServiceNode);
      const name = names.find((known) => !cluster.nodes.some((node) => node.name === known)) as string;
      await cluster.published(10_000, { heads: 2 });
      await cluster.start(name, { state });
      await cluster.published(10_000, { heads: 3 });
    }
    expect(cluster.heldEpochs()).toEqual([3]);
    const { name: last } = cluster.elected()[0] as ServiceNode;
    while (cluster.nodes[0] !== undefined) await cluster.kill(cluster.nodes[0]);
    // The last publisher when another publishes already: it would go on with the term which it remembers as its own.
    for (const name of names.slice(0, 3).filter((known) => known !== last)) await cluster.start(name, { state });
    await cluster.published(10_000, { heads: 2 });
    await cluster.start(last, { state });
    await cluster.published(10_000, { heads: 3 });
    expect(cluster.heldEpochs()).toEqual([4]);
    // Who remembers is never refused; who does not learns it from a refusal.
    expect(fenced(cluster).length > 0).toBe(!state);
    await cluster.end();
  });
});

test('the publisher is removed from the cluster: it hears of it and publishes nothing more, and another one does', async () => {
  const cluster = await started(3, 'removed');
  const { clock } = cluster;
  const nodes = cluster.nodes as ServiceNode[];
  const [first, second] = nodes as [ServiceNode, ServiceNode];
  second.engine.service(rosterContract).remove(first.engine.node, 'the test wants it');
  await clock.advance(500);
  expect(first.engine.service(rosterContract).removed()).toEqual([first.engine.node]);
  nodes.splice(nodes.indexOf(first), 1);
  await cluster.published(30_000, { after: 0, heads: 2 });
  const from = cluster.uploads.length;
  // By itself it would take the others for dead, and publish its own heads alone.
  expect(await clock.runFor(first.engine.requestCycle('operator: test'), 10_000)).toMatchObject({
    outcome: 'refused',
    why: `this node was removed from the cluster by ${second.engine.node}`,
  });
  await clock.advance(30_000);
  expect(cluster.uploads.slice(from).filter(({ epoch }) => epoch !== 1)).toEqual([]);
  expect(cluster.heldEpochs()).toEqual([1]);
  nodes.push(first);
  await cluster.end();
});
