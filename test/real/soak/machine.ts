/** How busy the machine and the network's own relays are: whether they, not the publishers, are what is measured. */
import type { Runtime } from '../../../core/runtime/index.ts';
import type { PrivateNetwork } from '../../kit/network/private/index.ts';

export interface MachineLoad {
  /** Share of all processors' time that was not idle. */
  readonly busyPercent: number;
  /** Of one processor, all authorities and relays together. */
  readonly relaysPercent: number;
  /** Of one processor, all clients' and heads' tors together. */
  readonly otherTorsPercent: number;
}

/** Begins to measure; the function returned ends it. */
export async function measureMachine(runtime: Runtime, network: PrivateNetwork): Promise<() => Promise<MachineLoad>> {
  const [busy, relays, others] = await sample(runtime, network);
  const begunMs = runtime.clock.monotonic();
  return async () => {
    const [busyAfter, relaysAfter, othersAfter] = await sample(runtime, network);
    const seconds = (runtime.clock.monotonic() - begunMs) / 1000;
    return {
      busyPercent: (100 * (busyAfter.busy - busy.busy)) / (busyAfter.all - busy.all),
      relaysPercent: (100 * (relaysAfter - relays)) / seconds,
      otherTorsPercent: (100 * (othersAfter - others)) / seconds,
    };
  };
}

async function sample(
  runtime: Runtime,
  network: PrivateNetwork,
): Promise<[{ readonly busy: number; readonly all: number }, number, number]> {
  const stat = Buffer.from((await runtime.store.read('/proc/stat')) ?? []).toString('utf8');
  const ticks = (stat.split('\n')[0] ?? '').split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, value) => sum + value, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  const cpu = async (tors: PrivateNetwork['tors']): Promise<number> => {
    const usages = await Promise.all(tors.map((tor) => tor.usage()));
    return usages.reduce((sum, usage) => sum + (usage?.cpuSeconds ?? 0), 0);
  };
  return [{ busy: all - idle, all }, await cpu(network.relays), await cpu(network.tors)];
}
