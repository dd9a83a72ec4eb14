/** A soak's report as a table for people. Pure. */
import type { PublisherReport, SoakReport } from './soak.ts';
import type { Summary } from './statistics.ts';

export function table(report: SoakReport): string {
  const rows: readonly (readonly [string, (publisher: PublisherReport) => string])[] = [
    ['first reachable', ({ reachableSeconds }) => seconds(reachableSeconds)],
    ['visits, one a second', ({ visits }) => failures(visits)],
    ['  longest outage', ({ visits }) => seconds(visits.longestOutageSeconds)],
    ['  median, worst', ({ visits }) => `${visits.medianSeconds.toFixed(2)}, ${seconds(visits.worstSeconds)}`],
    ['  shares of heads', ({ visits }) => shares(visits)],
    ['visits on new circuits', ({ isolated }) => failures(isolated)],
    ['  longest outage', ({ isolated }) => seconds(isolated.longestOutageSeconds)],
    ['visits of fresh clients', ({ fresh }) => failures(fresh)],
    ['  longest outage', ({ fresh }) => seconds(fresh.longestOutageSeconds)],
    ['  shares of heads', ({ fresh }) => shares(fresh)],
    ['introduction points of heads', ({ introPoints }) => Object.values(introPoints).join(', ')],
    ['killed head out, first HSDir', ({ removal }) => removed(removal, removal?.firstSeconds)],
    ['killed head out, all HSDirs', ({ removal }) => removed(removal, removal?.allSeconds)],
    ['visits after the kill', ({ visitsAfterKill }) => failures(visitsAfterKill)],
    ['descriptor copies uploaded', ({ uploads }) => String(uploads)],
    ['publisher, CPU', ({ cpuSeconds }) => seconds(cpuSeconds)],
    [
      'publisher, CPU a copy',
      ({ cpuMillisecondsPerUpload: cpu }) => (cpu === undefined ? '–' : `${cpu.toFixed(1)} ms`),
    ],
    ['publisher, RSS', ({ residentMegabytes: size }) => (size === undefined ? '–' : `${size.toFixed(0)} MB`)],
  ];
  const cells = [
    ['', ...report.publishers.map(({ name }) => name)],
    ...rows.map(([title, cell]) => [title, ...report.publishers.map(cell)]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length))) ?? [];
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const { busyPercent, relaysPercent, otherTorsPercent } = report.machine;
  return [
    `${report.minutes} min, ${report.hsdirs} HSDirs, voting every 20 s (a time period lasts 8 min)`,
    '',
    ...lines,
    '',
    `machine ${busyPercent.toFixed(0)} % busy; relays ${relaysPercent.toFixed(0)} %, other tors ${otherTorsPercent.toFixed(0)} % of one core`,
    '',
  ].join('\n');
}

function seconds(value: number | undefined): string {
  return value === undefined ? '–' : `${value.toFixed(1)} s`;
}

function failures({ failed, requests, failedPercent }: Summary): string {
  return `${failed} of ${requests} failed (${failedPercent.toFixed(2)} %)`;
}

function shares({ sharesPercent }: Summary): string {
  return Object.values(sharesPercent)
    .map((share) => `${share.toFixed(0)} %`)
    .join(', ');
}

function removed(removal: PublisherReport['removal'], value: number | undefined): string {
  if (removal === undefined) return '–';
  return value === undefined ? 'not seen' : seconds(value);
}
