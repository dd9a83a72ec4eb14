/**
 * `npm run simulate:table`: each strategy against each attacker, into docs/attack-table.md. What has been run already, at this
 * size and with this code, is kept in `--state DIR`, so that a run that was cut off goes on where it was.
 *
 *   npm run simulate:table -- --seeds 100 --state /tmp/table
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  attackers,
  defences,
  runAttacks,
  showValue,
  summarize,
  type AttackJob,
  type MetricName,
  type Summary,
} from '../kit/attack/index.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    hours: { type: 'string', default: '2' },
    clients: { type: 'string', default: '500' },
    sessions: { type: 'string', default: '0.5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    state: { type: 'string' },
    out: { type: 'string', default: 'docs/attack-table.md' },
  },
});

const root = new URL('../..', import.meta.url).pathname;
const scenario = {
  hours: Number(values.hours),
  clients: Number(values.clients),
  sessionsPerSecond: Number(values.sessions),
};
const seeds = Number(values.seeds);
/** Bots look around every minute here, not every ten seconds: the same flood, fewer steps. */
const options: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { 'vanilla-bots': { period_secs: 60 } };

/** Of everything that a result depends on. */
function codeDigest(): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    if (statSync(join(root, path)).isDirectory())
      for (const name of readdirSync(join(root, path)).sort()) add(join(path, name));
    else if (path.endsWith('.ts')) hash.update(path).update(readFileSync(join(root, path)));
  };
  for (const path of [
    'test/kit/attack',
    'test/kit/network/rules',
    'strategies',
    'plugins/hydra',
    'plugins/siege/detector.ts',
    'plugins/ghost/rule.ts',
    'plugins/merge',
  ])
    add(path);
  return hash.update(JSON.stringify({ scenario, seeds, options })).digest('hex').slice(0, 16);
}

const directory = values.state === undefined ? undefined : join(values.state, codeDigest());
if (directory !== undefined) mkdirSync(directory, { recursive: true });

async function cell(strategy: string, attacker: string): Promise<Summary> {
  const file = directory && join(directory, `${strategy}-${attacker}.json`);
  try {
    if (file !== undefined) return JSON.parse(readFileSync(file, 'utf8')) as Summary;
  } catch {
    // Not run yet.
  }
  const jobs = Array.from({ length: seeds }, (_none, index): AttackJob => ({
    strategy,
    attacker,
    scenario,
    seed: index + 1,
    directory: root,
    attackerOptions: options[attacker] ?? {},
  }));
  const summary = summarize(await runAttacks(jobs, { threads: Number(values.threads) }));
  if (file !== undefined) writeFileSync(file, JSON.stringify(summary));
  return summary;
}

/** A table as prettier would write it. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_none, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  return [
    line(rows[0] ?? []),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...rows.slice(1).map(line),
  ].join('\n');
}

const names = [...defences.keys()];
const results = new Map<string, Map<string, Summary>>();
const total = names.length * attackers.size;
let done = 0;
const begun = performance.now();
for (const attacker of attackers.keys()) {
  const row = new Map<string, Summary>();
  for (const strategy of names) {
    row.set(strategy, await cell(strategy, attacker));
    done++;
    process.stderr.write(
      `${done} of ${total}: ${strategy} against ${attacker}, ${((performance.now() - begun) / 1_000).toFixed(0)} s\n`,
    );
  }
  results.set(attacker, row);
}

function metricTable(metric: MetricName, interval: boolean): string {
  const rows = [['', ...names.map((name) => `\`${name}\``)]];
  for (const [attacker, row] of results) {
    const cells = names.map((name) => {
      const figure = row.get(name)?.figures[metric];
      if (figure === undefined) return '–';
      const mean = showValue(metric, figure.mean);
      return interval ? `${mean} ± ${showValue(metric, figure.high - figure.mean)}` : mean;
    });
    rows.push([`\`${attacker}\``, ...cells]);
  }
  return tableOf(rows);
}

const digest = createHash('sha256')
  .update(
    JSON.stringify([...results].map(([name, row]) => [name, [...row].map(([one, { digest: own }]) => [one, own])])),
  )
  .digest('hex');
const tables: readonly (readonly [MetricName, boolean, string])[] = [
  ['reachability', true, 'Share of honest attempts that succeed within a minute, mean and 95 % interval.'],
  ['reachabilityNew', false, 'The same of clients that had no descriptor.'],
  ['firstTrySuccess', false, 'Honest first introductions that the relay lets through.'],
  ['timeToConnectP95Ms', false, 'Milliseconds until 95 % of the successes are connected.'],
  ['attackYield', false, 'Attack cells that meet a living point.'],
  ['targetFreshness', false, 'Share of time in which the attacker’s list is the one published last.'],
  ['outageMinutes', false, 'Minutes with a reachability below 50 %.'],
  ['publishesPerHour', false, 'Publications an hour.'],
  ['benefit', false, 'Share of minutes with 90 % reachability, less 0.01 for each publication an hour.'],
  ['relaysShown', false, 'Distinct relays that were ever introduction points.'],
  ['captureShare', false, 'Share of live points on the attacker’s relays.'],
  ['ghostFalsePositive', false, 'Honest rendezvous that a ghost closed, of all attempts.'],
  ['leakTiming', false, 'How much publication times repeat: 1 is a clock.'],
];
const page = `# Every strategy against every attacker

Made by \`npm run simulate:table\`; do not edit. ${seeds} seeds of ${values.hours} h for each pair, the attack from minute 30 on: ${values.clients} clients with ${values.sessions} new sessions a second, 10 heads with two introduction points (\`staggered\`: four), ten places in the descriptor. [attack-simulator.md](attack-simulator.md) explains strategies, attackers and metrics. Rows are attackers. The last three strategies are worse on purpose.

Digest \`${digest.slice(0, 32)}\`.

${tables.map(([metric, interval, text]) => `## ${metric}\n\n${text}\n\n${metricTable(metric, interval)}`).join('\n\n')}
`;
writeFileSync(join(root, values.out), page);
process.stdout.write(`written: ${values.out}\n`);
