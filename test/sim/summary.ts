/** What many runs come to, in figures and as text. */
import type { Done, SeedDone } from './job.ts';

function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

const round = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.round(value));

export function summaryOf(done: readonly Done[], wallSeconds: number) {
  const seeds = done.filter((one): one is SeedDone => one.kind === 'seed');
  const all = (pick: (one: SeedDone) => readonly number[]): number[] => seeds.flatMap(pick);
  const hours = seeds.reduce((sum, one) => sum + one.hours, 0);
  const weighted = (pick: (one: SeedDone) => number): number =>
    seeds.reduce((sum, one) => sum + pick(one) * one.hours, 0) / (hours || 1);
  const takeovers = all(({ figures }) => figures.takeoversMs);
  const published = all(({ figures }) => figures.publishedMs);
  const dead = all(({ figures }) => figures.deadHeadsMs);
  const calmLoss = seeds.filter(({ faults }) => faults.lossShare <= 0.1);
  const falseOf = (some: readonly SeedDone[]): number =>
    some.reduce((sum, { figures }) => sum + figures.falseTakeovers, 0);
  const quietOf = (some: readonly SeedDone[]): number =>
    Math.round(10 * some.reduce((sum, { figures }) => sum + figures.quietHours, 0)) / 10;
  const failures = seeds.filter(({ broken }) => broken.length > 0);
  const figures = {
    seeds: seeds.length,
    clusterHours: Math.round(hours * 10) / 10,
    nodeHours: Math.round(seeds.reduce((sum, one) => sum + one.hours * one.nodes, 0)),
    takeovers: takeovers.length,
    takeoverP50Ms: round(quantile(takeovers, 0.5)),
    takeoverP99Ms: round(quantile(takeovers, 0.99)),
    publishedP50Ms: round(quantile(published, 0.5)),
    publishedP99Ms: round(quantile(published, 0.99)),
    falseTakeovers: falseOf(seeds),
    falseTakeoversTo10PercentLoss: falseOf(calmLoss),
    quietHours: quietOf(seeds),
    quietHoursTo10PercentLoss: quietOf(calmLoss),
    deadHeads: dead.length,
    deadHeadP50Ms: round(quantile(dead, 0.5)),
    deadHeadP99Ms: round(quantile(dead, 0.99)),
    messagesPerNodeSecond: Math.round(weighted(({ figures: own }) => own.messagesPerSecond) * 100) / 100,
    bytesPerNodeSecond: Math.round(weighted(({ figures: own }) => own.bytesPerSecond)),
    failures: failures.map(({ seed, nodes }) => ({ seed, nodes })),
    wallSeconds: Math.round(wallSeconds),
    cpuSeconds: Math.round(seeds.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)),
  };
  const lines = [
    `${figures.seeds} seeds, ${figures.clusterHours} cluster-hours (${figures.nodeHours} node-hours) in ${figures.wallSeconds} s`,
    figures.takeovers === 0
      ? 'takeover: there was none to measure'
      : `takeover: p50 ${figures.takeoverP50Ms} ms, p99 ${figures.takeoverP99Ms} ms, first descriptor p50 ${figures.publishedP50Ms} ms, p99 ${figures.publishedP99Ms} ms (${figures.takeovers})`,
    `false takeovers: ${figures.falseTakeovers} in ${figures.quietHours} quiet cluster-hours, of these at a loss of 10 % at most: ${figures.falseTakeoversTo10PercentLoss} in ${figures.quietHoursTo10PercentLoss}`,
    figures.deadHeads === 0
      ? 'no machine died in quiet times'
      : `a dead machine's points out of the descriptor: p50 ${figures.deadHeadP50Ms} ms, p99 ${figures.deadHeadP99Ms} ms (${figures.deadHeads})`,
    `a node sends ${figures.messagesPerNodeSecond} messages and ${figures.bytesPerNodeSecond} bytes a second`,
    failures.length === 0
      ? 'no invariant was broken'
      : `broken: seeds ${failures.map(({ seed, nodes }) => `${seed} (${nodes} nodes)`).join(', ')}`,
  ];
  return { ...figures, text: seeds.length === 0 ? '' : lines.join('\n') };
}

/** What needs a look, one line each. */
export function tableOf(done: readonly Done[]): string {
  const lines = done.flatMap((one): string[] => {
    if (one.kind === 'failed') return [`FAILED ${JSON.stringify(one.job)}: ${one.error}`];
    if (one.kind === 'traffic') {
      const { nodes, messages, bytes, agreed, settledAfterSeconds } = one;
      return [
        `${nodes} nodes: ${messages.mean.toFixed(2)} messages and ${bytes.mean.toFixed(0)} bytes a node a second, the busiest ${messages.busiest.toFixed(1)} and ${bytes.busiest.toFixed(0)}; ` +
          `settled after ${settledAfterSeconds.toFixed(0)} s, ${agreed ? 'all agree on the publisher' : 'they do NOT agree'}`,
      ];
    }
    if (one.kind === 'mutation') {
      const { name, invariant, breaks, what } = one;
      const good = invariant !== undefined && breaks.includes(invariant);
      return [`${good ? 'caught' : 'MISSED'} ${name}: ${invariant ?? 'nothing'} ${what?.slice(0, 160) ?? ''}`];
    }
    if (one.broken.length === 0 && done.length > 1) return [];
    return [
      `seed ${one.seed}, ${one.nodes} nodes, ${one.hours.toFixed(2)} h, ${one.election}, ${one.on.join(' ')}: digest ${one.digest.slice(0, 16)}`,
      ...one.broken.slice(0, 10).map(({ invariant, atMs, what }) => `  ${invariant} at ${atMs} ms: ${what}`),
    ];
  });
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
