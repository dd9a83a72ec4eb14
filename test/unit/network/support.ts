/** An embedded network in memory on a virtual clock, for tests that need to see and to move everything. */
import {
  startEmbeddedNetwork,
  type EmbeddedNetwork,
  type EmbeddedNetworkOptions,
} from '../../kit/network/embedded/index.ts';
import { Bench } from '../../kit/network/conformance/bench.ts';
import { createMemoryNet, type MemoryNet } from '../../kit/sim/memory-net.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';

export interface World {
  readonly clock: VirtualClock;
  readonly net: MemoryNet;
  readonly store: MemoryStore;
  readonly network: EmbeddedNetwork;
  readonly bench: Bench;
}

/** Two minutes into a "day" of 8: before the new time period, after the new shared random value. */
export async function createWorld(seed: string, options: EmbeddedNetworkOptions = {}): Promise<World> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, 0, 2));
  const net = createMemoryNet({ clock, latencyMs: 1 });
  const store = createMemoryStore();
  const runtime = { clock, random: createSeededRandom(seed), net, store };
  const network = await startEmbeddedNetwork(runtime, { directory: '/tors', ...options });
  const bench = new Bench({
    network,
    runtime,
    within: (promise, limitMs) => clock.runFor(promise, limitMs),
    pass: (durationMs) => clock.advance(durationMs),
  });
  return { clock, net, store, network, bench };
}
