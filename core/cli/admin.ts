/** What the commands that speak to a running node have in common: where its admin socket is, and how it is asked. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { adminSocketPath, askNode, type AdminOptions } from '../../plugins/admin/index.ts';
import { plugins } from '../../plugins/index.ts';
import { presets } from '../../presets/index.ts';
import { loadConfig, resolveConfig } from '../config/index.ts';
import type { Json } from '../engine/index.ts';
import { ChimeraError } from '../errors.ts';
import type { CommandContext } from './context.ts';

export interface NodeOptions {
  readonly config?: string;
  readonly socket?: string;
}

/** The options of every command that speaks to a running node. */
export function addNodeOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the node’s configuration, which says where its socket is (default: as for run)')
    .option('--socket <path>', 'the node’s admin socket itself (default: admin.sock in its state directory)');
}

interface Door {
  readonly path: string;
  readonly howToStart: string;
}

/** Where the node's socket is. Rejects with CONFIG_… for a bad configuration, or CLI_USAGE when nothing says where. */
async function findSocket({ config, socket }: NodeOptions): Promise<Door> {
  if (socket !== undefined) return { path: resolve(socket), howToStart: 'chimera run' };
  const loaded = await loadConfig(config, process.cwd());
  if (loaded.file === undefined) {
    throw new ChimeraError(
      'CLI_USAGE',
      'there is no configuration here, nor in /etc/chimera, that would say where the node’s socket is',
      {
        remedy:
          'name the configuration with --config, or the socket with --socket; `chimera init` sets up a first node',
      },
    );
  }
  const resolved = await resolveConfig(loaded, { presets, plugins });
  const options = (resolved.options.get('admin') ?? {}) as AdminOptions;
  const path = adminSocketPath(options, resolved.core.node.state_directory);
  if (path !== undefined) return { path: resolve(path), howToStart: `chimera run --config ${loaded.file}` };
  throw new ChimeraError('CLI_USAGE', `${loaded.file} sets no node.state_directory, so its node has no admin socket`, {
    remedy: 'set node.state_directory, or admin.socket, and start the node again',
  });
}

/** Asks a running node; its progress goes to standard error. */
export type AskNode = (command: string, args?: { readonly [key: string]: Json }) => Promise<Json>;

/** Finds the node once; each question is a connection of its own. */
export async function nodeOf({ runtime, output }: CommandContext, options: NodeOptions): Promise<AskNode> {
  const { path, howToStart } = await findSocket(options);
  return (command, args = {}) =>
    askNode(runtime, { path, howToStart, request: { command, args }, say: (progress) => output.note(progress) });
}
