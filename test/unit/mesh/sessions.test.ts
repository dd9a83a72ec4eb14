/** Sessions over the memory bus: they open, survive loss and restarts, refuse what is forged, repeated or of somebody else. */
import { describe, expect, test } from 'vitest';
import { isLater } from '../../../plugins/identity/index.ts';
import { admitAll, makeSessions, network, removeSlice } from './support.ts';

describe('two nodes', () => {
  test('open a session with one message to and fro, and say what they have to say', async () => {
    const { clock, bus } = network();
    const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
    a.say(b, 'hello');
    await clock.advance(50);
    expect(b.heard).toEqual(['a hello']);
    b.say(a, 'you');
    a.say(b, 'again');
    await clock.advance(50);
    expect(a.heard).toEqual(['b you']);
    expect(b.heard).toEqual(['a hello', 'a again']);
    expect([a.sessions.size.sessions, b.sessions.size.sessions]).toEqual([1, 1]);
    expect([a.sessions.size.pending, b.sessions.size.pending]).toEqual([0, 0]);
    // Each has timed the other once.
    expect([a.echoes.length, b.echoes.length]).toEqual([1, 1]);
  });

  test('that open at the same time end with one session', async () => {
    const { clock, bus } = network({ delayMs: { minimum: 5, maximum: 20 } });
    const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
    a.say(b, '1');
    b.say(a, '2');
    await clock.advance(2_000);
    expect([a.heard, b.heard]).toEqual([['b 2'], ['a 1']]);
    expect([a.sessions.size.sessions, b.sessions.size.sessions]).toEqual([1, 1]);
  });

  test('open at 30 % loss', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { clock, bus } = network({ loss: 0.3 }, `loss ${seed}`);
      const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
      await clock.runUntil(() => {
        if (b.heard.length === 0) a.say(b, 'x');
        return b.heard.length > 0;
      }, 60_000);
      expect(b.heard[0]).toBe('a x');
    }
  });

  test('renew their session by time, and lose nothing over it', async () => {
    const { clock, bus } = network();
    const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
    for (let second = 0; second < 3_000; second += 10) {
      a.say(b, String(second));
      b.say(a, String(second));
      await clock.advance(10_000);
    }
    expect([a.heard.length, b.heard.length]).toEqual([300, 300]);
    expect(a.echoes.length + b.echoes.length).toBeGreaterThan(6);
    expect(a.sessions.size.sessions).toBeLessThanOrEqual(2);
  });

  test('a node that started again opens another session; its old datagrams are nothing any more', async () => {
    const { clock, bus } = network();
    const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
    const recorded: Uint8Array[] = [];
    b.tap((datagram) => recorded.push(datagram));
    a.say(b, 'one');
    await clock.advance(50);
    a.say(b, 'two');
    await clock.advance(50);
    expect(b.heard).toEqual(['a one', 'a two']);
    a.stop();
    const again = makeSessions(clock, bus, 'a', { incarnation: 2 });
    admitAll(again, b);
    again.say(b, 'three');
    await clock.advance(50);
    expect(b.heard).toEqual(['a one', 'a two', 'a three']);
    const { sessions: before } = b.sessions.size;
    for (const datagram of [...recorded, ...recorded]) b.sessions.take(datagram, 'memory:a');
    await clock.advance(5_000);
    expect(b.heard).toEqual(['a one', 'a two', 'a three']);
    expect(b.sessions.size.sessions).toBe(before);
  });

  test('a node with an older life than its peer remembers is told, and goes above it', async () => {
    const { clock, bus } = network();
    const [a, b] = admitAll(makeSessions(clock, bus, 'a', { incarnation: 9 }), makeSessions(clock, bus, 'b'));
    a.say(b, 'one');
    await clock.advance(50);
    a.stop();
    const [again] = admitAll(makeSessions(clock, bus, 'a', { incarnation: 3 }), b);
    again.say(b, 'two');
    await clock.advance(500);
    expect(b.heard).toEqual(['a one', 'a two']);
    expect(again.incarnation()).toBe(10);
  });

  test('a peer that is heard by the session before has perhaps lost this one: another is opened', async () => {
    const { clock, bus } = network();
    const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
    a.say(b, 'one');
    await clock.advance(50);
    // A copy of the machine has a session with the peer, and is gone.
    const copy = makeSessions(clock, bus, 'copy', { identity: a.identity, incarnation: 2 });
    copy.admit(b);
    copy.say(b, 'copied');
    await clock.advance(50);
    copy.stop();
    b.heard.length = 0;
    for (let second = 0; second < 3; second++) {
      for (let quarter = 0; quarter < 4; quarter++) {
        a.say(b, 'here');
        await clock.advance(250);
      }
      // As who gets no answer to a ping does.
      b.sessions.renew(a.node);
    }
    expect(b.heard).toEqual(Array.from({ length: 12 }, () => 'a here'));
    b.say(a, 'you');
    await clock.advance(50);
    expect(a.heard).toEqual(['b you']);
  });
});

test('strangers: without the secret, without an admission, of another cluster', async () => {
  const { clock, bus } = network();
  const b = makeSessions(clock, bus, 'b');
  const outsider = makeSessions(clock, bus, 'o', { secret: 9 });
  const foreign = makeSessions(clock, bus, 'f', { cluster: 'x'.repeat(20) });
  const unadmitted = makeSessions(clock, bus, 'u');
  admitAll(b, outsider);
  admitAll(b, foreign);
  unadmitted.admit(b);
  for (const stranger of [outsider, foreign, unadmitted]) stranger.say(b, 'let me in');
  await clock.advance(10_000);
  expect(b.heard).toEqual([]);
  expect(b.sessions.size).toEqual({ sessions: 0, pending: 0, peers: 0 });
});

test('generations: those before are accepted until they are dropped; then their sessions end', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  a.say(b, 'one');
  await clock.advance(50);
  const secret = (generation: number) => ({ generation, secret: new Uint8Array(32).fill(generation) });
  await b.secrets.learn(secret(2));
  a.say(b, 'two');
  await clock.advance(50);
  expect(b.heard).toEqual(['a one', 'a two']);
  await b.secrets.learn(secret(3));
  await b.secrets.retire();
  a.say(b, 'three');
  a.sessions.renew(b.node);
  await clock.advance(5_000);
  expect(b.heard).toEqual(['a one', 'a two']);
  expect(b.sessions.size.sessions).toBe(0);
  await a.secrets.learn(secret(3));
  // The old session still counts for its sender; using it opens one of the new generation.
  a.say(b, 'lost');
  await clock.advance(50);
  a.say(b, 'four');
  await clock.advance(50);
  expect(b.heard).toEqual(['a one', 'a two', 'a four']);
});

test('two that changed the secret without each other, one of them twice, meet by one from before', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  const secret = (generation: number, byte: number) => ({ generation, secret: new Uint8Array(32).fill(byte) });
  await a.secrets.learn(secret(2, 20));
  await b.secrets.learn(secret(2, 21));
  await b.secrets.learn(secret(3, 3));
  // The other one may know of nobody to speak to.
  for (let second = 0; second < 10; second++) {
    b.say(a, 'here');
    await clock.advance(1_000);
  }
  expect(a.heard).toContain('b here');
});

test('a session of the other secret of one generation goes on, until its peer has learned the later one by it', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  const secret = (byte: number) => ({ generation: 2, secret: new Uint8Array(32).fill(byte) });
  const [later, earlier] = isLater(secret(20), secret(21)) ? [secret(20), secret(21)] : [secret(21), secret(20)];
  for (const { secrets } of [a, b]) await secrets.learn(earlier);
  a.say(b, 'one');
  await clock.advance(50);
  await b.secrets.learn(later);
  b.say(a, 'here');
  await clock.advance(50);
  expect(a.heard).toEqual(['b here']);
});

test('a removed member: its sessions end, and it opens none', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  a.say(b, 'one');
  await clock.advance(50);
  b.expel(a);
  a.say(b, 'two');
  a.sessions.renew(b.node);
  await clock.advance(5_000);
  expect(b.heard).toEqual(['a one']);
  expect(b.sessions.size).toEqual({ sessions: 0, pending: 0, peers: 0 });
});

test('a flood of recorded initiations: asked for a cookie, which costs no key work; an honest one gets in', async () => {
  const { clock, bus } = network();
  const [a, b, c] = [makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'), makeSessions(clock, bus, 'c')];
  admitAll(a, b);
  admitAll(c, b);
  const recorded: Uint8Array[] = [];
  b.tap((datagram) => recorded.push(datagram));
  a.say(b, 'one');
  await clock.advance(50);
  const initiation = recorded[0] as Uint8Array;
  const agreed = b.agreements();
  for (let count = 0; count < 5_000; count++) b.sessions.take(initiation, 'memory:flood');
  // Reading an initiation takes two agreements.
  expect(b.agreements() - agreed).toBeLessThan(2 * 140);
  c.say(b, 'hello');
  await clock.advance(1_000);
  expect(b.heard).toEqual(['a one', 'c hello']);
});

test('whatever comes, nothing is thrown and nothing kept', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  const recorded: Uint8Array[] = [];
  b.tap((datagram) => recorded.push(datagram));
  a.say(b, 'one');
  await clock.advance(50);
  const before = b.sessions.size;
  for (const datagram of recorded) {
    for (let at = 0; at < datagram.length; at += 3) {
      const changed = Uint8Array.from(datagram);
      changed[at] = (changed[at] as number) ^ 0x40;
      b.sessions.take(changed, 'memory:x');
      b.sessions.take(removeSlice(datagram, at), 'memory:x');
    }
  }
  await clock.advance(5_000);
  expect(b.heard).toEqual(['a one']);
  expect(b.sessions.size).toEqual(before);
});
