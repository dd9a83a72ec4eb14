/** A machine was cloned: two nodes run with the keys of one. It is told apart from a restart, said to the operator, and bounded. */
import { describe, expect, test } from 'vitest';
import { isChimeraError } from '../../../core/errors.ts';
import { silentLog, type Log } from '../../../core/runtime/index.ts';
import { encodeMessage } from '../../../plugins/mesh/message.ts';
import { hashOf, signRecord } from '../../../plugins/mesh/record.ts';
import { makeSessions } from './support.ts';
import { testMesh } from './mesh-node.ts';

function heardBy(): { readonly codes: string[]; readonly log: Log } {
  const codes: string[] = [];
  const error: Log['error'] = (_message, fields) => {
    const { error: cause } = (fields ?? {}) as { error?: unknown };
    if (isChimeraError(cause)) codes.push(cause.code);
  };
  return { codes, log: { ...silentLog, error } };
}

describe.each([
  ['first', 'second'],
  ['second', 'first'],
])('a node whose wall clock is set back at each start says %s, then %s', (former, now) => {
  test('and all believe what it says now, whoever has heard the former life', async () => {
    const { clock, bus, join, members } = testMesh(['a', 'b', 'c']);
    const [a, b] = [join('a'), join('b')];
    const original = join('c');
    await clock.advance(10_000);
    original.kill();
    bus.cut('b', 'a');
    bus.cut('b', 'c');
    const life = (said: string): ReturnType<typeof join> => {
      const { mesh, ...rest } = join('c', members.entries, 'c', silentLog, -3_600_000);
      mesh.publish('load', said);
      return { mesh, ...rest };
    };
    const before = life(former);
    await clock.advance(5_000);
    expect(a.values('load')).toEqual([['c', former]]);
    before.kill();
    bus.heal('b', 'c');
    bus.cut('a', 'c');
    life(now);
    await clock.advance(5_000);
    expect(b.values('load')).toEqual([['c', now]]);
    bus.heal('a', 'c');
    bus.heal('a', 'b');
    await clock.advance(20_000);
    expect(a.values('load')).toEqual([['c', now]]);
    expect(b.values('load')).toEqual([['c', now]]);
  });
});

describe('two nodes with the same keys', () => {
  test('both say so by a coded error, cost the others little, and one that is left is heard', async () => {
    const { clock, bus, join, members } = testMesh(['a', 'b', 'c'], { delayMs: { minimum: 1, maximum: 30 } });
    const [first, second] = [heardBy(), heardBy()];
    const nodes = [join('a'), join('b'), join('c', members.entries, 'c', first.log)];
    for (const { mesh } of nodes) mesh.publish('load', 'z'.repeat(2_000));
    nodes[0]?.mesh.lead(true);
    await clock.advance(30_000);
    const copy = join('c', members.entries, 'copy', second.log);
    copy.mesh.publish('load', 'y'.repeat(2_000));
    await clock.advance(30_000);
    const { datagrams } = bus.sent;
    await clock.advance(120_000);
    const perSecond = (bus.sent.datagrams - datagrams) / 120 / 4;
    // Both are heard in turn, and what they say is pulled each time.
    expect(perSecond).toBeLessThan(10);
    expect([first.codes, second.codes]).toEqual([['MESH_NODE_TAKEN'], ['MESH_NODE_TAKEN']]);
    copy.kill();
    await clock.advance(20_000);
    expect(nodes[0]?.values('load').map(([, value]) => JSON.stringify(value)[1])).toEqual(['z', 'z', 'z']);
    expect(nodes[0]?.states()).toEqual(['a alive', 'b alive', 'c alive']);
  });

  test('who was away from a copy for longer than it waits between two answers is believed at once', async () => {
    const tookMs: number[] = [];
    for (let step = 0; step < 12; step++) {
      const { clock, bus, join, members } = testMesh(['a', 'b'], {}, `away ${step}`);
      const [a, b] = [join('a'), join('b')];
      b.mesh.publish('load', 'original');
      await clock.advance(10_000);
      const copy = join('b', members.entries, 'copy');
      copy.mesh.publish('load', 'copy');
      // Each has risen above the other until it waits eight seconds; the cut comes before the one's answer or before the other's.
      await clock.advance(40_000 + 1_400 * step);
      bus.cut('a', 'b');
      bus.cut('b', 'copy');
      await clock.advance(15_000);
      copy.kill();
      bus.heal('a', 'b');
      const healedAtMs = clock.monotonic();
      await clock.runUntil(() => a.values('load')[0]?.[1] === 'original', 20_000);
      tookMs.push(clock.monotonic() - healedAtMs);
    }
    // As long as it takes two to find each other that have lost their sessions.
    expect(Math.max(...tookMs)).toBeLessThan(5_000);
  });

  test('who has lost its sessions to a copy that is gone gets others', async () => {
    const { clock, bus, join, members } = testMesh(['a', 'b']);
    const [a, b] = [join('a'), join('b')];
    await clock.advance(10_000);
    bus.cut('a', 'b');
    const copy = join('b', members.entries, 'copy');
    await clock.advance(20_000);
    expect(a.states()).toEqual(['a alive', 'b alive']);
    copy.kill();
    await clock.advance(20_000);
    expect([a.states(), b.states()]).toEqual([
      ['a alive', 'b dead'],
      ['a dead', 'b alive'],
    ]);
    bus.heal('a', 'b');
    await clock.advance(20_000);
    expect([a.states(), b.states()]).toEqual([
      ['a alive', 'b alive'],
      ['a alive', 'b alive'],
    ]);
  });

  test('a member that only says so, without this node’s signature, raises nothing', async () => {
    const { clock, bus, join, members } = testMesh(['a', 'b', 'z']);
    const said = heardBy();
    const [a, b] = [join('a'), join('b', members.entries, 'b', said.log)];
    await clock.advance(3_000);
    const before = b.mesh.records('node').find(({ node }) => node === b.node)?.incarnation;
    const liar = makeSessions(clock, bus, 'z', {
      identity: members.identity('z'),
      secrets: members.secrets(),
      cluster: a.roster.cluster,
    });
    liar.meet(b.node, b.identity.keys, 'b');
    for (let count = 1; count <= 10; count++) {
      const value = Buffer.from('{}');
      const life = {
        incarnation: (before ?? 0) + 1_000 * count,
        version: 1,
        length: value.length,
        hash: hashOf(value),
      };
      const fields = { node: b.node, kind: 'node', ...life };
      const record = signRecord(members.identity('z'), a.roster.cluster, fields);
      liar.sessions.send(b.node, encodeMessage({ type: 'record', record, value }));
      await clock.advance(500);
    }
    expect(b.mesh.records('node').find(({ node }) => node === b.node)?.incarnation).toBe(before);
    expect(said.codes).toEqual([]);
  });
});
