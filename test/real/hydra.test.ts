/** A head under a real flood is cut and replaced while honest clients go on; what left the descriptor drains, then refuses. */
import { expect, it } from 'vitest';
import { describeReal } from './require.ts';
import { runSiege } from './siege/run.ts';

describeReal('preset hydra under a flood of introductions', ['tor'], () => {
  it('reports, cuts and replaces the head within seconds; honest clients and open downloads go on', async () => {
    const report = await runSiege({
      preset: 'hydra',
      honestClients: 6,
      honestIntervalMs: 2_000,
      floodSecs: 25,
      floodPerSecond: 12,
      graceSecs: 20,
      tell: (text) => void process.stdout.write(`${text}\n`),
    });
    process.stdout.write(`${JSON.stringify(report)}\n`);
    expect(report.reportedMs).toBeLessThanOrEqual(5_000);
    expect(report.confirmedMs).toBeLessThanOrEqual((report.reportedMs ?? 0) + 5_000);
    expect(report.honest.failed).toBeLessThanOrEqual(report.honest.made / 100);
    expect(report.download).toBe('finished');
    expect(report.afterGrace.longestMs).toBeLessThanOrEqual(1_000);
    expect(report.afterGrace.open).toBe(0);
  });
});
