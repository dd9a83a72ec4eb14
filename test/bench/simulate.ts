/**
 * `npm run bench:simulate`: the attack simulator's events a second, beside the bare event queue in the same run, and how long a
 * day of 10,000 clients and 100 heads takes.
 *
 *   npm run bench:simulate -- --clients 10000 --heads 100 --hours 24
 */
import { parseArgs } from 'node:util';
import { runAttack } from '../kit/attack/job.ts';
import { EventQueue } from '../kit/attack/queue.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    heads: { type: 'string', default: '100' },
    hours: { type: 'string', default: '24' },
    strategy: { type: 'string', default: 'hydra' },
    attacker: { type: 'string', default: 'poller' },
  },
});

/** Events put in and taken out again, as many at a time as a simulation has under way. */
function bareQueue(waiting: number, events: number): number {
  const queue = new EventQueue();
  const random = createSeededRandom('bench');
  const begun = performance.now();
  for (let count = 0; count < waiting; count++) queue.add(random.float() * 1e6, 1, count);
  for (let count = 0; count < events; count++) {
    queue.next();
    queue.add(queue.atMs + random.float() * 1e6, 1, count);
  }
  return events / ((performance.now() - begun) / 1_000);
}

const perSecond = bareQueue(5_000, 3_000_000);
const begun = performance.now();
const before = process.cpuUsage();
const run = await runAttack({
  strategy: values.strategy,
  attacker: values.attacker,
  seed: 1,
  directory: '.',
  scenario: { clients: Number(values.clients), heads: Number(values.heads), hours: Number(values.hours), places: 20 },
});
const seconds = (performance.now() - begun) / 1_000;
const { user, system } = process.cpuUsage(before);
const speed = run.events / seconds;
process.stdout.write(
  `${values.clients} clients, ${values.heads} heads, ${values.hours} h, ${values.strategy} against ${values.attacker}\n` +
    `  ${run.events} events in ${seconds.toFixed(1)} s (${((user + system) / 1e6).toFixed(1)} s of processor time, one thread): ${Math.round(speed)} events/s\n` +
    `  the bare queue, 5,000 events waiting: ${Math.round(perSecond)} events/s; the simulator has ${((100 * speed) / perSecond).toFixed(1)} % of that\n`,
);
