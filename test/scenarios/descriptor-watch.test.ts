/** What a publisher does about HSDirs that lack its descriptor, lose it, or hold somebody else's. On a virtual clock. */
import { expect, test } from 'vitest';
import { definePlugin, electionContract } from '../../core/engine/index.ts';
import { startServiceCluster, type SeenUpload, type ServiceCluster, type ServiceNode } from './service-cluster.ts';

/** The heads' own descriptors move every few minutes in a testing network, and the publication with them: it looks sooner. */
const soon = { schedule: { watch_secs: 20 } };
const watchMs = 24_000;

async function started(seed: string, tables = {}): Promise<{ cluster: ServiceCluster; publisher: ServiceNode }> {
  const cluster = await startServiceCluster(seed);
  for (const name of ['a', 'b']) await cluster.start(name, { tables });
  const publisher = await cluster.published(10_000, { heads: 2 });
  return { cluster, publisher };
}

/** The relays that clients ask for the newest descriptor. */
function askedRelays({ network }: ServiceCluster, { results }: ServiceNode) {
  const sealed = results.findLast((result) => result.sealed !== undefined)?.sealed;
  const targets = sealed?.descriptors.find(({ slot }) => slot === sealed.slots.clientUses)?.targets ?? [];
  const asked = targets.filter(({ fetched }) => fetched);
  return asked.flatMap(({ relay }) => network.relays.filter(({ fingerprint }) => fingerprint === relay.fingerprint));
}

/** The newest revision that each HSDir has taken, by HSDir and blinded key. */
function held(uploads: readonly SeenUpload[]): Map<string, bigint> {
  const taken = uploads.filter(({ accepted }) => accepted);
  return new Map(taken.map(({ hsdir, blindedKey, revision }) => [`${hsdir} ${blindedKey}`, revision]));
}

test('HSDirs that refuse for half a minute get what they lack soon after, whatever happens meanwhile, and the others nothing', async () => {
  const { cluster, publisher } = await started('refuse', { schedule: { watch_secs: 0 } });
  const { clock } = cluster;
  const refusing = askedRelays(cluster, publisher).slice(0, 3);
  for (const { hsdir } of refusing) hsdir.faults.rejectsUploads = true;
  // A third head joins: the descriptor changes.
  await cluster.start('c');
  await clock.runUntil(() => publisher.results.at(-1)?.outcome === 'unconfirmed', 20_000);
  const from = cluster.uploads.length;
  // Members say something all the time, and each time there is a cycle.
  for (let round = 0; round < 27; round++) {
    publisher.engine.requestCycle('peerChanged: something').catch(() => undefined);
    await clock.advance(1_000);
  }
  for (const { hsdir } of refusing) hsdir.faults.rejectsUploads = false;
  await clock.runUntil(() => publisher.results.at(-1)?.outcome === 'published', 60_000);

  const since = cluster.uploads.slice(from);
  const names = new Set(refusing.map(({ fingerprint }) => fingerprint));
  expect(since.filter(({ hsdir }) => !names.has(hsdir))).toEqual([]);
  expect(since.length).toBeGreaterThan(0);
  // Two, four, eight, sixteen seconds: no flood, although there were dozens of cycles.
  expect(since.length).toBeLessThanOrEqual(5 * 2 * refusing.length);
  expect(publisher.results.at(-1)?.live).toHaveLength(3);
  await cluster.end();
});

test('a copy of a machine publishes in a later epoch and is gone before anybody hears of it: the publisher goes above, and says so', async () => {
  const { cluster, publisher } = await started('copy', soon);
  const { clock } = cluster;
  for (const name of ['a', 'b']) cluster.bus.cut('c', name);
  const copied = definePlugin({
    name: 'election/copied',
    summary: 'Publishes in epoch 5, whatever the others say.',
    gives: [electionContract],
    apply: (host) => host.give(electionContract, { publisher: host.node, epoch: 5, elected: true }),
  });
  const copy = await cluster.start('c', { election: copied });
  await clock.runUntil(() => copy.results.some(({ outcome }) => outcome === 'published'), 30_000);
  await cluster.kill(copy);
  expect(cluster.heldEpochs()).toEqual([5]);
  expect(publisher.election.epoch).toBe(0);
  // A member that was known is missing, and might publish on the other side of a cut: 15 leases.
  await cluster.published(watchMs + 40_000, { after: 5 });
  expect(cluster.heldEpochs()).toEqual([6]);
  expect(publisher.election.elected).toBe(true);
  await cluster.end();
});

test('an HSDir that has lost the descriptor has it again when its turn has come, and the others are sent nothing', async () => {
  const { cluster, publisher } = await started('lost', soon);
  const { clock } = cluster;
  await clock.advance(10_000);
  const before = held(cluster.uploads);
  const [one] = askedRelays(cluster, publisher);
  one?.hsdir.forget();
  const from = cluster.uploads.length;
  await clock.runUntil(() => cluster.uploads.length > from, watchMs + 10_000);
  await clock.advance(10_000);
  const since = cluster.uploads.slice(from);
  expect(new Set(since.map(({ hsdir }) => hsdir))).toEqual(new Set([one?.fingerprint]));
  expect(since.filter(({ accepted }) => accepted).length).toBeGreaterThan(0);
  expect(held(cluster.uploads)).toEqual(before);
  await cluster.end();
});
