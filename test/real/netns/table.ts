/** The figures of a campaign, as a table. Pure. */
import { seconds, type CampaignReport } from './campaign.ts';
import { faultNames } from './faults.ts';

function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** p50 and the largest of what is defined. */
export function spread(values: readonly (number | undefined)[]): {
  p50: number | undefined;
  maximum: number | undefined;
} {
  const sorted = values.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), maximum: sorted.at(-1) };
}

function share(failed: number, all: number): string {
  return `${failed} of ${all} (${((100 * failed) / Math.max(1, all)).toFixed(2)} %)`;
}

export function table(report: CampaignReport): string {
  const { results, minutes, refusedByHsdirs } = report;
  const rows = faultNames.flatMap((fault) => {
    const of = results.filter((result) => result.fault === fault);
    if (of.length === 0) return [];
    const [taken, published] = [spread(of.map((it) => it.takeoverMs)), spread(of.map((it) => it.publishedMs))];
    const watched = of.flatMap(({ stalePublishes }) => stalePublishes ?? []);
    const stale = watched.length === 0 ? '–' : watched.reduce((sum, count) => sum + count, 0);
    const broken = of.filter(({ download, deadHeads }) => {
      return !download.complete && !(download.head !== undefined && deadHeads.includes(download.head));
    }).length;
    const settled = spread(of.map((it) => it.settledMs));
    const cells = [fault, of.length, seconds(taken.p50), seconds(taken.maximum), seconds(published.p50)];
    return [`| ${[...cells, seconds(published.maximum), seconds(settled.maximum), stale, broken].join(' | ')} |`];
  });
  return [
    '| fault | times | takeover p50 | max | published p50 | max | settled max | stale publishes | broken downloads |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    `In ${minutes.toFixed(1)} minutes failed ${share(report.failedVisits, report.visits)} visits, ${report.strandedVisits} of them of the client as it stood at a head whose tor died, and ${share(report.failedIsolated, report.isolated)} on circuits of their own; HSDirs refused ${refusedByHsdirs} descriptors as older.`,
    '',
  ].join('\n');
}
