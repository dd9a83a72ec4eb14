/** `chimera simulate`: how a strategy fares against an attacker, over many seeds, before anything is deployed. */
import { resolve } from 'node:path';
import {
  alignedLines,
  attackers,
  defaultScenario,
  defences,
  findAttacker,
  findDefence,
  metricNames,
  plotLines,
  plotSvg,
  runAttacks,
  showValue,
  sparkline,
  summarize,
  tableLines,
  type AttackJob,
  type Scenario,
  type Summary,
} from '../../../test/kit/attack/index.ts';
import { ChimeraError, messageOf } from '../../errors.ts';
import { processors } from '../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { addExample, collect, jsonOption, wholeNumber } from '../options.ts';
import type { Terminal } from '../terminal.ts';

interface Options {
  readonly strategy: string;
  readonly attacker: string;
  readonly seeds: number;
  readonly firstSeed: number;
  readonly clients: number;
  readonly heads: number;
  readonly points?: number;
  readonly places: number;
  readonly hours: number;
  readonly sessions: number;
  readonly introLimit: number;
  readonly strategyOption?: readonly string[];
  readonly attackerOption?: readonly string[];
  readonly threads: number;
  readonly plot?: string;
  readonly json?: true;
  readonly list?: true;
}

interface Outcome {
  readonly strategy: string;
  readonly attacker: string;
  readonly summary: Summary;
}

/** `key=value` as a table: numbers and true or false as what they are. */
function tableOf(option: string, pairs: readonly string[] = []): Record<string, unknown> {
  const table: Record<string, unknown> = {};
  for (const pair of pairs) {
    const [, key, text = ''] = /^([a-z]\w*)=(.*)$/s.exec(pair) ?? [];
    if (key === undefined) {
      throw new ChimeraError('CLI_USAGE', `${option} ${pair}: it must be name=value`, {
        remedy: `write for example ${option} period_secs=300`,
      });
    }
    const number = text.trim() === '' ? NaN : Number(text);
    table[key] = text === 'true' || text === 'false' ? text === 'true' : Number.isNaN(number) ? text : number;
  }
  return table;
}

const barWidth = 30;

/** A bar on standard error that is painted anew, where that is a screen; nothing elsewhere. Returns what to call after each run. */
function progressOf(terminal: Terminal, all: number, now: () => number): () => void {
  if (terminal.progress !== true) return () => undefined;
  const begunMs = now();
  let done = 0;
  const paint = (): void => {
    const filled = Math.round((barWidth * done) / all);
    const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
    const seconds = (now() - begunMs) / 1_000;
    const left =
      done === 0 ? '' : `, ${seconds.toFixed(0)} s, about ${((seconds / done) * (all - done)).toFixed(0)} s left`;
    terminal.writeError(done === all ? '\r\u001b[K' : `\r\u001b[K${bar} ${done} of ${all} runs${left}`);
  };
  paint();
  return () => {
    done++;
    paint();
  };
}

/** Several pairs: one line each, and how reachability went. */
function comparison(outcomes: readonly Outcome[]): string[] {
  const columns = ['reachability', 'timeToConnectP95Ms', 'attackYield', 'publishesPerHour', 'benefit'] as const;
  const rows = [['strategy', 'attacker', ...columns, 'reachability over time']];
  for (const { strategy, attacker, summary } of outcomes) {
    const cells = columns.map((name) => {
      const figure = summary.figures[name];
      if (figure === undefined) return '–';
      return `${showValue(name, figure.mean)} ± ${showValue(name, figure.high - figure.mean)}`;
    });
    rows.push([strategy, attacker, ...cells, sparkline(summary.series, 30)]);
  }
  return alignedLines(rows);
}

function list({ output }: CommandContext): void {
  output.heading('strategies');
  output.fields([...defences.values()].map(({ name, summary }) => [name, summary]));
  output.line();
  output.heading('attackers');
  output.fields([...attackers.values()].map(({ name, summary }) => [name, summary]));
}

async function writePlot({ runtime, output }: CommandContext, path: string, text: string): Promise<void> {
  try {
    await runtime.store.write(resolve(path), text, 0o644);
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'name a file in a directory that this user may write',
      cause: error,
    });
  }
  output.note(`written: ${path}`);
}

function scenarioOf(options: Options): Partial<Scenario> {
  return {
    hours: options.hours,
    clients: options.clients,
    heads: options.heads,
    places: options.places,
    sessionsPerSecond: options.sessions,
    introLimitPerSecond: options.introLimit,
    attackAtMs: Math.min(defaultScenario.attackAtMs, options.hours * 900_000),
    ...(options.points === undefined ? {} : { pointsPerHead: options.points }),
  };
}

const namesIn = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);

async function simulate(options: Options, context: CommandContext): Promise<void> {
  const { output, runtime, terminal } = context;
  if (options.list) {
    list(context);
    return;
  }
  const scenario = scenarioOf(options);
  const pairs = namesIn(options.strategy).flatMap((strategy) =>
    namesIn(options.attacker).map((attacker) => ({ strategy, attacker })),
  );
  const common = {
    scenario,
    directory: process.cwd(),
    strategyOptions: tableOf('--strategy-option', options.strategyOption),
    attackerOptions: tableOf('--attacker-option', options.attackerOption),
  };
  const jobs = pairs.map(({ strategy, attacker }) =>
    Array.from({ length: options.seeds }, (_none, index): AttackJob => ({
      ...common,
      strategy,
      attacker,
      seed: options.firstSeed + index,
    })),
  );
  // What is wrong with a name is said before anything runs.
  for (const { strategy, attacker } of pairs) {
    await findDefence(strategy, common.strategyOptions, common.directory);
    await findAttacker(attacker, common.attackerOptions, common.directory);
  }
  const done = progressOf(terminal, pairs.length * options.seeds, () => runtime.clock.monotonic());
  const outcomes: Outcome[] = [];
  for (const [index, pair] of pairs.entries()) {
    const runs = await runAttacks(jobs[index] ?? [], { threads: options.threads, done });
    outcomes.push({ ...pair, summary: summarize(runs) });
  }

  const attackMinute = (scenario.attackAtMs ?? 0) / 60_000;
  if (options.plot !== undefined) {
    const lines = outcomes.map(({ strategy, attacker, summary }) => ({
      name: pairs.length === 1 ? strategy : `${strategy} / ${attacker}`,
      series: summary.series,
    }));
    const title = `Reachability, mean of ${options.seeds} seeds${pairs.length === 1 ? `: ${options.strategy} against ${options.attacker}` : ''}`;
    await writePlot(context, options.plot, plotSvg(title, lines, attackMinute));
  }
  if (options.json) {
    const { latency: _latency, ...size } = { ...defaultScenario, ...scenario };
    const results = outcomes.map(({ strategy, attacker, summary }) => ({
      strategy,
      attacker,
      seeds: { first: options.firstSeed, count: options.seeds },
      digest: summary.digest,
      events: summary.events,
      metrics: Object.fromEntries(metricNames.map((name) => [name, summary.figures[name] ?? null])),
      reachabilityByMinute: summary.series,
    }));
    output.json({ scenario: size, results });
    return;
  }
  const [only] = outcomes;
  if (outcomes.length > 1) for (const line of comparison(outcomes)) output.line(line);
  else if (only !== undefined) {
    const { strategy, attacker, summary } = only;
    output.heading(`${strategy} against ${attacker}`);
    output.line(
      `${options.seeds} seeds of ${options.hours} h: ${options.clients} clients, ${options.heads} heads, ${options.sessions} new sessions a second; ${summary.events} events`,
    );
    output.line();
    for (const line of tableLines(summary)) output.line(line);
    output.line();
    output.line('reachability over time, mean of all seeds');
    const columns = Math.min(100, terminal.columns ?? 100);
    for (const line of plotLines(summary.series, attackMinute, columns)) output.line(line);
  }
  output.line();
  for (const { strategy, attacker, summary } of outcomes) {
    output.line(`digest ${summary.digest.slice(0, 32)}${pairs.length > 1 ? `  ${strategy} / ${attacker}` : ''}`);
  }
}

export const registerSimulate: RegisterCommand = (program, context) => {
  const fraction = (minimum: number, maximum: number) => (text: string) => {
    const value = Number(text);
    if (!/^\d+(?:\.\d+)?$/.test(text) || value < minimum || value > maximum) {
      throw new ChimeraError('CLI_USAGE', `${text}: it must be a number from ${minimum} to ${maximum}`, {
        remedy: 'see chimera simulate --help',
      });
    }
    return value;
  };
  const command = program
    .command('simulate')
    .summary('simulate a strategy under an attack')
    .description(
      'Thousands of clients, a service with its heads, and an attacker on a virtual clock, over many seeds; the rules are those of the embedded network, without keys. Nothing is started and nothing is sent. Prints what it came to, with a plot. The same seeds give the same result.',
    )
    .option('-s, --strategy <names>', 'a strategy, several with commas, or the path of a module', 'stable')
    .option('-a, --attacker <names>', 'an attacker, several with commas, or the path of a module', 'poller')
    .option('--list', 'list strategies and attackers')
    .option('--seeds <n>', 'how many runs', wholeNumber(1, 10_000), 30)
    .option('--first-seed <n>', 'the first seed', wholeNumber(0, 1_000_000_000), 1)
    .option('--clients <n>', 'honest clients', wholeNumber(1, 1_000_000), defaultScenario.clients)
    .option(
      '--sessions <n>',
      'new sessions a second, of all clients',
      fraction(0, 1_000),
      defaultScenario.sessionsPerSecond,
    )
    .option('--heads <n>', 'heads, one on each node', wholeNumber(1, 1_000), defaultScenario.heads)
    .option(
      '--points <n>',
      'introduction points of each head (default: 2, or what the strategy needs)',
      wholeNumber(1, 20),
    )
    .option('--places <n>', 'introduction points of a descriptor', wholeNumber(1, 20), defaultScenario.places)
    .option(
      '--hours <n>',
      'how long; the attack begins after 30 min, or a quarter',
      fraction(0.1, 720),
      defaultScenario.hours,
    )
    .option(
      '--intro-limit <n>',
      'introductions a second that a relay lets through (0: all)',
      fraction(0, 100_000),
      defaultScenario.introLimitPerSecond,
    )
    .option('--strategy-option <name=value>', 'an option of the strategy; may be repeated', collect)
    .option('--attacker-option <name=value>', 'an option of the attacker; may be repeated', collect)
    .option('--threads <n>', 'runs at a time', wholeNumber(1, 256), processors())
    .option('--plot <file>', 'write reachability over time as SVG')
    .addOption(jsonOption());
  addExample(
    command,
    'chimera simulate --strategy hydra --attacker poller --seeds 30',
    'chimera simulate --strategy stable,hydra --attacker steer,pulse --plot siege.svg',
    'chimera simulate --strategy ./mine.mjs --attacker poller --attacker-option period_secs=300',
  );
  command.action((options: Options) => simulate(options, context));
};
