/** One piece of work of `npm run sim`: a seed, a mutation, or a size. What comes back is small enough for a line. */
import {
  caught,
  measureTraffic,
  mutations,
  simulate,
  type FaultClass,
  type SimulationReport,
  type TrafficReport,
} from '../kit/sim/cluster/index.ts';

export type Job =
  | {
      readonly kind: 'seed';
      readonly seed: string;
      readonly nodes: number;
      readonly hours: number;
      readonly density?: number;
      readonly among?: readonly FaultClass[];
    }
  | { readonly kind: 'mutation'; readonly name: string }
  | { readonly kind: 'traffic'; readonly nodes: number; readonly seconds: number };

export type SeedDone = Omit<SimulationReport, 'trace'> & { readonly kind: 'seed'; readonly cpuSeconds: number };
export interface MutationDone {
  readonly kind: 'mutation';
  readonly name: string;
  readonly breaks: readonly string[];
  readonly invariant: string | undefined;
  readonly what: string | undefined;
}
export interface Failed {
  readonly kind: 'failed';
  readonly job: Job;
  readonly error: string;
}
export type Done = SeedDone | MutationDone | (TrafficReport & { readonly kind: 'traffic' }) | Failed;

export async function runJob(job: Job): Promise<Done> {
  try {
    if (job.kind === 'traffic') return { ...(await measureTraffic(job)), kind: 'traffic' };
    if (job.kind === 'mutation') {
      const mutation = mutations.find(({ name }) => name === job.name);
      if (mutation === undefined) throw new Error(`there is no mutation called ${job.name}`);
      const found = await caught(mutation);
      const { name, breaks } = mutation;
      return { kind: 'mutation', name, breaks, invariant: found?.invariant, what: found?.what };
    }
    const { kind, among, ...options } = job;
    const before = process.cpuUsage();
    const { trace: _trace, ...report } = await simulate({ ...options, ...(among === undefined ? {} : { among }) });
    const { user, system } = process.cpuUsage(before);
    return { ...report, kind, cpuSeconds: (user + system) / 1e6 };
  } catch (error) {
    return { kind: 'failed', job, error: String((error as Error).stack ?? error) };
  }
}
