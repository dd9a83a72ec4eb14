/** A thread of the attack simulator: answers each job with its run. */
import { serveJobs } from '../../../core/runtime/workers.ts';
import { runAttack } from './job.ts';

serveJobs(runAttack);
