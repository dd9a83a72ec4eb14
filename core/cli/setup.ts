/**
 * Setting up a node's directory, for `chimera init` and `chimera join`. Every file is written whole or not at all, the
 * configuration last: while there is none the set-up is not finished, and doing it again goes on where it ended, with the
 * keys that are there already. No file is ever written over.
 */
import { resolve } from 'node:path';
import { createNodeKey, readNodeKey } from '../../plugins/identity/index.ts';
import { readInternetEndpoint } from '../../plugins/transport/common.ts';
import { defaultListenPort, prepareTunnel } from '../../plugins/transport/wireguard/index.ts';
import type { NodeIdentity } from '../engine/index.ts';
import { ChimeraError, messageOf } from '../errors.ts';
import { formatEndpoint, removeUnfinished, type Endpoint } from '../runtime/index.ts';
import type { CommandContext } from './context.ts';

export interface Place {
  readonly directory: string;
  readonly state: string;
  readonly config: string;
}

/** What the operator may say of the node itself; its own words in the configuration. */
export interface NodeSettings {
  readonly tor: Endpoint;
  readonly target: string;
  readonly virtualPort: number;
  readonly bind?: readonly string[];
  /** Where the others reach this node: by UDP, or by WireGuard. */
  readonly advertise?: string;
  /** Instead of UDP. */
  readonly wireguard: boolean;
}

/** What differs between the configurations: where the master key is, and the plugins for that beside the preset's. */
export interface SignerSettings {
  readonly lines: readonly string[];
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}

const readableByAll = 0o644;

export function placeOf(directory: string): Place {
  const whole = resolve(directory);
  return { directory: whole, state: `${whole}/state`, config: `${whole}/chimera.toml` };
}

function cannotWrite(path: string, error: unknown): ChimeraError {
  const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
  return new ChimeraError('CLI_FILE', `${path} cannot be written: ${messageOf(error)}`, {
    remedy: full
      ? 'make room on the disk, and run the command again: it goes on where it ended'
      : 'name a directory that this user may write, and run the command again: it goes on where it ended',
    cause: error,
  });
}

/** Runs a step that writes `path`; a failure of the disk becomes CLI_FILE. */
export async function writing<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof ChimeraError) throw error;
    throw cannotWrite(path, error);
  }
}

/**
 * Makes the directories, and takes away what an interrupted write left. Rejects with SETUP_EXISTS when a node has been set
 * up there, or CLI_FILE.
 */
export async function prepare({ runtime }: CommandContext, { directory, state, config }: Place): Promise<void> {
  const { store } = runtime;
  await writing(directory, async () => {
    if ((await store.mode(config)) !== undefined) {
      throw new ChimeraError('SETUP_EXISTS', `${config} is there already: a node has been set up here`, {
        remedy: `run it with "chimera run --config ${config}", or name another directory`,
      });
    }
    await store.makeDirectory(directory, 0o755);
    await store.makeDirectory(state, 0o700);
    const mode = (await store.mode(state)) ?? 0;
    if ((mode & 0o077) !== 0) {
      throw new ChimeraError('CLI_FILE', `${state} has mode ${mode.toString(8)}: others could read the node’s keys`, {
        remedy: `chmod 700 ${state}, or name another directory`,
      });
    }
    await removeUnfinished(store, state);
  });
}

/** The node's key: that of an interrupted set-up, or a new one. */
export async function nodeKeyIn({ runtime }: CommandContext, { state }: Place): Promise<NodeIdentity> {
  const path = `${state}/node_key`;
  if ((await runtime.store.mode(path)) !== undefined) return readNodeKey(runtime.store, path);
  return createNodeKey(runtime.store, path, runtime.random);
}

/**
 * The endpoint of the node's tunnel, with the public half of its key; undefined without --wireguard. The key is made, unless an
 * interrupted set-up has. Rejects with WIREGUARD_KEY or CLI_FILE.
 */
export async function tunnelIn(
  { runtime }: CommandContext,
  { state }: Place,
  { wireguard, advertise }: NodeSettings,
): Promise<string | undefined> {
  if (!wireguard) return undefined;
  const outer = advertise === undefined ? undefined : readInternetEndpoint(advertise);
  return writing(`${state}/wireguard`, () => prepareTunnel(runtime, state, outer));
}

/** Writes the configuration: the last step. */
export async function writeConfig({ runtime }: CommandContext, { config }: Place, text: string): Promise<void> {
  await writing(config, () => runtime.store.write(config, text, readableByAll));
}

/** A TOML basic string: JSON's escapes are among TOML's. */
const quoted = (text: string): string => JSON.stringify(text);

const list = (names: readonly string[]): string => `[${names.map(quoted).join(', ')}]`;

/** The table of the transport. */
function transportLines({ bind, advertise, wireguard }: NodeSettings): readonly string[] {
  const port = advertise === undefined ? undefined : readInternetEndpoint(advertise)?.port;
  return [
    ...(wireguard
      ? [
          '[wireguard]',
          '# Where the other nodes reach this one: let UDP in at this port. The key is in the state directory.',
          `listen_port = ${port ?? defaultListenPort}`,
        ]
      : [
          '[udp]',
          '# Where the other nodes reach this one: let UDP in at this port.',
          `bind = ${list(bind ?? ['0.0.0.0:7411', '[::]:7411'])}`,
        ]),
    advertise === undefined
      ? `# Behind NAT, the address that others see: advertise = "192.0.2.1:${wireguard ? defaultListenPort : 7411}"`
      : `advertise = ${quoted(advertise)}`,
  ];
}

function pluginLines(add: readonly string[], remove: readonly string[]): readonly string[] {
  return add.length === 0 ? [] : ['[plugins]', `add = ${list(add)}`, `remove = ${list(remove)}`, ''];
}

/** The configuration of a node of a cluster. */
export function configText(
  command: string,
  { state }: Place,
  identity: NodeIdentity,
  { lines, add = [], remove = [] }: SignerSettings,
  settings: NodeSettings,
): string {
  const { tor, target, virtualPort, wireguard } = settings;
  return `${[
    `# Made by "${command}". Every setting and its default: docs/configuration.md.`,
    'preset = "cluster"',
    '',
    ...pluginLines(
      [...(wireguard ? ['transport/wireguard'] : []), ...add],
      [...(wireguard ? ['transport/udp'] : []), ...remove],
    ),
    '[node]',
    '# A name for people; the node’s id derives from its key.',
    `id = ${quoted(`node-${identity.node.slice(0, 4)}`)}`,
    '# Keys, state and the admin socket. Nobody else may read it.',
    `state_directory = ${quoted(state)}`,
    '',
    ...lines,
    '',
    '[tor]',
    '# ControlPort or ControlSocket of the tor on this machine.',
    `control = ${quoted(formatEndpoint(tor))}`,
    '',
    '# Starts tor again when it has died or hangs, which otherwise is only written down (chimera status, state/repair.log).',
    '# To have it, remove the # of the next two lines; the user that runs Chimera must be allowed to: plugins/repair/README.md.',
    '# [[repair.tors]]',
    '# unit = "tor@default.service"',
    '',
    '[heads]',
    '# The port that clients ask for, and where your service listens on this machine.',
    `virtual_port = ${virtualPort}`,
    `target = ${quoted(target)}`,
    '',
    ...transportLines(settings),
  ].join('\n')}\n`;
}
