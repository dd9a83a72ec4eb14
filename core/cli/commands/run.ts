/** `chimera run`: one node, until it is told to stop. SIGHUP publishes at once, SIGINT and SIGTERM stop within two seconds, and at once when they come again. */
import { constants } from 'node:os';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';
import { loadConfig, resolveConfig, type ResolvedConfig } from '../../config/index.ts';
import type { Engine } from '../../engine/index.ts';
import { createLog, type Clock, type Runtime } from '../../runtime/index.ts';
import type { RegisterCommand } from '../context.ts';
import { exitCodes } from '../exit.ts';
import { createNode, logResult, nodeIdFor, warnOfOpenConfig } from '../node.ts';
import { wholeNumber } from '../options.ts';
import { vaultPassphrase } from '../passphrase.ts';
import type { Terminal } from '../terminal.ts';
import { textLine } from '../text-log.ts';

interface RunOptions {
  readonly config?: string;
  readonly preset?: string;
  readonly passphraseFd?: number;
}

/** Longer than the engine's own limits for work in progress and for releases together. */
const stopLimitMs = 1_900;

/** The runtime with the log that the configuration asks for, on standard error. */
function withLog(runtime: Runtime, { core }: ResolvedConfig, terminal: Terminal): Runtime {
  const write = (line: string): void => terminal.writeError(core.log.format === 'text' ? textLine(line) : line);
  return { ...runtime, log: createLog({ write }, core.log.level, () => runtime.clock.now()) };
}

/** Within this time a second signal is the first one again: a terminal and npm each hand on the same Ctrl-C. Milliseconds. */
const sameSignalMs = 250;

/** Aborts with the name of the signal that asks to stop; one more ends the process there and then. */
function stopSignal(clock: Clock): AbortSignal {
  const stopping = new AbortController();
  let firstAtMs = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!stopping.signal.aborted) {
        firstAtMs = clock.monotonic();
        stopping.abort(name);
      } else if (clock.monotonic() - firstAtMs > sameSignalMs) process.exit(128 + constants.signals[name]);
    });
  }
  return stopping.signal;
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
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
    .option(
      '--passphrase-fd <number>',
      'read the vault’s passphrase from this file descriptor; else from systemd’s credential, else on the terminal',
      wholeNumber(0, 65_535),
    )
    .addHelpText('after', '\nExample:\n  chimera run --config /etc/chimera/chimera.toml')
    .action(async ({ config, preset, passphraseFd }: RunOptions) => {
      const stopping = stopSignal(context.runtime.clock);
      // Unheard, it opens Node's inspector, and this process' memory, to every user of the machine.
      process.on('SIGUSR1', () => undefined);
      let engine: Engine | undefined;
      process.on('SIGHUP', () => engine?.signal('operator', { why: 'SIGHUP' }));
      const loaded = await loadConfig(config, process.cwd());
      const resolved = await resolveConfig(loaded, { presets, plugins }, preset);
      const id = await nodeIdFor(resolved, context.runtime.store);
      const runtime = withLog(context.runtime, resolved, context.terminal);
      if (id !== resolved.core.node.id) runtime.log.info('this node', { node: id, label: resolved.core.node.id });
      await warnOfOpenConfig(runtime, loaded, resolved);
      const stopped = aborted(stopping);
      // Somebody may be asked on the terminal, and not answer.
      const passphrase = await Promise.race([vaultPassphrase(context, resolved, passphraseFd), stopped]);
      if (passphrase === undefined) process.exit(exitCodes.ok);
      const plugged = { ...resolved, plugins: [...resolved.plugins, ...passphrase] };
      const node = createNode(plugged, runtime, id);
      engine = node;
      node.onResult((result) => logResult(runtime.log, result));
      if (!stopping.aborted) await Promise.race([node.start().then(() => stopped), stopped]);
      runtime.log.info('stopping', { signal: stopping.reason as string });
      await Promise.race([node.stop(), runtime.clock.sleep(stopLimitMs)]);
      process.exit(exitCodes.ok);
    });
};
