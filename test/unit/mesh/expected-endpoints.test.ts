/** Which endpoints a node’s sessions tell the transport to expect: where members are asked or have proven to be, and nobody else’s. */
import { expect, test } from 'vitest';
import { joinMemoryBus } from '../../../plugins/transport/memory/index.ts';
import { admitAll, makeSessions, network } from './support.ts';

test('where it asks for a session, and where one was proven to be', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  a.say(b, 'hello');
  expect([a.expected, b.expected]).toEqual([['memory:b'], []]);
  await clock.advance(50);
  expect([new Set(a.expected), b.expected]).toEqual([new Set(['memory:b']), ['memory:a']]);
  b.say(a, 'you');
  a.say(b, 'again');
  await clock.advance(50);
  expect(b.expected).toEqual(['memory:a']);
});

test('where a peer is heard from elsewhere, and where an answer came from elsewhere', async () => {
  const { clock, bus } = network();
  const [a, b] = [makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b')];
  b.admit(a);
  // Address translators between them, that change.
  let way = 0;
  const ways = ['first', 'second'].map((name) => {
    const { transport, join } = joinMemoryBus(bus, name);
    join();
    transport.onMessage((from, bytes) => {
      if (from === 'memory:a') ways[way]?.send('memory:b', bytes);
      else transport.send('memory:a', bytes);
    });
    return transport;
  });
  a.meet(b.node, b.identity.keys, 'first');
  a.say(b, 'one');
  await clock.advance(50);
  expect([b.heard.length, b.expected]).toEqual([1, ['memory:first']]);
  way = 1;
  a.say(b, 'two');
  await clock.advance(50);
  expect([b.heard.length, b.expected]).toEqual([2, ['memory:first', 'memory:second']]);
  // B started again: it answers by the second, though it was asked by the first.
  b.stop();
  const again = makeSessions(clock, bus, 'b', { identity: b.identity, incarnation: 2 });
  again.admit(a);
  await clock.advance(2_000);
  a.expected.length = 0;
  a.sessions.renew(b.node);
  await clock.advance(50);
  expect(a.expected[0]).toBe('memory:first');
  expect(a.expected.at(-1)).toBe('memory:second');
});

test('never where something forged, recorded or of a stranger came from', async () => {
  const { clock, bus } = network();
  const [a, b] = admitAll(makeSessions(clock, bus, 'a'), makeSessions(clock, bus, 'b'));
  const stranger = makeSessions(clock, bus, 'stranger');
  stranger.admit(b);
  const recorded: Uint8Array[] = [];
  b.tap((datagram) => recorded.push(datagram));
  for (const text of ['one', 'two', 'three']) {
    a.say(b, text);
    await clock.advance(50);
  }
  stranger.say(b, 'let me in');
  await clock.advance(5_000);
  const thief = 'memory:thief';
  for (const datagram of recorded) {
    b.sessions.take(datagram, thief);
    const forged = Uint8Array.from(datagram);
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    b.sessions.take(forged, thief);
  }
  await clock.advance(5_000);
  expect(recorded.length).toBeGreaterThan(3);
  expect(new Set(b.expected)).toEqual(new Set(['memory:a']));
});
