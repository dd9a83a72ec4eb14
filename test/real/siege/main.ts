/**
 * The long comparison: the same flood against preset hydra and preset stable, honest fresh clients once a second all the while.
 * `npm run soak:siege [-- --secs 100] [-- --rate 12] [-- --preset hydra]`: prints the figures of both as JSON, one line each.
 */
import { parseArgs } from 'node:util';
import { runSiege } from './run.ts';

const { values } = parseArgs({
  options: {
    secs: { type: 'string', default: '100' },
    rate: { type: 'string', default: '12' },
    preset: { type: 'string' },
  },
});
for (const preset of ['hydra', 'stable'] as const) {
  if (values.preset !== undefined && values.preset !== preset) continue;
  const report = await runSiege({
    preset,
    honestClients: 12,
    honestIntervalMs: 1_000,
    floodSecs: Number(values.secs),
    floodPerSecond: Number(values.rate),
    graceSecs: 60,
    tell: (text) => process.stderr.write(`${preset}: ${text}\n`),
  });
  process.stdout.write(`${JSON.stringify({ preset, ...report })}\n`);
}
