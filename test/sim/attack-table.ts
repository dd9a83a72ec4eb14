/**
 * `npm run simulate:table`: each strategy against each attacker, into docs/attack-table.md. What has been run already, at this
 * size and with this code, is kept in `--state DIR`, so that a run that was cut off goes on where it was.
 *
 *   npm run simulate:table -- --seeds 100 --state /tmp/table
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  attackers,
  defaultScenario,
  defences,
  runAttacks,
  showValue,
  summarize,
  type AttackJob,
  type MetricName,
  type Scenario,
  type Summary,
} from '../kit/attack/index.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    hours: { type: 'string', default: '1' },
    clients: { type: 'string', default: '300' },
    sessions: { type: 'string', default: '0.3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    state: { type: 'string' },
    out: { type: 'string', default: 'docs/attack-table.md' },
  },
});

const root = new URL('../..', import.meta.url).pathname;
const hours = Number(values.hours);
const scenario: Partial<Scenario> = {
  hours,
  clients: Number(values.clients),
  sessionsPerSecond: Number(values.sessions),
  attackAtMs: Math.min(defaultScenario.attackAtMs, hours * 900_000),
};
const seeds = Number(values.seeds);

interface Row {
  readonly title: string;
  readonly attacker: string;
  readonly options?: Readonly<Record<string, unknown>>;
}
const limited: readonly Row[] = [...attackers.keys()].flatMap((attacker): Row[] => {
  // Bots look around every minute here, not every ten seconds: the same flood, fewer steps.
  if (attacker === 'vanilla-bots') return [{ title: attacker, attacker, options: { period_secs: 60 } }];
  if (attacker !== 'poller') return [{ title: attacker, attacker }];
  return [
    { title: attacker, attacker },
    { title: 'poller every_hsdir', attacker, options: { every_hsdir: true } },
  ];
});
/** The others send less than the limit at each point, or nothing, or what one of these sends. */
const floods = ['static-list', 'poller', 'vanilla-bots', 'hybrid-cpu', 'pulse', 'steer'];
const unlimited = limited.filter(({ title }) => floods.includes(title));

/** Of everything that a result depends on. */
function codeDigest(): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    if (statSync(join(root, path)).isDirectory())
      for (const name of readdirSync(join(root, path)).sort()) add(join(path, name));
    else if (path.endsWith('.ts') && !path.endsWith('/report.ts'))
      hash.update(path).update(readFileSync(join(root, path)));
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
  return hash.update(JSON.stringify({ scenario, seeds })).digest('hex').slice(0, 16);
}

const directory = values.state === undefined ? undefined : join(values.state, codeDigest());
if (directory !== undefined) mkdirSync(directory, { recursive: true });

async function cell(strategy: string, row: Row, limit: number): Promise<Summary> {
  const { attacker, options: attackerOptions = {} } = row;
  const key = `${strategy} ${row.title} ${limit}`.replaceAll(' ', '-');
  const file = directory && join(directory, `${key}.json`);
  try {
    if (file !== undefined) return JSON.parse(readFileSync(file, 'utf8')) as Summary;
  } catch {
    // Not run yet.
  }
  const jobs = Array.from({ length: seeds }, (_none, index): AttackJob => ({
    strategy,
    attacker,
    scenario: { ...scenario, introLimitPerSecond: limit },
    seed: index + 1,
    directory: root,
    attackerOptions,
  }));
  const summary = summarize(await runAttacks(jobs, { threads: Number(values.threads) }));
  if (file !== undefined) {
    writeFileSync(`${file}.part`, JSON.stringify(summary));
    renameSync(`${file}.part`, file);
  }
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
type Results = ReadonlyMap<string, ReadonlyMap<string, Summary>>;
const total = names.length * (limited.length + unlimited.length);
let done = 0;
const begun = performance.now();

async function play(rows: readonly Row[], limit: number): Promise<Results> {
  const results = new Map<string, Map<string, Summary>>();
  for (const row of rows) {
    const cells = new Map<string, Summary>();
    for (const strategy of names) {
      cells.set(strategy, await cell(strategy, row, limit));
      const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
      process.stderr.write(`${++done} of ${total}: ${strategy} against ${row.title}, ${seconds} s\n`);
    }
    results.set(row.title, cells);
  }
  return results;
}

const withLimit = await play(limited, defaultScenario.introLimitPerSecond);
const withoutLimit = await play(unlimited, 0);

function metricTable(results: Results, metric: MetricName, interval: boolean): string {
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

const digestsOf = (results: Results): unknown =>
  [...results].map(([name, row]) => [name, [...row].map(([one, { digest: own }]) => [one, own])]);
const digest = createHash('sha256')
  .update(JSON.stringify([withLimit, withoutLimit].map(digestsOf)))
  .digest('hex');
const tables: readonly (readonly [MetricName, boolean, string])[] = [
  ['reachability', true, 'Share of honest attempts that succeed within a minute, mean and 95 % interval.'],
  ['reachabilityNew', false, 'The same of clients that had no descriptor.'],
  ['firstTrySuccess', false, 'Honest first introductions that the relay lets through.'],
  ['timeToConnectP95Ms', false, 'Milliseconds until 95 % of the successes are connected.'],
  ['sessionSurvival', false, 'Sessions that end by themselves, not with their head.'],
  ['attackYield', false, 'Attack cells that meet a living point.'],
  ['targetFreshness', false, 'Share of time in which the attacker’s list is the one published last.'],
  ['outageMinutes', false, 'Minutes with a reachability below 50 %.'],
  ['publishesPerHour', false, 'Publications an hour.'],
  ['benefit', false, 'Share of minutes with 90 % reachability, less 0.01 for each publication an hour.'],
  ['relaysShown', false, 'Distinct relays that were ever introduction points.'],
  ['captureShare', false, 'Share of live points on the attacker’s relays.'],
  [
    'ghostFalsePositive',
    false,
    'Honest rendezvous that ghosts closed, per attempt. An attempt whose rendezvous is closed tries again and may be closed again, so more than 100 % is more than one each.',
  ],
  ['leakTiming', false, 'How much publication times repeat: 1 is a clock.'],
];
const few: readonly MetricName[] = ['reachability', 'timeToConnectP95Ms', 'sessionSurvival', 'benefit'];
const sections = (results: Results, level: string, wanted: typeof tables): string =>
  wanted
    .map(([metric, interval, text]) => `${level} ${metric}\n\n${text}\n\n${metricTable(results, metric, interval)}`)
    .join('\n\n');
const { introLimitPerSecond, introLimitBurst } = defaultScenario;
const page = `# Every strategy against every attacker

Made by \`npm run simulate:table\`; do not edit. ${seeds} seeds of ${values.hours} h for each pair, the attack from minute ${(scenario.attackAtMs ?? 0) / 60_000} on: ${values.clients} clients with ${values.sessions} new sessions a second, 10 heads with two introduction points (\`staggered\`: four), ten places in the descriptor. [attack-simulator.md](attack-simulator.md) explains strategies, attackers and metrics, and says [what the figures mean](attack-simulator.md#found-by-simulating). Rows are attackers with their defaults; \`poller every_hsdir\` asks every HSDir each time, not one. The last three strategies are worse on purpose.

Digest \`${digest.slice(0, 32)}\`.

## With the relays’ rate limit

Each introduction point lets ${introLimitPerSecond} introductions a second through, with a burst of ${introLimitBurst}: \`HiddenServiceEnableIntroDoSDefense 1\` in each head’s torrc.

${sections(withLimit, '###', tables)}

## Without the relays’ rate limit

tor’s default. Only floods that the limit would have met; the others come to the same as above.

${sections(
  withoutLimit,
  '###',
  tables.filter(([metric]) => few.includes(metric)),
)}
`;
writeFileSync(resolve(root, values.out), page);
process.stdout.write(`written: ${values.out}\n`);
