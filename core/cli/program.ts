/**
 * The frame of the command line: builds the program out of its commands, runs it, and turns whatever happened into an
 * exit code. Enter at `runProgram`.
 */
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { createTorClient } from '../../plugins/tor/index.ts';
import { nearest } from '../config/index.ts';
import { createLog, systemRuntime, systemSecretInput, type Runtime, type SecretInput } from '../runtime/index.ts';
import type { CommandContext, RegisterCommand } from './context.ts';
import { exitCodes, type ExitCode } from './exit.ts';
import { createOutput } from './output.ts';
import { systemTerminal, type Terminal } from './terminal.ts';

export interface ProgramOptions {
  readonly commands: readonly RegisterCommand[];
  /** Without the name of the program. */
  readonly arguments: readonly string[];
  readonly terminal?: Terminal;
  readonly runtime?: Runtime;
  readonly secrets?: SecretInput;
  readonly connectTor?: CommandContext['connectTor'];
}

/** The version in package.json, which lies above the sources and, in a build, one directory higher. */
async function versionOf(runtime: Runtime): Promise<string> {
  for (const directory of ['../..', '../../..']) {
    const bytes = await runtime.store.read(join(import.meta.dirname, directory, 'package.json'));
    if (bytes !== undefined) return (JSON.parse(Buffer.from(bytes).toString('utf8')) as { version: string }).version;
  }
  return 'unknown';
}

/** commander reports a missing option before it looks at mistyped ones, and so without naming the likely cause. */
function mistypedOption({ code, message }: CommanderError, args: readonly string[]): string | undefined {
  const missing = /required option '(?:-\w, )?(--[a-z-]+)/.exec(message)?.[1];
  if (code !== 'commander.missingMandatoryOptionValue' || missing === undefined) return undefined;
  const typed = args
    .filter((text) => text.startsWith('--'))
    .map((text) => text.split('=')[0] ?? '')
    .find((name) => nearest(name, [missing]) !== undefined);
  return typed && `(Did you mean ${missing} instead of ${typed}?)`;
}

/** Runs one command line. Never rejects: the outcome is the exit code, and what was printed. */
export async function runProgram(options: ProgramOptions): Promise<ExitCode> {
  const terminal = options.terminal ?? systemTerminal();
  const program = new Command('chimera');
  const debugging = (): boolean => options.arguments.includes('--debug');
  const output = createOutput(terminal, debugging);
  const real = options.runtime ?? systemRuntime();
  const log = createLog({ write: (line) => terminal.writeError(line) }, 'debug', () => real.clock.now());
  const runtime = debugging() ? { ...real, log } : real;
  const context: CommandContext = {
    runtime,
    terminal,
    secrets: options.secrets ?? systemSecretInput,
    output,
    connectTor: options.connectTor ?? ((connect) => createTorClient(runtime, connect)),
  };

  program
    .description('Several machines behind one .onion address, no single point of failure.')
    .version(await versionOf(runtime), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option('--debug', "print what happens inside, and an error's stack, on standard error")
    .showHelpAfterError('Add --help to see how the command is used.')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.writeError(text),
      getOutHasColors: () => terminal.colours,
      getErrHasColors: () => terminal.colours,
    })
    .exitOverride();
  for (const register of options.commands) register(program, context);

  try {
    await program.parseAsync([...options.arguments], { from: 'user' });
    return output.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      const meant = mistypedOption(error, options.arguments);
      if (meant !== undefined) output.note(meant);
      return ['commander.helpDisplayed', 'commander.version'].includes(error.code) ? exitCodes.ok : exitCodes.usage;
    }
    output.error(error);
    return output.exitCode;
  }
}
