/**
 * Whether the machine let a test run. A limit of the product's own in real time, such as the two seconds that a stop may
 * take, says nothing where processes wait for a processor, so that a failure there is not judged: the attempt is void.
 */
import { readFileSync } from 'node:fs';
import { runtime } from './world.ts';

/** Share of an attempt's time in which some process waited for a processor, from which on a failure is void. */
const busyShare = 0.25;
const mostAttempts = 4;

/** Milliseconds since the boot in which some process waited for a processor (pressure stall information); 0 if unknown. */
function waitedMs(): number {
  try {
    return Number(/^some .*total=(\d+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0) / 1_000;
  } catch {
    return 0;
  }
}

/** Makes an attempt; once more, up to three times, if it failed on a machine that was busy meanwhile. */
export async function onFreeMachine(attempt: () => Promise<void>): Promise<void> {
  for (let count = 1; ; count++) {
    const begun = runtime.clock.monotonic();
    const waitedBefore = waitedMs();
    try {
      await attempt();
      return;
    } catch (error) {
      const share = (waitedMs() - waitedBefore) / (runtime.clock.monotonic() - begun);
      if (count === mostAttempts || share < busyShare) throw error;
    }
  }
}
