/** A member is removed: the secret that it knew is replaced, whoever is away, cut off or dies meanwhile. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { secretRotationContract, type ClusterSecret } from '../../core/engine/index.ts';
import { createClusterSecret, secretName } from '../../plugins/identity/index.ts';
import { revocation } from '../../plugins/revocation/index.ts';
import { createMemoryStore, type MemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../kit/sim/virtual-clock.ts';
import { createPeers, type Peer } from '../unit/plugins/peers.ts';
import { createBareHost, type BareHost } from '../unit/plugins/support.ts';

interface Member {
  readonly peer: Peer;
  readonly bare: BareHost;
  readonly store: MemoryStore;
  readonly id: string;
}

interface Cluster {
  readonly clock: VirtualClock;
  readonly members: Member[];
  add(name: string): Promise<Member>;
  restart(member: Member): Promise<Member>;
  stop(): Promise<void>;
}

async function createCluster(seed: string, names: readonly string[], settings: object = {}): Promise<Cluster> {
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const peers = createPeers(clock, createClusterSecret(random));
  const members: Member[] = [];
  const run = async (peer: Peer, store: MemoryStore): Promise<Member> => {
    const bare = createBareHost({ node: peer.identity.node, clock, store });
    Object.assign(bare.host, { stateDirectory: '/state' });
    Object.assign(bare.host.runtime, { random: random.fork(`${peer.identity.node} ${clock.monotonic()}`) });
    peer.provideTo(bare);
    bare.apply(revocation, settings);
    await bare.start();
    const member = { peer, bare, store, id: peer.identity.node };
    members.push(member);
    return member;
  };
  const add = async (name: string): Promise<Member> => {
    const store = createMemoryStore();
    await store.makeDirectory('/state');
    return run(peers.add(name), store);
  };
  for (const name of names) await add(name);
  return {
    clock,
    members,
    add,
    restart: async (member) => {
      await clock.runFor(member.bare.stop(), 10_000);
      member.peer.restart();
      members.splice(members.indexOf(member), 1);
      return run(member.peer, member.store);
    },
    stop: async () => {
      for (const { bare } of members) await clock.runFor(bare.stop(), 10_000);
    },
  };
}

const namesOf = ({ peer }: Member): string[] => peer.secrets.current().map(secretName);
const generationsOf = ({ peer }: Member): number[] => peer.secrets.current().map(({ generation }) => generation);
/** The newest secrets of members, each once. */
const newest = (members: readonly Member[]): string[] => [
  ...new Set(members.map((member) => namesOf(member)[0] ?? '')),
];
const rotate = ({ bare }: Member) => bare.given(secretRotationContract).rotate('test');

describe('a member is removed', () => {
  test('the remover makes the next generation, all who stay have it at once, the removed one never', async () => {
    const cluster = await createCluster('plain', ['a', 'b', 'c', 'd']);
    const [a, b, c, d] = cluster.members as [Member, Member, Member, Member];
    await cluster.clock.advance(10_000);
    const before = namesOf(d);
    a.peer.roster.remove(d.id, 'test');
    const change = await cluster.clock.runFor(rotate(a), 5_000);
    expect(change).toEqual({ generation: 2, confirmed: [b.id, c.id].sort(), waiting: [] });
    expect(newest([a, b, c])).toHaveLength(1);
    expect([a, b, c].map(generationsOf)).toEqual([
      [2, 1],
      [2, 1],
      [2, 1],
    ]);
    // Everybody has it: the older one goes, and nobody makes another.
    await cluster.clock.advance(120_000);
    expect([a, b, c].map(generationsOf)).toEqual([[2], [2], [2]]);
    expect(namesOf(d)).toEqual(before);
    await cluster.stop();
  });

  test('a remover that dies at once is stood in for, by one and not by all', async () => {
    const cluster = await createCluster('dies', ['a', 'b', 'c', 'd', 'e']);
    const [a, b, c, d, e] = cluster.members as [Member, Member, Member, Member, Member];
    a.peer.roster.remove(e.id, 'test');
    await cluster.clock.advance(1_000);
    a.peer.online = false;
    await cluster.clock.runFor(a.bare.stop(), 10_000);
    await cluster.clock.advance(30_000);
    expect(newest([b, c, d])).toHaveLength(1);
    expect([b, c, d].map((member) => generationsOf(member)[0])).toEqual([2, 2, 2]);
    await cluster.stop();
  });

  test('one that has joined since, and hears nobody, makes no secret of its own', async () => {
    const cluster = await createCluster('joined', ['a', 'b', 'c']);
    const [a, b, c] = cluster.members as [Member, Member, Member];
    await cluster.clock.advance(10_000);
    a.peer.roster.remove(c.id, 'test');
    await cluster.clock.runFor(rotate(a), 20_000);
    const d = await cluster.add('d');
    d.peer.online = false;
    expect(d.peer.roster.removed()).toEqual([c.id]);
    await cluster.clock.advance(120_000);
    expect(namesOf(d)[0]).toBe(newest([a, b])[0]);
    d.peer.online = true;
    await cluster.clock.advance(120_000);
    expect(newest([a, b, d])).toHaveLength(1);
    await cluster.stop();
  });

  test.each([
    { why: 'is away', hinder: (b: Member, is: boolean) => void (b.peer.online = !is), secrets: 2 },
    // It has the newer one in memory, and a restart would bring it back to the older.
    { why: 'has a full disk', hinder: (b: Member, is: boolean) => void (b.peer.diskFull = is), secrets: 1 },
  ])(
    'the older one is kept for one that $why, and goes once that one has the newer',
    async ({ why, hinder, secrets }) => {
      const cluster = await createCluster(why, ['a', 'b', 'c', 'd']);
      const [a, b, c, d] = cluster.members as [Member, Member, Member, Member];
      await cluster.clock.advance(10_000);
      hinder(b, true);
      a.peer.roster.remove(d.id, 'test');
      const change = await cluster.clock.runFor(rotate(a), 20_000);
      expect(change).toEqual({ generation: 2, confirmed: [c.id], waiting: [b.id] });
      expect(newest([a, b, c])).toHaveLength(secrets);
      await cluster.clock.advance(600_000);
      expect([a, c].map(generationsOf)).toEqual([
        [2, 1],
        [2, 1],
      ]);
      hinder(b, false);
      await cluster.clock.advance(70_000);
      expect(newest([a, b, c])).toHaveLength(1);
      await cluster.clock.advance(120_000);
      expect([a, b, c].map(generationsOf)).toEqual([[2], [2], [2]]);
      await cluster.stop();
    },
  );

  test('one whose copy has said that it has the newer one gets it when it returns, with the one before', async () => {
    const cluster = await createCluster('copy', ['a', 'b', 'c', 'd']);
    const [a, b, c, d] = cluster.members as [Member, Member, Member, Member];
    await cluster.clock.advance(10_000);
    const { disk } = b.peer;
    a.peer.roster.remove(d.id, 'test');
    expect((await cluster.clock.runFor(rotate(a), 20_000)).waiting).toEqual([]);
    b.peer.online = false;
    b.peer.disk = disk;
    const original = await cluster.restart(b);
    await cluster.clock.advance(600_000);
    original.peer.online = true;
    await cluster.clock.advance(70_000);
    expect(newest([a, original, c])).toHaveLength(1);
    await cluster.clock.advance(120_000);
    expect([a, original, c].map(generationsOf)).toEqual([[2], [2], [2]]);
    await cluster.stop();
  });

  test('one that was away from two removals gets the newest when it returns', async () => {
    const cluster = await createCluster('twice', ['a', 'b', 'c', 'd', 'e']);
    const [a, b, c, ...removed] = cluster.members as [Member, Member, Member, Member, Member];
    await cluster.clock.advance(10_000);
    b.peer.online = false;
    for (const { id } of removed) {
      a.peer.roster.remove(id, 'test');
      await cluster.clock.runFor(rotate(a), 20_000);
      await cluster.clock.advance(300_000);
    }
    expect([a, b, c].map(generationsOf)).toEqual([[3, 2, 1], [1], [3, 2, 1]]);
    b.peer.online = true;
    await cluster.clock.advance(200_000);
    expect([a, b, c].map(generationsOf)).toEqual([[3], [3], [3]]);
    await cluster.stop();
  });

  test('one that stays away for longer than it is waited for must join anew', async () => {
    const cluster = await createCluster('long', ['a', 'b', 'c'], { retire_at_most_secs: 60 });
    const [a, b, c] = cluster.members as [Member, Member, Member];
    b.peer.online = false;
    a.peer.roster.remove(c.id, 'test');
    await cluster.clock.runFor(rotate(a), 20_000);
    await cluster.clock.advance(50_000);
    expect(generationsOf(a)).toEqual([2, 1]);
    await cluster.clock.advance(30_000);
    expect(generationsOf(a)).toEqual([2]);
    b.peer.online = true;
    await cluster.clock.advance(120_000);
    // It may hear of the removal and make a generation of its own, but the others' it never has.
    expect(newest([a, b])).toHaveLength(2);
    await cluster.stop();
  });

  test('two members rotate at once, on two sides of a cut: all settle on one, without whom either removed', async () => {
    for (const seed of ['one', 'two', 'three', 'four']) {
      const cluster = await createCluster(`cut ${seed}`, ['a', 'b', 'c', 'd', 'e', 'f']);
      const [a, b, c, d, e, f] = cluster.members as [Member, Member, Member, Member, Member, Member];
      await cluster.clock.advance(10_000);
      for (const { peer } of [a, b, e]) peer.side = 'left';
      for (const { peer } of [c, d, f]) peer.side = 'right';
      a.peer.roster.remove(e.id, 'test');
      c.peer.roster.remove(f.id, 'test');
      await cluster.clock.runFor(Promise.all([rotate(a), rotate(c)]), 20_000);
      expect(newest([a, b])).not.toEqual(newest([c, d]));
      for (const { peer } of cluster.members) peer.side = '';
      await cluster.clock.advance(200_000);
      const stay = [a, b, c, d];
      expect(newest(stay)).toHaveLength(1);
      // Each side's secret was known to whom the other removed: there is a third one.
      expect(stay.map(generationsOf)).toEqual([[3], [3], [3], [3]]);
      expect([e, f].map((member) => newest([member])[0] === newest(stay)[0])).toEqual([false, false]);
      await cluster.stop();
    }
  });

  test('its count survives restarts: nobody makes a generation for an old removal', async () => {
    const cluster = await createCluster('restart', ['a', 'b', 'c']);
    const [a, b, c] = cluster.members as [Member, Member, Member];
    a.peer.roster.remove(c.id, 'test');
    await cluster.clock.runFor(rotate(a), 5_000);
    await cluster.clock.advance(5_000);
    await cluster.restart(a);
    const second = await cluster.restart(b);
    await cluster.clock.advance(120_000);
    expect(cluster.members.map(generationsOf).map(([first]) => first)).toEqual([1, 2, 2]);
    // One that has lost its state learns it from the others.
    await second.store.remove('/state/revocation.json');
    await cluster.restart(second);
    await cluster.clock.advance(120_000);
    expect(generationsOf(second)).toEqual([2]);
    await cluster.stop();
  });
});

test('a newcomer with the newest secret starts no rotation for removals before its time', async () => {
  const cluster = await createCluster('newcomer', ['a', 'b', 'c']);
  const [a, b, c] = cluster.members as [Member, Member, Member];
  a.peer.roster.remove(c.id, 'test');
  await cluster.clock.runFor(rotate(a), 5_000);
  await cluster.clock.advance(60_000);
  const late = await cluster.add('late');
  await cluster.clock.advance(120_000);
  expect([a, b, late].map(generationsOf)).toEqual([[2], [2], [2]]);
  await cluster.stop();
});

describe('who may not have it', () => {
  test('a removed one asks somebody who has not heard of the removal yet, in vain', async () => {
    const cluster = await createCluster('lag', ['a', 'b', 'c']);
    const [a, b, c] = cluster.members as [Member, Member, Member];
    a.peer.roster.remove(c.id, 'test');
    await cluster.clock.runFor(rotate(a), 5_000);
    expect(generationsOf(b)[0]).toBe(2);
    // As if the roster's news were slower than the secret's.
    Object.assign(b.peer.roster, {
      removed: () => [],
      admitted: () => [a, b, c].map(({ peer, id }) => admittedOf(peer, id)),
    });
    const [old] = c.peer.secrets.current() as [ClusterSecret];
    const question = Buffer.alloc(25);
    question.writeUInt8(1);
    question.writeUInt32BE(old.generation, 1);
    question.set(Buffer.from(secretName(old), 'hex'), 5);
    const answer = await b.peer.handle('cluster-secret', c.id, question);
    expect(answer).toHaveLength(25);
    await expect(a.peer.handle('cluster-secret', c.id, question)).rejects.toThrow('not admitted');
    await cluster.stop();
  });

  test('what is no message changes nothing and is answered with nothing secret', async () => {
    const cluster = await createCluster('forged', ['a', 'b']);
    const [a, b] = cluster.members as [Member, Member];
    await cluster.clock.runFor(rotate(a), 5_000);
    const before = namesOf(a);
    const random = createSeededRandom('forged');
    for (let round = 0; round < 50; round++) {
      const bytes = random.bytes(random.int(200));
      bytes[0] = 1;
      await a.peer.handle('cluster-secret', b.id, bytes).catch(() => undefined);
    }
    expect(namesOf(a)).toEqual(before);
    await cluster.stop();
  });
});

const admittedOf = (peer: Peer, node: string) => ({ node, keys: peer.identity.keys, endpoints: [], admittedBy: node });

test('no log, no state file and nothing on the way has a byte of a secret', async () => {
  const cluster = await createCluster('secrets', ['a', 'b', 'c']);
  const [a, b, c] = cluster.members as [Member, Member, Member];
  a.peer.roster.remove(c.id, 'test');
  await cluster.clock.runFor(rotate(a), 5_000);
  const wire = cluster.members.flatMap(({ peer }) => peer.answers.map((each) => Buffer.from(each).toString('latin1')));
  const files = await Promise.all(
    cluster.members.map(async ({ store }) => (await store.read('/state/revocation.json')) ?? new Uint8Array()),
  );
  const shown = inspect(
    [cluster.members.map(({ bare }) => bare.lines), wire, files.map((each) => Buffer.from(each).toString('latin1'))],
    { depth: 20, maxArrayLength: null, maxStringLength: null },
  );
  for (const { secret } of [...a.peer.secrets.current(), ...b.peer.secrets.current()]) {
    const buffer = Buffer.from(secret);
    for (const text of [buffer.toString('hex'), buffer.toString('base64').slice(0, 40), buffer.toString('latin1')]) {
      expect(shown).not.toContain(text);
    }
  }
  await cluster.stop();
});
