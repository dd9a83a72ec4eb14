import { expect, test } from 'vitest';
import { createMemoryBus, memoryEndpoint } from '../../../plugins/transport/memory/index.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const bytes = Uint8Array.of(1, 2, 3);

function makeBus(options: { loss?: number } = {}) {
  const clock = createVirtualClock();
  const bus = createMemoryBus({
    clock,
    random: createSeededRandom('bus'),
    delayMs: { minimum: 5, maximum: 10 },
    maximumBytes: 1_024,
    ...options,
  });
  const heard: string[] = [];
  for (const name of ['a', 'b', 'c']) bus.join(name, (from) => heard.push(`${from.replace('memory:', '')}→${name}`));
  return { clock, bus, heard };
}

test('carries to one endpoint, after the delay, a copy; what has another scheme is lost', async () => {
  const { clock, bus, heard } = makeBus();
  let got: Uint8Array | undefined;
  bus.join('d', (_from, data) => (got = data));
  const sent = Uint8Array.from(bytes);
  bus.send('a', 'memory:b', sent);
  for (const to of ['a', 'c', 'd']) bus.send('b', memoryEndpoint(to), sent);
  bus.send('b', 'udp:192.0.2.1:7411', sent);
  sent.fill(0);
  await clock.advance(4);
  expect(heard).toEqual([]);
  await clock.advance(6);
  expect(heard.sort()).toEqual(['a→b', 'b→a', 'b→c']);
  expect(got).toEqual(bytes);
});

test('cuts one way or both, what is on its way included, and heals', async () => {
  const { clock, bus, heard } = makeBus();
  bus.send('a', 'memory:b', bytes);
  bus.cut('a', 'b', true);
  bus.send('b', 'memory:a', bytes);
  await clock.advance(20);
  expect(heard.splice(0)).toEqual(['b→a']);
  bus.cut('a', 'c');
  bus.heal('a', 'b');
  for (const to of ['b', 'c']) bus.send('a', memoryEndpoint(to), bytes);
  bus.send('c', 'memory:a', bytes);
  await clock.advance(20);
  expect(heard.splice(0)).toEqual(['a→b']);
  bus.heal();
  bus.send('c', 'memory:a', bytes);
  await clock.advance(20);
  expect(heard).toEqual(['c→a']);
});

test('loses about as many as asked', async () => {
  const { clock, bus, heard } = makeBus({ loss: 0.2 });
  for (let count = 0; count < 1_000; count++) bus.send('a', 'memory:b', bytes);
  await clock.advance(20);
  expect(heard.length).toBeGreaterThan(740);
  expect(heard.length).toBeLessThan(860);
});

test('refuses a datagram that is too large and an id that is taken; who is removed is silent', async () => {
  const { clock, bus, heard } = makeBus();
  expect(() => bus.send('a', 'memory:b', new Uint8Array(1_025))).toThrow(/1024 are the most/);
  expect(() => bus.join('a', () => undefined)).toThrow(/called a already/);
  bus.remove('a');
  bus.send('a', 'memory:b', bytes);
  bus.send('b', 'memory:a', bytes);
  await clock.advance(20);
  expect(heard).toEqual([]);
});
