import { expect, test } from 'vitest';
import { createMemoryNet, type MemoryNet } from '../../kit/sim/memory-net.ts';
import type { DatagramFaults } from '../../kit/sim/memory-datagrams.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const addressOf = { a: { host: '10.0.0.1', port: 7 }, b: { host: 'fd00::2', port: 7 } } as const;

async function makeNet(datagramFaults: DatagramFaults = {}) {
  const clock = createVirtualClock(0);
  const net: MemoryNet = createMemoryNet({
    clock,
    latencyMs: 10,
    datagramFaults,
    random: createSeededRandom('weather'),
  });
  const heard: { at: number; from: string; number: number }[] = [];
  const listen = (name: 'a' | 'b') =>
    net.host(name).bindUdp(addressOf[name], (from, bytes) => {
      heard.push({ at: clock.monotonic(), from: from.host, number: bytes[0] as number });
    });
  const [a, b] = [await listen('a'), await listen('b')];
  const sendMany = (count: number): void => {
    for (let number = 0; number < count; number++) a.send(addressOf.b, Uint8Array.of(number % 256));
  };
  return { clock, net, heard, a, b, sendMany };
}

test('carries a copy after the latency, with a sender that can be answered', async () => {
  const { clock, heard, a, b } = await makeNet();
  const bytes = Uint8Array.of(1);
  a.send(b.endpoint, bytes);
  bytes.fill(9);
  await clock.advance(9);
  expect(heard).toEqual([]);
  await clock.advance(1);
  b.send({ ...addressOf.a }, Uint8Array.of(2));
  await clock.advance(10);
  expect(heard).toEqual([
    { at: 10, from: '10.0.0.1', number: 1 },
    { at: 20, from: 'fd00::2', number: 2 },
  ]);
});

test('loses, doubles and delays about as often as asked, and the same seed does the same', async () => {
  const run = async () => {
    const { clock, heard, sendMany } = await makeNet({
      loss: 0.2,
      duplicate: 0.1,
      delayMs: { minimum: 0, maximum: 50 },
      late: 0.05,
    });
    sendMany(2_000);
    await clock.advance(100_000);
    return heard;
  };
  const heard = await run();
  expect(heard.length / 2_000).toBeGreaterThan(0.8 * 1.1 - 0.05);
  expect(heard.length / 2_000).toBeLessThan(0.8 * 1.1 + 0.05);
  const late = heard.filter(({ at }) => at > 60).length / heard.length;
  expect(late).toBeGreaterThan(0.03);
  expect(late).toBeLessThan(0.07);
  expect(heard.map(({ number }) => number)).not.toEqual(heard.map(({ number }) => number).toSorted((x, y) => x - y));
  expect(await run()).toEqual(heard);
});

test('a cut, one way or both, loses also what is on its way; the weather can change', async () => {
  const { clock, net, heard, a, b } = await makeNet();
  a.send(b.endpoint, Uint8Array.of(1));
  net.cut('a', 'b', true);
  b.send(a.endpoint, Uint8Array.of(2));
  await clock.advance(100);
  expect(heard.splice(0)).toMatchObject([{ number: 2 }]);
  net.heal('a', 'b');
  a.send(b.endpoint, Uint8Array.of(3));
  await clock.advance(100);
  expect(heard.splice(0)).toMatchObject([{ number: 3 }]);
  net.datagramFaults = { loss: 1 };
  a.send(b.endpoint, Uint8Array.of(4));
  await clock.advance(100);
  expect(heard).toEqual([]);
});

test('a frozen host finds what came meanwhile, up to what a kernel keeps, and sends nothing', async () => {
  const { clock, net, heard, a, b, sendMany } = await makeNet();
  net.pause('b');
  sendMany(300);
  b.send(a.endpoint, Uint8Array.of(1));
  await clock.advance(100);
  expect(heard).toEqual([]);
  net.resume('b');
  expect(heard).toHaveLength(256);
  expect(heard[0]).toMatchObject({ from: '10.0.0.1', number: 0 });
});

test('ports: given when none is asked for, refused when taken, free after the close and after a failure', async () => {
  const { net, b } = await makeNet();
  const nothing = (): void => undefined;
  const one = await net.bindUdp({ host: '10.0.0.9', port: 0 }, nothing);
  const two = await net.bindUdp({ host: '10.0.0.9', port: 0 }, nothing);
  expect(one.endpoint).not.toEqual(two.endpoint);
  await expect(net.bindUdp(addressOf.a, nothing)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await b.close();
  await net.bindUdp(addressOf.b, nothing);
  net.fail('a');
  await net.bindUdp(addressOf.a, nothing);
});
