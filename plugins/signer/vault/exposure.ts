/** How this process' memory could reach a disk: core dumps and swap. Read from Linux' /proc and /sys; elsewhere nothing is known. */
import type { Store } from '../../../core/runtime/index.ts';

export interface Exposure {
  readonly what: string;
  readonly remedy: string;
}

const largest = 65_536;

async function textOf(store: Store, path: string): Promise<string> {
  const bytes = await store.read(path, largest).catch(() => undefined);
  return bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
}

/** Whether the cgroup of this process, or one above it, may not swap. */
async function mayNotSwap(store: Store): Promise<boolean> {
  let group = /^0::(\/.*)$/m.exec(await textOf(store, '/proc/self/cgroup'))?.[1] ?? '';
  while (group !== '' && group !== '/') {
    if ((await textOf(store, `/sys/fs/cgroup${group}/memory.swap.max`)).trim() === '0') return true;
    group = group.slice(0, group.lastIndexOf('/'));
  }
  return false;
}

/** Swap in memory (zram), or on a device that dm-crypt encrypts. */
async function isHarmless(store: Store, device: string): Promise<boolean> {
  if (/^\/dev\/zram\d+$/.test(device)) return true;
  const mapped = /^\/dev\/(dm-\d+)$/.exec(device)?.[1];
  return mapped !== undefined && (await textOf(store, `/sys/block/${mapped}/dm/uuid`)).startsWith('CRYPT-');
}

/** What would have to be changed for the key to stay in memory; empty when nothing is known to be wrong. */
export async function memoryExposures(store: Store): Promise<readonly Exposure[]> {
  const found: Exposure[] = [];
  const cores = /^Max core file size\s+(\S+)/m.exec(await textOf(store, '/proc/self/limits'))?.[1];
  if (cores !== undefined && cores !== '0') {
    found.push({
      what: 'a crash may write this process’ memory to a core file',
      remedy: 'LimitCORE=0 in the unit of the service, or `ulimit -c 0`',
    });
  }
  const swaps = (await textOf(store, '/proc/swaps')).split('\n').slice(1);
  for (const device of swaps.flatMap((line) => line.split(/\s+/)[0] || [])) {
    if ((await isHarmless(store, device)) || (await mayNotSwap(store))) continue;
    found.push({
      what: `this process’ memory may be swapped to ${device}, which is not known to be encrypted`,
      remedy: 'MemorySwapMax=0 in the unit of the service, encrypted swap, or `swapoff -a`',
    });
  }
  return found;
}
