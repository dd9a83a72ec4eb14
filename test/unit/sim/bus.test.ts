import { expect, test } from 'vitest';
import { endpointOf, SimulatedBus } from '../../kit/sim/cluster/bus.ts';
import { noFaults } from '../../kit/sim/cluster/faults.ts';
import { Life } from '../../kit/sim/cluster/life.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

test('what a machine that stands still has not read is no replay when it comes again', async () => {
  const clock = createVirtualClock();
  const random = createSeededRandom('bus');
  const bus = new SimulatedBus(clock, random, noFaults);
  const machine = { name: 'b', monotonicOffsetMs: 0, wallOffsetMs: 0, diskFull: false };
  const net = createMemoryNet({ clock });
  const life = new Life({ machine, clock, random, net, store: createMemoryStore(), onLog: () => undefined });
  const read: string[] = [];
  bus.join('b', (_from, bytes) => life.run(() => void read.push(Buffer.from(bytes).toString()), 1));
  const send = async (text: string): Promise<void> => {
    bus.send('a', endpointOf('b'), Buffer.from(text));
    await clock.advance(100);
  };
  const arrived = (): string[] => bus.arrived.map(({ bytes }) => Buffer.from(bytes).toString());
  await send('before');
  life.pause();
  await send('waits');
  await send('is lost');
  expect(arrived()).toEqual(['before']);
  life.resume();
  await send('after');
  expect(read).toEqual(['before', 'waits', 'after']);
  expect(arrived()).toEqual(['before', 'after']);
});
