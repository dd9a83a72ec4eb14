/** `chimera matrix`: which head is live when, over a day, before anything runs. */
import { Option } from 'commander';
import { resolve } from 'node:path';
import { rouletteOptions, turnOptionsOf } from '../../../plugins/roulette/index.ts';
import { loadStrategy } from '../../../plugins/strategy/index.ts';
import { presets } from '../../../presets/index.ts';
import { strategies } from '../../../strategies/index.ts';
import { rouletteStrategy } from '../../../strategies/roulette.ts';
import {
  checkConfig,
  loadConfig,
  presetDefaults,
  presetPlugins,
  switchPlugins,
  type Preset,
} from '../../config/index.ts';
import { ChimeraError, messageOf } from '../../errors.ts';
import { project, type RotationStrategy } from '../../pipeline/index.ts';
import { derivedRandom } from '../../runtime/index.ts';
import type { CommandContext, RegisterCommand } from '../context.ts';
import { matrixHtml } from '../matrix/html.ts';
import { matrixOf, type MatrixBy } from '../matrix/model.ts';
import { matrixText } from '../matrix/text.ts';
import { addExample, jsonOption, unixSeconds, wholeNumber } from '../options.ts';

interface Options {
  readonly config?: string;
  readonly preset?: string;
  readonly strategy?: string;
  readonly heads: number;
  readonly points: number;
  readonly places: number;
  readonly hours: number;
  readonly seed: string;
  readonly by: MatrixBy;
  readonly from?: number;
  readonly json?: true;
  readonly html?: string;
}

const narrowest = 40;
const usualColumns = 100;

type Table = Readonly<Record<string, unknown>>;
const tableOf = (value: unknown): Table => (typeof value === 'object' && value !== null ? (value as Table) : {});

/** A shipped strategy by its name with the options of a table, or a module by its path. */
async function named(name: string, options: Table, directory: string, file: string): Promise<RotationStrategy> {
  const known = strategies.get(name);
  if (known !== undefined) return known.create(checkConfig(known.options, options, file));
  if (/[./]/.test(name)) return loadStrategy(resolve(directory, name), options);
  throw new ChimeraError('CLI_USAGE', `there is no strategy ${name}`, {
    remedy: `name one of ${[...strategies.keys()].join(', ')}, or the path of a module with one of your own`,
  });
}

/** A strategy, and what a timetable of it leaves out. */
interface Shown {
  readonly strategy: RotationStrategy;
  readonly note?: string;
}

const inPanic = 'panic mode (chimera panic on); until then hydra decides, which is reactive: no timetable';
const notes: Readonly<Record<string, string>> = {
  hydra:
    'hydra is reactive: no timetable. A quarter of the heads rest (hydra.spares), a besieged one gives way to one of them, and so does each after some hours (hydra.age_secs); shown is a cluster in which all are live',
  reactive: 'reactive: no timetable. A besieged head leaves until it is calm; shown is a day without a siege',
};
const withNote = (strategy: RotationStrategy, of: string): Shown => {
  const note = notes[of];
  return note === undefined ? { strategy } : { strategy, note };
};

/** The plugins of a preset with what the configuration adds and removes, by name. */
function pluginNames(preset: Preset, switches: Table): string[] {
  const listOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  const add = listOf(switches.add).map((name) => ({ name }));
  return switchPlugins<{ readonly name: string }>(presetPlugins(preset), { add, remove: listOf(switches.remove) }).map(
    ({ name }) => name,
  );
}

/** By --strategy, else by the preset and the tables of the configuration. */
async function strategyOf({ config, preset: presetName, strategy, heads }: Options): Promise<Shown> {
  const directory = process.cwd();
  const loaded =
    strategy === undefined || config !== undefined
      ? await loadConfig(config, directory)
      : { file: undefined, directory, value: {} };
  const value = tableOf(loaded.value);
  const { file, ...own } = tableOf(value.strategy);
  const where = loaded.file ?? 'the defaults';
  if (strategy !== undefined) return withNote(await named(strategy, own, directory, where), strategy);
  const wanted = presetName ?? value.preset ?? 'stable';
  const preset = typeof wanted === 'string' ? presets.get(wanted) : undefined;
  if (preset === undefined) {
    throw new ChimeraError('CLI_USAGE', `there is no preset ${JSON.stringify(wanted)}`, {
      remedy: `choose one of ${[...presets.keys()].join(', ')}`,
    });
  }
  const plugins = pluginNames(preset, tableOf(value.plugins));
  const defaults = presetDefaults(preset);
  if (plugins.includes('roulette')) {
    const table = { ...defaults.roulette, ...tableOf(value.roulette) };
    const turn = turnOptionsOf(checkConfig(rouletteOptions, table, where), heads);
    return { strategy: rouletteStrategy.create(turn), note: inPanic };
  }
  const hydra = plugins.includes('hydra') ? 'hydra' : undefined;
  if (typeof file === 'string') return withNote(await named(file, own, loaded.directory, where), hydra ?? '');
  const name = plugins.find((one) => one.startsWith('strategy/'))?.slice('strategy/'.length) ?? 'stable';
  return withNote(await named(name, { ...defaults.strategy, ...own }, directory, where), hydra ?? name);
}

async function writeHtml({ runtime, output }: CommandContext, path: string, text: string): Promise<void> {
  try {
    await runtime.store.write(path, text, 0o644);
  } catch (error) {
    throw new ChimeraError('CLI_FILE', `${path} cannot be written: ${messageOf(error)}`, {
      remedy: 'name a file in a directory that this user may write',
      cause: error,
    });
  }
  output.note(`written: ${path}`);
}

export const registerMatrix: RegisterCommand = (program, context) => {
  const command = program
    .command('matrix')
    .summary('show which head is live when')
    .description(
      'Asks the strategy of the configuration, or a named one, for a day of a calm cluster, and prints who is live in each hour, ' +
        'how many introduction points that shows, and what it costs. Nothing runs; the real plan depends on the service’s secret seed.',
    )
    .option('-c, --config <file>', 'the configuration whose strategy is shown (default: as for `run`)')
    .option('-p, --preset <name>', `a preset: ${[...presets.keys()].join(', ')}`)
    .option('-s, --strategy <name>', `a strategy: ${[...strategies.keys()].join(', ')}, or the path of a module`)
    .option('--heads <n>', 'heads of the cluster', wholeNumber(1, 1_000), 6)
    .option('--points <n>', 'introduction points of each head', wholeNumber(1, 20), 3)
    .option('--places <n>', 'introduction points of a descriptor (publish.max_intro_points)', wholeNumber(1, 20), 20)
    .option('--hours <n>', 'how long', wholeNumber(1, 168), 24)
    .addOption(new Option('--by <what>', 'one row for each').choices(['head', 'point']).default('head'))
    .option('--seed <text>', 'another seed shows another plan', 'matrix')
    .option('--from <unix>', 'when it begins (default: now)', unixSeconds)
    .option('--html <file>', 'write a page without scripts as well')
    .addOption(jsonOption());
  addExample(
    command,
    'chimera matrix --strategy roulette --heads 6',
    'chimera matrix --config chimera.toml --heads 40 --html matrix.html',
  );
  command.action(async (options: Options) => {
    const { output, runtime, terminal } = context;
    const { strategy, note } = await strategyOf(options);
    const projection = project(
      strategy,
      {
        heads: options.heads,
        pointsPerHead: options.points,
        maximumIntroPoints: options.places,
        nowMs: options.from === undefined ? runtime.clock.now() : options.from * 1_000,
        seed: options.seed,
      },
      { hours: options.hours, random: derivedRandom(options.seed, 'matrix') },
    );
    const matrix = matrixOf(strategy.name, projection, options.by, note);
    if (options.html !== undefined) await writeHtml(context, options.html, matrixHtml(matrix));
    if (options.json) output.json(matrix);
    else {
      const columns = Math.max(narrowest, terminal.columns ?? usualColumns);
      for (const line of matrixText(matrix, columns)) output.line(line);
    }
  });
};
