/** Nodes of the mesh with two transports: when the first is cut they go on by the second, and nobody dies of it. */
import { expect, test } from 'vitest';
import { silentLog } from '../../../core/runtime/index.ts';
import { createMeshNode } from '../../../plugins/mesh/node.ts';
import { rosterOf } from '../../../plugins/mesh/roster.ts';
import { createMemoryBus, joinMemoryBus } from '../../../plugins/transport/memory/index.ts';
import { joinTransports } from '../../../plugins/transport/several.ts';
import { createUdpTransport } from '../../../plugins/transport/udp/index.ts';
import { testMembers } from '../../kit/sim/members.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';

const names = ['a', 'b', 'c'];
const settings = { beaconIntervalMs: 500, probeIntervalMs: 1_300, probeTimeoutMs: 1_000, suspicionMs: 2_000 };
const udpOf = (name: string) => ({ host: `10.0.0.${names.indexOf(name) + 1}`, port: 7411 });

async function makeMesh() {
  const clock = createVirtualClock();
  const random = createSeededRandom('second way');
  const net = createMemoryNet({ clock, latencyMs: 5 });
  const bus = createMemoryBus({ clock, random: random.fork('bus'), maximumBytes: 1_232 });
  const members = testMembers(names, random, (name) => `udp:${udpOf(name).host}:7411`);
  const nodes = await Promise.all(
    names.map(async (name) => {
      const udp = createUdpTransport({ net: net.host(name), log: silentLog }, { bind: [udpOf(name)] });
      await udp.open();
      const memory = joinMemoryBus(bus, name);
      memory.join();
      const mesh = createMeshNode({
        transport: joinTransports([udp.transport, memory.transport]),
        identity: members.identity(name),
        secrets: members.secrets(),
        roster: rosterOf(members.entries, 'test'),
        clock,
        random: random.fork(name),
        log: silentLog,
        settings,
        onRoster: () => undefined,
      });
      mesh.start();
      return mesh;
    }),
  );
  const states = () => nodes.map((node) => node.members().map(({ state }) => state));
  return { clock, net, bus, nodes, states };
}

test('when the first way is cut, the second is taken, and all hear each other again', async () => {
  const { clock, net, bus, nodes, states } = await makeMesh();
  await clock.advance(5_000);
  expect(states().flat()).toEqual(Array.from({ length: 9 }, () => 'alive'));
  const before = bus.sent.datagrams;
  expect(before).toBe(0);
  for (const [from, to] of [
    ['a', 'b'],
    ['a', 'c'],
    ['b', 'c'],
  ] as const)
    net.cut(from, to);
  await clock.advance(30_000);
  expect(states().flat()).toEqual(Array.from({ length: 9 }, () => 'alive'));
  expect(bus.sent.datagrams).toBeGreaterThan(100);
  nodes[0]?.publish('load', 1);
  await clock.advance(2_000);
  expect(nodes[2]?.records('load')).toHaveLength(1);
});
