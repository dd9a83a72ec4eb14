/** Nodes of the mesh together: who is there, what each says, and what a stranger or a removed one can do about it. */
import { describe, expect, test } from 'vitest';
import { removeFrom } from '../../../plugins/mesh/roster.ts';
import { recordingLog, type LogLine } from '../plugins/support.ts';
import { testMesh } from './mesh-node.ts';

test('find each other, learn each other’s records, and only newer ones', async () => {
  const { clock, join } = testMesh(['a', 'b']);
  const [a, b] = [join('a'), join('b')];
  a.mesh.publish('load', { queue: 1 });
  b.mesh.publish('load', 'x'.repeat(900));
  await clock.advance(1_000);
  expect(a.states()).toEqual(['a alive', 'b alive']);
  expect(b.values('load')).toEqual([
    ['a', { queue: 1 }],
    ['b', 'x'.repeat(900)],
  ]);
  b.changes();
  a.mesh.publish('load', { queue: 1 });
  await clock.advance(2_000);
  expect(b.changes()).toEqual([]);
  a.mesh.publish('load', { queue: 2 });
  await clock.advance(50);
  expect(b.changes()).toEqual(['a load']);
});

test('carry the largest record over datagrams of 1,232 bytes, at 20 % loss', async () => {
  const { clock, join } = testMesh(['a', 'b'], { maximumBytes: 1_232, loss: 0.2 });
  const [a, b] = [join('a'), join('b')];
  const value = 'é'.repeat(131_000);
  a.mesh.publish('large', value);
  await clock.runUntil(() => b.values('large').length > 0, 60_000);
  expect(b.values('large')).toEqual([['a', value]]);
  expect(() => a.mesh.publish('large', `${value}${'x'.repeat(200)}`)).toThrow(/262144 are the most/);
});

test('refuse kinds that are none, the mesh’s own, and a ninth', () => {
  const a = testMesh(['a']).join('a');
  for (const kind of ['Bad kind', 'node', '+']) expect(() => a.mesh.publish(kind, 1)).toThrow(/is no kind/);
  for (let index = 0; index < 8; index++) a.mesh.publish(`k-${'abcdefgh'[index]}`, index);
  expect(() => a.mesh.publish('ninth', 1)).toThrow(/one kind too many/);
});

test('learn of and from a third what they cannot hear themselves', async () => {
  const { clock, bus, join } = testMesh(['a', 'b', 'c']);
  bus.cut('a', 'b');
  const [a, b] = [join('a'), join('b')];
  join('c');
  b.mesh.publish('load', 'y'.repeat(2_000));
  await clock.advance(5_000);
  expect(a.states()).toEqual(['a alive', 'b alive', 'c alive']);
  expect(a.values('load')).toEqual([['b', 'y'.repeat(2_000)]]);
  for (let second = 0; second < 60; second++) {
    await clock.advance(1_000);
    expect(a.states()).toEqual(['a alive', 'b alive', 'c alive']);
  }
});

test.each([2, 3, 5, 10])('of %i nodes one that is killed is dead within 8 s, in every mind', async (count) => {
  const names = 'abcdefghij'.slice(0, count).split('');
  const { clock, join } = testMesh(names, { delayMs: { minimum: 1, maximum: 30 } });
  const nodes = names.map((name) => join(name));
  await clock.advance(3_000);
  for (const node of nodes) expect(node.states()).toEqual(names.map((name) => `${name} alive`));
  const [killed, ...rest] = nodes;
  killed?.kill();
  await clock.runUntil(() => rest.every((node) => node.states().includes('a dead')), 8_000);
  await clock.advance(20_000);
  const expected = names.map((name) => `${name} ${name === 'a' ? 'dead' : 'alive'}`);
  for (const node of rest) expect(node.states()).toEqual(expected);
});

test('a leader that is killed is suspect after 2 s without a word and dead after 4 s', async () => {
  const { clock, join } = testMesh(['a', 'b', 'c']);
  const [a, b, c] = [join('a'), join('b'), join('c')];
  a.mesh.lead(true);
  await clock.advance(3_000);
  for (let step = 0; step < 100; step++) {
    await clock.advance(100);
    const heard = b.mesh.members().find(({ node }) => node === a.node)?.heardAtMs ?? 0;
    expect(clock.monotonic() - heard).toBeLessThan(700);
  }
  a.kill();
  const goneAt = clock.monotonic();
  for (const [state, low, high] of [
    ['suspect', 900, 2_400],
    ['dead', 2_000, 4_700],
  ] as const) {
    await clock.runUntil(() => c.states().includes(`a ${state}`), 6_000);
    expect(clock.monotonic() - goneAt).toBeGreaterThan(low);
    expect(clock.monotonic() - goneAt).toBeLessThan(high);
  }
});

test('a restarted node replaces itself, even with a clock that is an hour behind', async () => {
  const { clock, join } = testMesh(['a', 'b']);
  const a = join('a');
  const first = join('b');
  first.mesh.publish('load', 1);
  first.mesh.publish('old', 1);
  await clock.advance(2_000);
  first.kill();
  clock.jump(-3_600_000);
  const again = join('b');
  again.mesh.publish('load', 2);
  await clock.advance(3_000);
  expect(a.values('load')).toEqual([['b', 2]]);
  expect(a.values('old')).toEqual([]);
  expect(a.states()).toEqual(['a alive', 'b alive']);
});

test('a good-bye counts at once, with the last words', async () => {
  const { clock, join } = testMesh(['a', 'b']);
  const [a, b] = [join('a'), join('b')];
  b.mesh.publish('load', 'full');
  await clock.advance(1_000);
  a.changes();
  const seen: unknown[] = [];
  a.mesh.onChange((change) => seen.push(change.what === 'record' ? a.values('load') : change.state));
  b.mesh.publish('load', []);
  b.leave();
  await clock.advance(10);
  expect(seen).toContainEqual([['b', []]]);
  expect(a.states()).toEqual(['a alive', 'b dead']);
});

test('drop and count what is no message, and live on', async () => {
  const { clock, bus, join } = testMesh(['a']);
  const a = join('a');
  bus.join('stranger', () => undefined);
  for (const text of ['', '{', 'null', '\u0002\u0001', '\u0002\u0004aaaabbbbbbbbcccccccccccccccc']) {
    bus.send('stranger', 'memory:a', Buffer.from(text));
  }
  await clock.advance(100);
  // The empty one is no datagram at all.
  expect(a.mesh.dropped).toBe(4);
  expect(a.states()).toEqual(['a alive']);
});

test('both sides of a cut find the other dead, and alive again soon after it heals', async () => {
  const { clock, bus, join } = testMesh(['a', 'b', 'c', 'd']);
  const nodes = ['a', 'b', 'c', 'd'].map((name) => join(name));
  await clock.advance(3_000);
  for (const left of ['a', 'b']) for (const right of ['c', 'd']) bus.cut(left, right);
  await clock.advance(15_000);
  expect(nodes[0]?.states()).toEqual(['a alive', 'b alive', 'c dead', 'd dead']);
  expect(nodes[3]?.states()).toEqual(['a dead', 'b dead', 'c alive', 'd alive']);
  bus.heal();
  const all = ['a alive', 'b alive', 'c alive', 'd alive'];
  await clock.runUntil(() => nodes.every((node) => node.states().join() === all.join()), 20_000);
  await clock.advance(30_000);
  for (const node of nodes) expect(node.states()).toEqual(all);
});

describe('the roster', () => {
  test('a new member is admitted by one and known to all; A–B–C becomes a full mesh', async () => {
    const { clock, join, members } = testMesh(['a', 'b', 'c']);
    const alone = testMesh(['a'], {}, 'mesh').members.entries;
    expect(alone.length).toBeLessThan(members.entries.length);
    const a = join('a', alone);
    a.mesh.publish('load', 'a');
    const { admitInto } = await import('../../../plugins/mesh/roster.ts');
    const admission = () => a.roster.encode();
    admitInto(a.roster, a.identity, members.identity('b').keys, ['memory:b']);
    a.mesh.rosterChanged([]);
    const b = join('b', admission());
    await clock.advance(2_000);
    // b admits c, which knows of b alone where to find it.
    admitInto(b.roster, b.identity, members.identity('c').keys, ['memory:c']);
    b.mesh.rosterChanged([{ type: 'admission', admission: b.roster.admission(members.identity('c').node) as never }]);
    const c = join('c', b.roster.encode());
    c.mesh.publish('load', 'c');
    await clock.advance(5_000);
    for (const node of [a, b, c]) expect(node.states()).toEqual(['a alive', 'b alive', 'c alive']);
    expect(a.values('load')).toEqual([
      ['a', 'a'],
      ['c', 'c'],
    ]);
  });

  test.each(['the generation of the secret that both have', 'a newer one, too'])(
    'who was let in while another was away is known to it, though all that could tell have died (by %s)',
    async (by) => {
      const { clock, join, members } = testMesh(['a', 'b', 'c', 'd']);
      const { admitInto, foundRoster } = await import('../../../plugins/mesh/roster.ts');
      const roster = foundRoster(members.identity('a'), ['memory:a']);
      const admit = (by: string, name: string): Uint8Array => {
        admitInto(roster, members.identity(by), members.identity(name).keys, [`memory:${name}`]);
        return roster.encode();
      };
      const a = join('a', admit('a', 'b'));
      // b let c in, and c let d in; both are gone. a has heard of neither.
      admit('b', 'c');
      const d = join('d', admit('c', 'd'));
      if (by === 'a newer one, too') await d.secrets.learn({ generation: 2, secret: new Uint8Array(32).fill(2) });
      d.mesh.publish('load', 'd');
      await clock.advance(10_000);
      expect(a.states()).toEqual(['a alive', 'd alive']);
      expect(d.states()).toEqual(['a alive', 'd alive']);
      expect(a.values('load')).toEqual([['d', 'd']]);
      expect(a.roster.nodes().sort()).toEqual(d.roster.nodes().sort());
    },
  );

  test('an introduction counts by its signature: not of a removed one, nor for another, nor without the secret', async () => {
    const { clock, bus, join, members } = testMesh(['a', 'b', 'c']);
    const { admitInto, foundRoster, removeFrom } = await import('../../../plugins/mesh/roster.ts');
    const { joinMemoryBus } = await import('../../../plugins/transport/memory/index.ts');
    const { typeOf } = await import('../../../plugins/mesh/session/datagram.ts');
    const roster = foundRoster(members.identity('a'), ['memory:a']);
    admitInto(roster, members.identity('a'), members.identity('b').keys, ['memory:b']);
    const before = roster.encode();
    admitInto(roster, members.identity('b'), members.identity('c').keys, ['memory:c']);
    // What c says of itself is recorded, and a does not get it.
    const recorded: Uint8Array[] = [];
    const tap = joinMemoryBus(bus, 'a');
    tap.transport.onMessage((_from, bytes) => {
      if (typeOf(bytes) === 'introduction') recorded.push(bytes.slice());
    });
    const leave = tap.join();
    const c = join('c', roster.encode());
    await clock.advance(10_000);
    leave();
    c.kill();
    expect(recorded.length).toBeGreaterThan(0);
    const stranger = joinMemoryBus(bus, 'x');
    stranger.join();
    const b = join('b', before);
    const removed = foundRoster(members.identity('a'), ['memory:a']);
    admitInto(removed, members.identity('a'), members.identity('b').keys, ['memory:b']);
    removeFrom(removed, members.identity('a'), c.node);
    const a = join('a', removed.encode());
    for (const bytes of recorded) {
      const changed = bytes.slice();
      changed[40] = (changed[40] ?? 0) ^ 1;
      for (const [to, datagram] of [
        ['a', bytes],
        ['a', changed],
        ['b', bytes],
      ] as const)
        stranger.transport.send(`memory:${to}`, datagram);
    }
    await clock.advance(100);
    expect(b.roster.isMember(c.node)).toBe(false);
    expect(a.roster.isMember(c.node)).toBe(false);
    expect(b.mesh.dropped).toBeGreaterThan(0);
  });

  test('a removed member is gone everywhere, for good', async () => {
    const { clock, join, members } = testMesh(['a', 'b', 'c']);
    const [a, b, c] = [join('a'), join('b'), join('c')];
    c.mesh.publish('load', 'c');
    await clock.advance(3_000);
    const removal = removeFrom(a.roster, a.identity, c.node);
    a.mesh.rosterChanged([{ type: 'removal', removal }]);
    await clock.advance(1_000);
    for (const node of [a, b]) {
      expect(node.states()).toEqual(['a alive', 'b alive']);
      expect(node.values('load')).toEqual([]);
    }
    c.kill();
    const again = join('c');
    again.mesh.publish('load', 'me again');
    await clock.advance(20_000);
    for (const node of [a, b]) {
      expect(node.states()).toEqual(['a alive', 'b alive']);
      expect(node.values('load')).toEqual([]);
      expect(node.roster.merge(again.roster.admissions(), [])).toBe(false);
    }
    expect(members.nameOf(c.node)).toBe('c');
  });

  test.each([0, 0.3])('a removed member is told so, as its last words (loss %d)', async (loss) => {
    const { clock, join } = testMesh(['a', 'b', 'c', 'd'], { loss });
    const lines: LogLine[] = [];
    const [a, b] = [join('a'), join('b')];
    const c = join('c', undefined, 'c', recordingLog(lines));
    join('d');
    await clock.advance(10_000);
    a.mesh.rosterChanged([{ type: 'removal', removal: removeFrom(a.roster, a.identity, c.node) }]);
    await clock.advance(5_000);
    expect(c.roster.isRemoved(c.node)).toBe(true);
    const told = lines.filter(({ level }) => level === 'error');
    expect(told).toMatchObject([{ fields: { by: a.node, error: { code: 'MESH_REMOVED' } } }]);
    expect(b.roster.isRemoved(c.node)).toBe(true);
    expect(a.states()).toEqual(['a alive', 'b alive', 'd alive']);
  });
});

describe('questions', () => {
  test.each([0, 10, 1_000, 1_001, 65_536])('of %i bytes are answered, at 20 % loss', async (length) => {
    const { clock, join } = testMesh(['a', 'b'], { maximumBytes: 1_232, loss: 0.2 });
    const [a, b] = [join('a'), join('b')];
    let asked = 0;
    b.mesh.channel.answer('echo', async (from, question) => {
      asked++;
      expect(from).toBe(a.node);
      return Buffer.from(question).reverse();
    });
    await clock.advance(3_000);
    const question = Buffer.from(Array.from({ length }, (_none, at) => at % 251));
    const answer = await clock.runFor(a.mesh.channel.ask(b.node, 'echo', question, 30_000), 31_000);
    expect(Buffer.from(answer).equals(Buffer.from(question).reverse())).toBe(true);
    expect(asked).toBe(1);
  });

  test('nobody there, a refusal, too much: MESH_NO_ANSWER', async () => {
    const { clock, join } = testMesh(['a', 'b', 'c']);
    const [a, b] = [join('a'), join('b')];
    b.mesh.channel.answer('no', async () => Promise.reject(new Error('secret reason')));
    await clock.advance(3_000);
    const ask = (node: string, topic: string, bytes = 1) =>
      clock.runFor(a.mesh.channel.ask(node, topic, new Uint8Array(bytes), 2_000), 3_000);
    for (const [node, topic, bytes] of [
      [b.node, 'no', 1],
      [b.node, 'unknown', 1],
      [b.node, 'no', 65_537],
      ['x'.repeat(20), 'no', 1],
    ] as const) {
      await expect(ask(node, topic, bytes)).rejects.toMatchObject({ code: 'MESH_NO_ANSWER' });
    }
    await expect(ask(b.node, 'no')).rejects.not.toThrow(/secret/);
  });
});

test('what waited in a queue does not make a dead leader look alive', async () => {
  const { clock, bus, join } = testMesh(['a', 'b']);
  const [a, b] = [join('a'), join('b')];
  a.mesh.lead(true);
  const late: Uint8Array[] = [];
  await clock.advance(3_000);
  // All that a says for twenty seconds waits somewhere, and comes when a is dead: genuine, and in order.
  bus.cut('a', 'b', true);
  bus.tap((from, to, bytes) => {
    if (from === 'a' && to === 'b') late.push(bytes.slice());
  });
  await clock.advance(20_000);
  a.kill();
  bus.heal();
  bus.join('ghost', () => undefined);
  await clock.advance(1_000);
  expect(late.length).toBeGreaterThan(30);
  for (const datagram of late) bus.send('ghost', 'memory:b', datagram);
  await clock.advance(200);
  const heard = b.mesh.members().find(({ node }) => node === a.node)?.heardAtMs ?? 0;
  // The last of them was sent more than a second ago.
  expect(clock.monotonic() - heard).toBeGreaterThan(1_000);
  await clock.advance(5_000);
  expect(b.states()).toContain('a dead');
});

test.each([3, 10])('at rest %i nodes send at most 4 messages and 1 kB a second each', async (count) => {
  const names = 'abcdefghij'.slice(0, count).split('');
  const { clock, bus, join } = testMesh(names, { delayMs: { minimum: 1, maximum: 30 } });
  const nodes = names.map((name) => join(name));
  for (const { mesh } of nodes) mesh.publish('load', 'z'.repeat(1_000));
  nodes[0]?.mesh.lead(true);
  await clock.advance(30_000);
  const { datagrams, bytes } = { ...bus.sent };
  await clock.advance(60_000);
  expect((bus.sent.datagrams - datagrams) / 60 / count).toBeLessThan(4);
  expect((bus.sent.bytes - bytes) / 60 / count).toBeLessThan(1_000);
});

test('who starts again where a third of all datagrams is lost knows within five seconds what the leader says', async () => {
  const late: number[] = [];
  for (let seed = 30; seed < 60; seed++) {
    const { clock, join } = testMesh(
      ['a', 'b', 'c'],
      { loss: 0.3, delayMs: { minimum: 1, maximum: 30 } },
      `start ${seed}`,
    );
    const [a] = ['a', 'b'].map((name) => join(name));
    a?.mesh.lead(true);
    a?.mesh.publish('claim', 7);
    await clock.advance(10_000);
    const c = join('c');
    await clock.advance(5_000);
    if (c.values('claim').length === 0) late.push(seed);
  }
  expect(late).toEqual([]);
});
