/** What a command is given: the outside world, and a way to speak. */
import type { Command } from 'commander';
import type { TorClient, TorConnectOptions } from '../engine/contracts/tor.ts';
import type { Runtime, SecretInput } from '../runtime/index.ts';
import type { Output } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface CommandContext {
  readonly runtime: Runtime;
  readonly terminal: Terminal;
  /** Where passphrases come from. */
  readonly secrets: SecretInput;
  readonly output: Output;
  /** Opens a control connection that keeps itself alive; the command closes it. */
  readonly connectTor: (options: TorConnectOptions) => TorClient;
}

/** Adds a command, or a group of them, to the program. A command that fails throws, or reports by `output.error`. */
export type RegisterCommand = (program: Command, context: CommandContext) => void;
