/**
 * The long comparison: the same flood against preset hydra, preset stable and OnionBalance, one after another, honest fresh
 * clients once a second all the while. `npm run soak:siege [-- --secs 60] [-- --rate 16] [-- --share 1] [-- --only hydra]`:
 * prints the figures of each as JSON, one line each. What they mean: docs/siege-soak.md.
 */
import { parseArgs } from 'node:util';
import { runSiege } from './run.ts';

const { values } = parseArgs({
  options: {
    secs: { type: 'string', default: '60' },
    rate: { type: 'string', default: '16' },
    share: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
for (const contender of ['hydra', 'stable', 'onionbalance'] as const) {
  if (values.only !== undefined && values.only !== contender) continue;
  const begun = process.hrtime.bigint();
  const tell = (text: string): void => {
    const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
    process.stderr.write(`${contender} ${seconds.toFixed(1)} s: ${text}\n`);
  };
  try {
    const report = await runSiege({
      contender,
      honestClients: 12,
      honestIntervalMs: 1_000,
      floodSecs: Number(values.secs),
      floodPerSecond: Number(values.rate),
      flooders: 4,
      headShare: Number(values.share) > 0 ? Number(values.share) : undefined,
      graceSecs: 40,
      tell,
    });
    process.stdout.write(`${JSON.stringify({ contender, ...report })}\n`);
  } catch (error) {
    tell(`the run ended early: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
