/**
 * Whether the machine let a test run. A limit in real time, such as the two seconds that a stop may take or the patience of a
 * client's tor, says nothing where processes wait for a processor, or processors for their host, so that a failure there is
 * not judged: the attempt is void.
 */
import { readFileSync } from 'node:fs';

/** Share of an attempt's time that was waited or stolen, from which on a failure is void. */
const busyShare = 0.25;
const mostAttempts = 4;

interface Lost {
  /** Milliseconds since the boot in which some process waited for a processor (pressure stall information); 0 if unknown. */
  readonly waitedMs: number;
  /** Of all processors, in the kernel's ticks: what the host gave to others, and all. */
  readonly stolenTicks: number;
  readonly ticks: number;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function lost(): Lost {
  const ticks = /^cpu +(.*)/.exec(read('/proc/stat'))?.[1]?.split(' ').slice(0, 8).map(Number) ?? [];
  return {
    waitedMs: Number(/^some .*total=(\d+)/.exec(read('/proc/pressure/cpu'))?.[1] ?? 0) / 1_000,
    stolenTicks: ticks[7] ?? 0,
    ticks: ticks.reduce((sum, value) => sum + value, 0),
  };
}

/** Begins to watch the machine; the function returned tells the share of the time since then that was waited or stolen. */
function watchMachine(): () => number {
  const begunMs = performance.now();
  const before = lost();
  return () => {
    const after = lost();
    const stolen = (after.stolenTicks - before.stolenTicks) / Math.max(1, after.ticks - before.ticks);
    return Math.max(stolen, (after.waitedMs - before.waitedMs) / (performance.now() - begunMs));
  };
}

/** Makes an attempt; once more, up to `most` in all, if it failed on a machine that was busy meanwhile. */
export async function onFreeMachine(attempt: () => Promise<void>, most: number = mostAttempts): Promise<void> {
  for (let count = 1; ; count++) {
    const share = watchMachine();
    try {
      await attempt();
      return;
    } catch (error) {
      if (count === most || share() < busyShare) throw error;
      process.stdout.write(
        `void, since ${Math.round(100 * share())} % of the time was waited for a processor: ${String(error)}\n`,
      );
    }
  }
}
