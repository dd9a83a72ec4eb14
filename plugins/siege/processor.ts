/** How busy a tor process on this machine is, from /proc: user and system time in clock ticks. */
import type { TorClient } from '../../core/engine/index.ts';
import type { Store } from '../../core/runtime/index.ts';

/** USER_HZ of every Linux that runs tor. */
const ticksPerSecond = 100;
const longestStat = 4_096;

/** CPU seconds that the process has used, from the text of /proc/PID/stat; the program's name may hold anything. */
function parseProcessorTime(stat: string): number | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) ? ticks / ticksPerSecond : undefined;
}

/** Reads the processor time of `tor`; undefined where it runs elsewhere, or there is no /proc. */
export async function processorTime(store: Store, tor: TorClient): Promise<number | undefined> {
  try {
    const pid = Number(await tor.getInfo('process/pid'));
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    const stat = await store.read(`/proc/${pid}/stat`, longestStat);
    return stat === undefined ? undefined : parseProcessorTime(new TextDecoder().decode(stat));
  } catch {
    return undefined;
  }
}
