import { createMemoryBus, joinMemoryBus } from '../../../plugins/transport/memory/index.ts';
import { describeTransport, type TransportNode, type TransportSite } from '../../kit/laws/transport.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

describeTransport('memory, on a lossy day', async () => {
  const clock = createVirtualClock(0);
  const bus = createMemoryBus({
    clock,
    random: createSeededRandom('laws'),
    loss: 0.1,
    delayMs: { minimum: 1, maximum: 40 },
    maximumBytes: 1_232,
  });
  const all = ['a', 'b', 'c'].map((name) => {
    const { transport, join } = joinMemoryBus(bus, name);
    return { transport, leave: join() };
  });
  return {
    nodes: all.map(({ transport }) => transport) as unknown as TransportSite['nodes'],
    nowhere: ['memory:nobody', 'udp:127.0.0.1:9'],
    wait: (durationMs) => clock.advance(durationMs),
    close: async (node: TransportNode) => all.find(({ transport }) => transport === node)?.leave(),
    end: async () => undefined,
  };
});
