/**
 * `npm run sim`: many seeds of the cluster simulator on all cores, with a progress line and a summary.
 *
 *   npm run sim -- --seeds 500 --nodes 3-10 --hours 2      a swarm; exits 1 when an invariant is broken
 *   npm run sim -- --seed 17 --nodes 5 --hours 2 --trace    one seed again, with what happened last
 *   npm run sim -- --seeds 50 --density 4                   faults four times as often
 *   npm run sim -- --mutations                              the checkers against deliberate bugs
 *   npm run sim -- --traffic 10,100,1000                    messages and bytes a node a second
 *
 * The work is done in processes of sim/worker.ts. All is compiled first: tsx would name every function anew each time that one is made.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mutations, simulate } from '../kit/sim/cluster/index.ts';
import type { Done, Job } from './job.ts';
import { readOptions, UsageError, type SimOptions } from './options.ts';
import { summaryOf, tableOf } from './summary.ts';

function optionsOrUsage(): SimOptions {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(
      `${error.message}\nusage: npm run sim -- --seeds N --nodes N|A-B --hours H [--faults a,b] [--density N] [--seed S] [--json]\n`,
    );
    return process.exit(2);
  }
}

const options = optionsOrUsage();
const { hours, density, among, nodesOf } = options;

function jobs(): Job[] {
  if (options.mutations) return mutations.map(({ name }) => ({ kind: 'mutation', name }));
  if (options.traffic !== undefined) return options.traffic.map((nodes) => ({ kind: 'traffic', nodes, seconds: 60 }));
  return Array.from({ length: options.seeds }, (_none, index) => {
    const seed = String(options.from + index);
    return { kind: 'seed', seed, nodes: nodesOf(seed), hours, density, ...(among === undefined ? {} : { among }) };
  });
}

const workerFlags = [
  // Nearly all is garbage at once: room for it from the beginning, so that little is looked at again.
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
  '--initial-old-space-size=400',
  // There is a process for each core: one that collects its garbage on all of them would take from the others.
  '--single-threaded-gc',
];

const begun = performance.now();
const seconds = (): number => (performance.now() - begun) / 1_000;

function progress(done: number, all: number, failed: number): void {
  if (options.json) return;
  const left = done === 0 ? NaN : (seconds() / done) * (all - done);
  const text = `${done} of ${all}, ${failed} failed, ${seconds().toFixed(0)} s, ${Number.isNaN(left) ? '' : `about ${left.toFixed(0)} s left`}`;
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}` : done === all || done % 20 === 0 ? `${text}\n` : '');
}

/** Gives the jobs out to as many processes as there are cores, each the next when it is done with the last. */
async function runAll(waiting: Job[], onDone: (done: Done) => void): Promise<void> {
  const worker = async (): Promise<void> => {
    const child = spawn(process.execPath, [...workerFlags, new URL('worker.js', import.meta.url).pathname], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    let current: Job | undefined;
    const next = (): void => {
      current = waiting.shift();
      if (current === undefined) child.stdin.end();
      else child.stdin.write(`${JSON.stringify(current)}\n`);
    };
    next();
    for await (const line of createInterface({ input: child.stdout })) {
      onDone(JSON.parse(line) as Done);
      next();
    }
    await ended;
    if (current === undefined) return;
    onDone({ kind: 'failed', job: current, error: 'its process has ended' });
    if (waiting.length > 0) await worker();
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, waiting.length) }, worker));
}

if (options.seed !== undefined) {
  const { trace, ...report } = await simulate({
    seed: options.seed,
    nodes: nodesOf(options.seed),
    hours,
    density,
    ...(among === undefined ? {} : { among }),
  });
  if (options.trace)
    for (const { atMs, text } of trace) process.stdout.write(`${atMs.toFixed(0).padStart(9)} ${text}\n`);
  process.stdout.write(
    options.json ? `${JSON.stringify(report)}\n` : tableOf([{ ...report, kind: 'seed', cpuSeconds: 0 }]),
  );
  process.exitCode = report.broken.length > 0 ? 1 : 0;
} else {
  const all = jobs();
  const total = all.length;
  const done: Done[] = [];
  let failed = 0;
  progress(0, total, 0);
  await runAll([...all], (one) => {
    done.push(one);
    const bad =
      one.kind === 'failed' ||
      (one.kind === 'seed' && one.broken.length > 0) ||
      (one.kind === 'mutation' && (one.invariant === undefined || !one.breaks.includes(one.invariant)));
    if (bad) failed++;
    progress(done.length, total, failed);
  });
  const order = new Map(all.map((job, index) => [JSON.stringify(job.kind === 'seed' ? job.seed : job), index]));
  done.sort((a, b) =>
    a.kind === 'seed' && b.kind === 'seed'
      ? (order.get(JSON.stringify(a.seed)) ?? 0) - (order.get(JSON.stringify(b.seed)) ?? 0)
      : 0,
  );
  if (options.json) process.stdout.write(`${JSON.stringify({ summary: summaryOf(done, seconds()), done })}\n`);
  else process.stdout.write(`\n${tableOf(done)}\n${summaryOf(done, seconds()).text}\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
