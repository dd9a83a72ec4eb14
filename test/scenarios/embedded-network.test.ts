import { startEmbeddedNetwork } from '../kit/network/embedded/index.ts';
import { describeTorNetwork, type ConformanceSubject } from '../kit/network/conformance/index.ts';
import { createMemoryNet } from '../kit/sim/memory-net.ts';
import { createMemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../kit/sim/virtual-clock.ts';
import { systemRuntime, withDeadline } from '../../core/runtime/index.ts';

async function inMemory(): Promise<ConformanceSubject> {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1, 0, 2));
  const runtime = {
    clock,
    random: createSeededRandom('conformance'),
    net: createMemoryNet({ clock, latencyMs: 1 }),
    store: createMemoryStore(),
  };
  return {
    network: await startEmbeddedNetwork(runtime),
    runtime,
    within: (promise, limitMs) => clock.runFor(promise, limitMs),
    pass: (durationMs) => clock.advance(durationMs),
  };
}

async function onSockets(): Promise<ConformanceSubject> {
  const runtime = systemRuntime();
  return {
    network: await startEmbeddedNetwork(runtime, { latency: { bootstrapMs: [50, 200] } }),
    runtime,
    within: (promise, limitMs) =>
      withDeadline(
        runtime.clock,
        limitMs,
        () => new Error(`it took more than ${limitMs} ms`),
        () => promise,
      ),
    pass: (durationMs) => runtime.clock.sleep(durationMs),
  };
}

describeTorNetwork('the embedded network, in memory on a virtual clock', inMemory);
describeTorNetwork('the embedded network, over real sockets', onSockets, { quick: true });
