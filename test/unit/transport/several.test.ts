import { expect, test } from 'vitest';
import type { AdmittedNode } from '../../../core/engine/index.ts';
import { silentLog, systemNet } from '../../../core/runtime/index.ts';
import { createMemoryBus, joinMemoryBus } from '../../../plugins/transport/memory/index.ts';
import { joinTransports } from '../../../plugins/transport/several.ts';
import { createUdpTransport } from '../../../plugins/transport/udp/index.ts';
import { describeTransport, type TransportSite } from '../../kit/laws/transport.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

async function makeNodes() {
  const clock = createVirtualClock(0);
  const net = createMemoryNet({ clock, latencyMs: 2 });
  const bus = createMemoryBus({ clock, random: createSeededRandom('several') });
  const nodes = await Promise.all(
    ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(async (host) => {
      const udp = createUdpTransport(
        { net: { ...systemNet, ...net.host(host) }, log: silentLog },
        { bind: [{ host, port: 7411 }] },
      );
      await udp.open();
      const memory = joinMemoryBus(bus, host);
      const leave = memory.join();
      const close = async (): Promise<void> => {
        await udp.close();
        leave();
      };
      return { transport: joinTransports([udp.transport, memory.transport]), close };
    }),
  );
  return { clock, nodes };
}

describeTransport('two transports as one', async () => {
  const { clock, nodes } = await makeNodes();
  return {
    nodes: nodes.map(({ transport }) => transport) as unknown as TransportSite['nodes'],
    nowhere: ['udp:10.0.0.9:7411', 'memory:nobody', 'redis:nobody'],
    wait: (durationMs) => clock.advance(durationMs),
    close: async (node) => nodes.find(({ transport }) => transport === node)?.close(),
    end: async () => undefined,
  };
});

test('each scheme goes its own way, and what comes says by which it came', async () => {
  const { clock, nodes } = await makeNodes();
  const [a, b] = nodes.map(({ transport }) => transport) as [
    ReturnType<typeof joinTransports>,
    ReturnType<typeof joinTransports>,
  ];
  expect(b.endpoints).toEqual(['udp:10.0.0.2:7411', 'memory:10.0.0.2']);
  expect(a.maximumBytes).toBe(1_232);
  const from: string[] = [];
  b.onMessage((endpoint) => from.push(endpoint));
  for (const endpoint of b.endpoints) a.send(endpoint, Uint8Array.of(1));
  await clock.advance(10);
  expect(from.toSorted()).toEqual(['memory:10.0.0.1', 'udp:10.0.0.1:7411']);
});

test('all are told who is admitted, all may give hints, and who is expected is told to the one whose endpoint that is', () => {
  const told: (readonly AdmittedNode[])[] = [];
  const expected: string[] = [];
  const one = (hint: string) => ({
    endpoint: `${hint}:x`,
    maximumBytes: 2_000,
    send: () => undefined,
    onMessage: () => () => undefined,
    admit: (peers: readonly AdmittedNode[]) => void told.push(peers),
    hints: () => [hint],
    expect: (endpoint: string) => void expected.push(`${hint} expects ${endpoint}`),
  });
  const joined = joinTransports([one('udp'), one('redis')]);
  joined.admit?.([]);
  expect(told).toEqual([[], []]);
  expect(joined.hints?.('node')).toEqual(['udp', 'redis']);
  for (const endpoint of ['redis:a', 'udp:b', 'memory:c', '', 'udp']) joined.expect?.(endpoint);
  expect(expected).toEqual(['redis expects redis:a', 'udp expects udp:b']);
});
