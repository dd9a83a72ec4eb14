/** `chimera run`: one node, until it is told to stop. SIGHUP publishes at once, SIGINT and SIGTERM stop within two seconds. */
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';
import { loadConfig, resolveConfig, type ResolvedConfig } from '../../config/index.ts';
import type { Engine } from '../../engine/index.ts';
import { createLog, type Runtime } from '../../runtime/index.ts';
import type { RegisterCommand } from '../context.ts';
import { createNode, logResult } from '../node.ts';
import type { Terminal } from '../terminal.ts';
import { textLine } from '../text-log.ts';

interface RunOptions {
  readonly config?: string;
  readonly preset?: string;
}

/** Longer than the engine's own limits for work in progress and for releases together. */
const stopLimitMs = 1_900;

/** The runtime with the log that the configuration asks for, on standard error. */
function withLog(runtime: Runtime, { core }: ResolvedConfig, terminal: Terminal): Runtime {
  const write = (line: string): void => terminal.writeError(core.log.format === 'text' ? textLine(line) : line);
  return { ...runtime, log: createLog({ write }, core.log.level, () => runtime.clock.now()) };
}

/** Resolves when a signal asks to stop. */
function untilStopped(engine: Engine): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve(name));
    process.on('SIGHUP', () => engine.signal('operator', { why: 'SIGHUP' }));
  });
}

export const registerRun: RegisterCommand = (program, context) => {
  program
    .command('run')
    .summary('run a node')
    .description(
      'Runs a node until it is stopped: sets up its heads, takes part in the election, publishes when elected.',
    )
    .option(
      '-c, --config <file>',
      'configuration: .toml, .yaml, .json, .js or .mjs (default: ./chimera.toml …, then /etc/chimera)',
    )
    .option('-p, --preset <name>', `preset: ${[...presets.keys()].join(', ')}`)
    .addHelpText('after', '\nExample:\n  chimera run --config /etc/chimera/chimera.toml')
    .action(async ({ config, preset }: RunOptions) => {
      const resolved = await resolveConfig(await loadConfig(config, process.cwd()), { presets, plugins }, preset);
      const runtime = withLog(context.runtime, resolved, context.terminal);
      const engine = createNode(resolved, runtime);
      engine.onResult((result) => logResult(runtime.log, result));
      const stopped = untilStopped(engine);
      const starting = engine.start();
      starting.catch(() => undefined);
      const name = await Promise.race([starting.then(() => stopped), stopped]);
      runtime.log.info('stopping', { signal: name });
      await Promise.race([engine.stop(), runtime.clock.sleep(stopLimitMs)]);
      process.exit(0);
    });
};
