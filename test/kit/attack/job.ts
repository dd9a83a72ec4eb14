/** Many runs, in this thread or in several. Enter at `runAttacks`. */
import { runJobs } from '../../../core/runtime/workers.ts';
import { findAttacker, findDefence, type Options } from './load.ts';
import { simulateAttack, type AttackRun } from './run.ts';
import type { Scenario } from './scenario.ts';

export interface AttackJob {
  readonly strategy: string;
  readonly attacker: string;
  readonly seed: number;
  readonly strategyOptions?: Options;
  readonly attackerOptions?: Options;
  readonly scenario?: Partial<Scenario>;
  /** Paths of strategies and attackers are relative to it. */
  readonly directory: string;
}

export async function runAttack(job: AttackJob): Promise<AttackRun> {
  const { strategy, attacker, directory, seed, scenario = {} } = job;
  return simulateAttack({
    seed,
    scenario,
    defence: await findDefence(strategy, job.strategyOptions, directory),
    attacker: await findAttacker(attacker, job.attackerOptions, directory),
  });
}

export interface RunOptions {
  readonly threads: number;
  readonly done?: (run: AttackRun) => void;
  readonly signal?: AbortSignal;
}

/** Results in the order of the jobs, however many threads there are. */
export async function runAttacks(
  jobs: readonly AttackJob[],
  { threads, done, signal }: RunOptions,
): Promise<AttackRun[]> {
  // What is wrong with the names is told by this thread, with its code.
  const [first] = jobs;
  if (first !== undefined) {
    await findDefence(first.strategy, first.strategyOptions, first.directory);
    await findAttacker(first.attacker, first.attackerOptions, first.directory);
  }
  if (threads > 1 && jobs.length > 1) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const options = { threads, ...(done === undefined ? {} : { done }), ...(signal === undefined ? {} : { signal }) };
    return runJobs<AttackRun>(new URL(`../attack/worker.${extension}`, import.meta.url), jobs, options);
  }
  const runs: AttackRun[] = [];
  for (const job of jobs) {
    signal?.throwIfAborted();
    const run = await runAttack(job);
    done?.(run);
    runs.push(run);
  }
  return runs;
}
