/**
 * Bounds the processor time of a process by a cgroup, so that a flood which a small machine can make is one which a head cannot
 * take. Every head has the same bound, whoever publishes. Needs root and the cpu controller of cgroup v1; nothing else gives
 * shares of a hundredth without stopping the process for seconds.
 */
import { mkdir, rmdir, writeFile } from 'node:fs/promises';

const root = '/sys/fs/cgroup/cpu';
const periodUs = 100_000;

/** Lets `pid` have `percent` of one core from now on. The result waits for nothing: call it when the process has ended. */
export async function boundShare(name: string, pid: number, percent: number): Promise<() => Promise<void>> {
  const directory = `${root}/chimera-siege-${process.pid}-${name}`;
  await mkdir(directory);
  await writeFile(`${directory}/cpu.cfs_period_us`, String(periodUs));
  await writeFile(`${directory}/cpu.cfs_quota_us`, String(Math.round((periodUs * percent) / 100)));
  await writeFile(`${directory}/cgroup.procs`, String(pid));
  return () => rmdir(directory);
}
