import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json, Mesh, MeshChange } from '../../../core/engine/index.ts';
import { silentLog } from '../../../core/runtime/index.ts';
import { headsOf, recordOf } from '../../../plugins/mesh/heads.ts';
import { Membership } from '../../../plugins/mesh/membership.ts';
import { decodeMessage, encodeMessage, type Message } from '../../../plugins/mesh/message.ts';
import { createMeshNode, type MeshNode } from '../../../plugins/mesh/node.ts';
import { createMemoryBus, type MemoryBus, type MemoryBusOptions } from '../../../plugins/transport/memory/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { reportOf } from '../../scenarios/cluster.ts';

const settings = { beaconIntervalMs: 500, suspectMs: 2_000, deadMs: 4_000 };

function makeNetwork(network: Partial<MemoryBusOptions> = {}) {
  const clock = createVirtualClock();
  const bus = createMemoryBus({ clock, random: createSeededRandom('bus'), ...network });
  return { clock, bus };
}

function join(clock: VirtualClock, bus: MemoryBus, self: string): MeshNode {
  const node = createMeshNode({
    transport: {
      self,
      maximumBytes: bus.maximumBytes,
      send: (to, bytes) => bus.send(self, `memory:${to}`, bytes),
      onMessage: (listener) => bus.join(self, (from, bytes) => listener(from.slice('memory:'.length), bytes)),
    },
    clock,
    random: createSeededRandom(self),
    log: silentLog,
    settings,
  });
  node.start();
  return node;
}

const states = (mesh: Mesh): string[] => mesh.members().map(({ node, state }) => `${node} ${state}`);
const values = (mesh: Mesh, kind: string): [string, Json][] =>
  mesh.records(kind).map(({ node, value }) => [node, value]);

describe('messages', () => {
  const examples: Message[] = [
    {
      type: 'beacon',
      incarnation: 5,
      sequence: 1,
      versions: { heads: 2 },
      small: { heads: [] },
      heard: [{ node: 'b', incarnation: 1, sequence: 9, ageMs: 12, versions: {} }],
      leaving: true,
    },
    { type: 'ping' },
    { type: 'pull', node: 'a', kind: 'heads', incarnation: 1, version: 2, offset: 0 },
    {
      type: 'piece',
      node: 'a',
      kind: 'heads',
      incarnation: 1,
      version: 2,
      offset: 3,
      total: 6,
      body: Uint8Array.of(10, 0, 255),
    },
  ];

  test.each(examples)('are read as they were written: $type', (message) => {
    const read = decodeMessage(encodeMessage(message));
    expect(read?.type === 'piece' ? { ...read, body: Uint8Array.from(read.body) } : read).toEqual(message);
  });

  test('whatever the bytes, reading gives a message or undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeMessage(bytes)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.constantFrom(...examples), fc.nat(400), fc.nat(255), (message, at, value) => {
        const bytes = Uint8Array.from(encodeMessage(message));
        bytes[at % bytes.length] = value;
        const read = decodeMessage(bytes);
        return read?.type !== 'piece' || read.offset + read.body.length <= read.total;
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['another version', '{"v":2,"type":"ping"}'],
    ['an unknown field', '{"v":1,"type":"ping","more":1}'],
    ['a body where none belongs', '{"v":1,"type":"ping"}\nbody'],
    ['a bad node', '{"v":1,"type":"pull","node":"a b","kind":"heads","incarnation":1,"version":1,"offset":0}'],
    ['a bad kind', '{"v":1,"type":"pull","node":"a","kind":"Heads","incarnation":1,"version":1,"offset":0}'],
    [
      'a negative age',
      '{"v":1,"type":"beacon","incarnation":1,"sequence":1,"versions":{},"small":{},"heard":[{"node":"b","incarnation":1,"sequence":1,"ageMs":-1,"versions":{}}]}',
    ],
    [
      'a piece beyond its record',
      '{"v":1,"type":"piece","node":"a","kind":"heads","incarnation":1,"version":1,"offset":0,"total":2}\nabc',
    ],
    [
      'a record that is too large',
      '{"v":1,"type":"piece","node":"a","kind":"heads","incarnation":1,"version":1,"offset":0,"total":262145}\nabc',
    ],
  ])('refuses %s', (_what, text) => {
    expect(decodeMessage(Buffer.from(text))).toBeUndefined();
  });
});

describe('membership', () => {
  const limits = {
    suspectMs: 2_000,
    deadMs: 4_000,
    forgetMs: 60_000,
    maximumMembers: 3,
    maximumStoredBytes: 10,
    maximumKinds: 1,
  };
  const sign = { node: 'b', incarnation: 1, sequence: 5, heardAtMs: 0, kinds: ['x'] };

  test('alive, suspect, dead, forgotten; an old sign of life changes nothing', () => {
    const membership = new Membership(limits);
    const changes: MeshChange[] = [];
    membership.heard(sign, 0, changes);
    for (const at of [1_999, 2_000, 3_999, 4_000]) {
      membership.heard({ ...sign, heardAtMs: at }, at, changes);
      membership.heard({ ...sign, sequence: 4, heardAtMs: at }, at, changes);
      membership.heard({ ...sign, incarnation: 0, sequence: 9, heardAtMs: at }, at, changes);
      membership.tick(at, changes);
    }
    expect(changes.map((change) => change.what === 'state' && change.state)).toEqual(['alive', 'suspect', 'dead']);
    membership.tick(64_000, changes);
    expect(membership.members()).toEqual([]);
  });

  test('a second-hand sign counts from when it was heard: too old, it does not bring the dead back', () => {
    const membership = new Membership(limits);
    membership.heard(sign, 0, []);
    membership.tick(5_000, []);
    membership.heard({ ...sign, sequence: 6, heardAtMs: 500 }, 5_000, []);
    expect(membership.members()).toEqual([{ node: 'b', state: 'dead', heardAtMs: 500 }]);
    membership.heard({ ...sign, sequence: 7, heardAtMs: 4_500 }, 5_000, []);
    expect(membership.members()).toEqual([{ node: 'b', state: 'alive', heardAtMs: 4_500 }]);
  });

  test('after this node stood still the others get time to be heard', () => {
    const membership = new Membership(limits);
    membership.heard(sign, 0, []);
    membership.stoodStill(60_000);
    membership.tick(60_000, []);
    expect(membership.members()[0]?.state).toBe('suspect');
    membership.tick(62_000, []);
    expect(membership.members()[0]?.state).toBe('dead');
  });

  test('takes in no more members, kinds and bytes than it may', () => {
    const membership = new Membership(limits);
    for (const node of ['b', 'c', 'd', 'e']) membership.heard({ ...sign, node }, 0, []);
    expect(membership.members()).toHaveLength(3);
    const record = { node: 'b', kind: 'x', incarnation: 1, version: 1, value: null };
    expect(membership.learn({ ...record, bytes: new Uint8Array(8) }, [])).toBe(true);
    expect(membership.learn({ ...record, kind: 'y', bytes: new Uint8Array(1) }, [])).toBe(false);
    expect(membership.learn({ ...record, node: 'c', bytes: new Uint8Array(3) }, [])).toBe(false);
    expect(membership.learn({ ...record, version: 2, bytes: new Uint8Array(10) }, [])).toBe(true);
  });
});

describe('nodes', () => {
  test('find each other, learn each other’s records, and only newer ones', async () => {
    const { clock, bus } = makeNetwork();
    const [a, b] = [join(clock, bus, 'a'), join(clock, bus, 'b')];
    a.publish('load', { queue: 1 });
    b.publish('load', 'x'.repeat(500));
    await clock.advance(1_000);
    expect(states(a)).toEqual(['a alive', 'b alive']);
    expect(values(b, 'load')).toEqual([
      ['a', { queue: 1 }],
      ['b', 'x'.repeat(500)],
    ]);
    const changes: MeshChange[] = [];
    b.onChange((change) => changes.push(change));
    a.publish('load', { queue: 1 });
    await clock.advance(2_000);
    expect(changes).toEqual([]);
    a.publish('load', { queue: 2 });
    await clock.advance(50);
    expect(changes).toEqual([{ node: 'a', what: 'record', kind: 'load' }]);
  });

  test('carry the largest record over datagrams of 1,232 bytes, at 20 % loss', async () => {
    const { clock, bus } = makeNetwork({ maximumBytes: 1_232, loss: 0.2 });
    const [a, b] = [join(clock, bus, 'a'), join(clock, bus, 'b')];
    const value = 'é'.repeat(131_000);
    a.publish('large', value);
    await clock.runUntil(() => values(b, 'large').length > 0, 600_000);
    expect(values(b, 'large')).toEqual([['a', value]]);
    expect(() => a.publish('large', `${value}${'x'.repeat(200)}`)).toThrow(/262144 are the most/);
  });

  test('refuse kinds that are none, and a ninth', () => {
    const { clock, bus } = makeNetwork();
    const a = join(clock, bus, 'a');
    expect(() => a.publish('Bad kind', 1)).toThrow(/is no kind/);
    for (let index = 0; index < 8; index++) a.publish(`k-${'abcdefgh'[index]}`, index);
    expect(() => a.publish('ninth', 1)).toThrow(/one kind too many/);
  });

  test('learn of and from a third what they cannot hear themselves', async () => {
    const { clock, bus } = makeNetwork();
    bus.cut('a', 'b');
    const [a, b] = [join(clock, bus, 'a'), join(clock, bus, 'b')];
    join(clock, bus, 'c');
    b.publish('load', 'y'.repeat(2_000));
    await clock.advance(5_000);
    expect(states(a)).toEqual(['a alive', 'b alive', 'c alive']);
    expect(values(a, 'load')).toEqual([['b', 'y'.repeat(2_000)]]);
  });

  test('a node that is gone is suspect after 2 s and dead after 4 s, for those too who only hear of it', async () => {
    const { clock, bus } = makeNetwork();
    bus.cut('a', 'b');
    const a = join(clock, bus, 'a');
    join(clock, bus, 'b');
    join(clock, bus, 'c');
    await clock.advance(3_000);
    bus.remove('b');
    const goneAt = clock.monotonic();
    const seen: [string, number][] = [];
    a.onChange((change) => {
      if (change.node === 'b' && change.what === 'state') seen.push([change.state, clock.monotonic() - goneAt]);
    });
    await clock.advance(30_000);
    expect(seen.map(([state]) => state)).toEqual(['suspect', 'dead']);
    expect(seen[0]?.[1]).toBeGreaterThan(1_400);
    expect(seen[0]?.[1]).toBeLessThan(2_600);
    expect(seen[1]?.[1]).toBeGreaterThan(3_400);
    expect(seen[1]?.[1]).toBeLessThan(4_600);
  });

  test('a restarted node replaces itself, even with a clock that is an hour behind', async () => {
    const { clock, bus } = makeNetwork();
    const a = join(clock, bus, 'a');
    const first = join(clock, bus, 'b');
    first.publish('load', 1);
    first.publish('old', 1);
    await clock.advance(2_000);
    bus.remove('b');
    clock.jump(-3_600_000);
    const again = join(clock, bus, 'b');
    again.publish('load', 2);
    await clock.advance(1_500);
    expect(values(a, 'load')).toEqual([['b', 2]]);
    expect(values(a, 'old')).toEqual([]);
    expect(states(a)).toEqual(['a alive', 'b alive']);
  });

  test('a good-bye counts at once, with its last small words', async () => {
    const { clock, bus } = makeNetwork();
    const [a, b] = [join(clock, bus, 'a'), join(clock, bus, 'b')];
    b.publish('load', 'full');
    await clock.advance(1_000);
    const seen: string[] = [];
    a.onChange((change) => seen.push(change.what === 'record' ? JSON.stringify(values(a, 'load')) : change.state));
    b.publish('load', []);
    b.leave();
    await clock.advance(10);
    expect(seen).toEqual(['[["b",[]]]', 'dead']);
  });

  test('drop and count what is no message, and live on', async () => {
    const { clock, bus } = makeNetwork();
    const a = join(clock, bus, 'a');
    bus.join('stranger', () => undefined);
    for (const text of ['', '{', 'null', '{"v":1}', '{"v":1,"type":"beacon"}'])
      bus.send('stranger', 'memory:a', Buffer.from(text));
    await clock.advance(100);
    expect(a.dropped).toBe(5);
    expect(states(a)).toEqual(['a alive']);
  });

  test('at rest send each other at most 4 messages and 4 kB a second, five of them', async () => {
    const { clock, bus } = makeNetwork();
    for (const name of ['a', 'b', 'c', 'd', 'e']) join(clock, bus, name).publish('load', 'z'.repeat(1_000));
    await clock.advance(10_000);
    const { datagrams, bytes } = { ...bus.sent };
    await clock.advance(100_000);
    // '*' counts once for each of the four others.
    expect((bus.sent.datagrams - datagrams) / 100 / 5 / 4).toBeLessThan(4);
    expect((bus.sent.bytes - bytes) / 100 / 5 / 4).toBeLessThan(4_000);
  });
});

describe('heads', () => {
  const record = (value: Json) => ({ node: 'b', kind: 'heads', incarnation: 1, version: 1, value });

  test('come back as they went, and nothing that speaks for another node or has another form', () => {
    const good = reportOf('b', '1', 'descriptor');
    expect(headsOf(record(recordOf([good]).value))).toEqual([good]);
    const { node: _node, ...plain } = good;
    const bad: Json[] = [
      { ...plain, head: 'a/1' },
      { ...plain, head: 'b' },
      { ...plain, address: 'b'.repeat(56) },
      { ...plain, descriptor: 'x'.repeat(50_001) },
      { ...plain, provenance: 'rumour' },
      { ...plain, node: 'a' },
      null,
    ];
    expect(headsOf(record([...bad, { ...plain }]))).toEqual([good]);
    for (const value of [null, 'x', {}, Array.from({ length: 65 }, () => ({ ...plain }))]) {
      expect(headsOf(record(value as Json))).toEqual([]);
    }
  });

  test('that do not fit into a record are left out and counted', () => {
    const many = Array.from({ length: 7 }, (_none, index) => reportOf('b', String(index), 'x'.repeat(50_000)));
    const { value, left } = recordOf(many);
    expect([headsOf(record(value)).length, left]).toEqual([5, 2]);
  });
});
