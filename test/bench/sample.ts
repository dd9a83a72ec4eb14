/** Measuring: processor time decides, because other load on the machine lengthens the wall time of the longer side more. */

export interface Sample {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** What one call took in this process; other threads of it (compiler, garbage collector) count. */
export async function measure<T>(action: () => T | Promise<T>): Promise<{ sample: Sample; result: T }> {
  const cpu = process.cpuUsage();
  const wall = process.hrtime.bigint();
  const result = await action();
  const wallMs = Number(process.hrtime.bigint() - wall) / 1e6;
  const { user, system } = process.cpuUsage(cpu);
  return { sample: { cpuMs: (user + system) / 1e3, wallMs }, result };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function medianOf(samples: readonly Sample[]): Sample {
  return {
    cpuMs: median(samples.map(({ cpuMs }) => cpuMs)),
    wallMs: median(samples.map(({ wallMs }) => wallMs)),
  };
}
