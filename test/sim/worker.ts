/** Runs the seeds that it is given on standard input, one JSON a line, and writes one report a line. */
import { createInterface } from 'node:readline';
import { runJob, type Job } from './job.ts';

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line) as Job;
  process.stdout.write(`${JSON.stringify(await runJob(job))}\n`);
}
