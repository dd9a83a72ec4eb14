/**
 * The WireGuard interface of a node: made at the start, removed at the stop, and at the next start where a crash left it. An
 * interface is this node's when its alias has this node's public key; any other of that name is left alone.
 */
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { writeStateFile, type ChildProcess, type Log, type Store } from '../../../core/runtime/index.ts';
import { tunnelPrefixLength } from './address.ts';
import { commandFailed, runCommand, startProgram, tryCommand, type CommandRuntime } from './commands.ts';

export type Implementation = 'auto' | 'kernel' | 'wireguard-go';

export interface InterfaceOptions {
  readonly name: string;
  readonly listenPort: number;
  /** This node's address in the tunnel. */
  readonly address: string;
  /** base64, as `wg` reads it. */
  readonly privateKey: string;
  readonly publicKey: string;
  readonly implementation: Implementation;
  /** Remembers which interface is being made, to know it after a crash in between. Undefined: the alias alone tells. */
  readonly statePath: string | undefined;
}

export interface Interface {
  /** Adds, changes and removes peers: words behind `wg set INTERFACE`. */
  set(words: readonly string[]): Promise<void>;
  /** Settles when the interface is gone without having been closed: its wireguard-go has ended. */
  readonly lost: Promise<string>;
  close(): Promise<void>;
}

/** Only the mesh's datagrams pass: 1,232 bytes and their headers, which leaves the most room on any path outside. */
const mtu = '1280';
const upPollMs = 20;
const upTries = 250;
/** A wireguard-go that ends before its interface is there is started anew, this often in all. */
const starts = 3;
const goneTries = 25;
const socketDirectory = '/var/run/wireguard';

interface Link {
  readonly ifalias?: string;
}

/** What `ip` says of an interface; undefined when there is none. */
async function findLink(runtime: CommandRuntime, name: string): Promise<Link | undefined> {
  const { code, output } = await tryCommand(runtime, 'ip', ['-json', 'link', 'show', 'dev', name]);
  if (code !== 0) return undefined;
  try {
    return (JSON.parse(output) as Link[])[0];
  } catch {
    return {};
  }
}

const aliasOf = (publicKey: string): string => `chimera ${publicKey}`;

/** Removes what an earlier process of this node left behind. Throws WIREGUARD_TAKEN for an interface that is another's. */
async function removeLeftover(
  runtime: CommandRuntime & { readonly store: Store; readonly log: Log },
  { name, publicKey, statePath }: InterfaceOptions,
): Promise<void> {
  const made = statePath === undefined ? undefined : await remembers(runtime, statePath);
  const remembered = made === undefined ? undefined : Buffer.from(made).toString('utf8').trim();
  for (const known of new Set([
    name,
    ...(remembered !== undefined && isInterfaceName(remembered) ? [remembered] : []),
  ])) {
    const link = await findLink(runtime, known);
    if (link === undefined) continue;
    const ours = link.ifalias === aliasOf(publicKey) || (link.ifalias === undefined && known === remembered);
    if (ours) {
      runtime.log.info('removing the interface that an earlier process left', { interface: known });
      await runCommand(runtime, 'ip', ['link', 'delete', 'dev', known]);
      await waitForSocket(runtime, known);
    } else if (known === name) {
      throw new ChimeraError('WIREGUARD_TAKEN', `the interface ${name} exists and is not of this node`, {
        remedy: `choose another name (wireguard.interface), or remove it: ip link delete dev ${name}`,
      });
    }
  }
}

/** Without it the alias alone tells what is this node's: a crash between the making and the alias leaves an interface. */
async function remembers(
  { store, log }: { readonly store: Store; readonly log: Log },
  path: string,
): Promise<Uint8Array | undefined> {
  try {
    return await store.read(path, 256);
  } catch (error) {
    log.warn('which interface an earlier process made cannot be read', { path, error });
    return undefined;
  }
}

/**
 * A wireguard-go that ends removes its socket by its path: it must be gone before another is at that path. One that was
 * killed leaves the socket, which harms nobody.
 */
async function waitForSocket(
  { clock, store }: CommandRuntime & { readonly store: Store },
  name: string,
): Promise<void> {
  for (let tries = 0; tries < goneTries; tries++) {
    if (!(await hasSocket(store, name))) return;
    await clock.sleep(upPollMs);
  }
}

const hasSocket = async (store: Store, name: string): Promise<boolean> =>
  (await store.list(socketDirectory)).includes(`${name}.sock`);

/** What Linux takes as an interface's name. */
export function isInterfaceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name);
}

/** Makes the interface and brings it up, without peers. Rejects with a coded error, and then nothing is left. */
export async function openInterface(
  runtime: CommandRuntime & { readonly store: Store; readonly log: Log },
  options: InterfaceOptions,
): Promise<Interface> {
  const { name, listenPort, address, privateKey, publicKey, statePath } = options;
  const { store, log } = runtime;
  await removeLeftover(runtime, options);
  if (statePath !== undefined) await writeStateFile(store, statePath, `${name}\n`);
  let child: ChildProcess | undefined;
  let closed = false;
  const remove = async (): Promise<void> => {
    closed = true;
    // wireguard-go ends by itself when its interface goes, and the interface when wireguard-go does.
    const { code, output } = await tryCommand(runtime, 'ip', ['link', 'delete', 'dev', name]);
    child?.kill();
    if (child !== undefined) await waitForSocket(runtime, name);
    if (code !== 0 && (await findLink(runtime, name)) !== undefined) log.warn('the interface stays', { output });
    else if (statePath !== undefined) await store.remove(statePath);
  };
  try {
    child = await create(runtime, options);
    await runCommand(runtime, 'ip', ['link', 'set', 'dev', name, 'alias', aliasOf(publicKey), 'mtu', mtu]);
    const port = String(listenPort);
    // `wg` opens the key as a file: standard input must be a pipe, which a child's socket pair is not.
    const setKey = 'cat | wg set "$0" listen-port "$1" private-key /dev/stdin';
    await runCommand(runtime, 'sh', ['-c', setKey, name, port], `${privateKey}\n`);
    const own = `${address}/${tunnelPrefixLength}`;
    await runCommand(runtime, 'ip', ['-6', 'address', 'add', own, 'dev', name, 'nodad']);
    await runCommand(runtime, 'ip', ['link', 'set', 'dev', name, 'up']);
  } catch (error) {
    await remove().catch((failure: unknown) => log.warn('the interface stays', { why: messageOf(failure) }));
    throw error;
  }
  const process = child;
  return {
    set: async (words) => void (await runCommand(runtime, 'wg', ['set', name, ...words])),
    lost: new Promise((resolve) => {
      void process?.ended.then(() => {
        if (!closed) resolve(process.output().trim().slice(-500));
        return undefined;
      });
    }),
    close: remove,
  };
}

/** The interface by the kernel's module, or by wireguard-go, which then runs as long as the interface. */
async function create(
  runtime: CommandRuntime & { readonly store: Store },
  { name, implementation }: InterfaceOptions,
): Promise<ChildProcess | undefined> {
  if (implementation !== 'wireguard-go') {
    const { code, output } = await tryCommand(runtime, 'ip', ['link', 'add', 'dev', name, 'type', 'wireguard']);
    if (code === 0) return undefined;
    const denied = /not permitted/i.test(output);
    if (implementation === 'kernel' || denied) throw commandFailed(`ip link add dev ${name} type wireguard`, output);
  }
  return startUserspace(runtime, name);
}

/**
 * Starts wireguard-go; resolves when its interface answers. `wg` removes a socket that refuses it, as that of a wireguard-go does for a
 * moment after it has come, and wireguard-go ends by that. So `wg` asks a turn after the socket has come, and if it ends all the same
 * another is started.
 */
async function startUserspace(
  runtime: CommandRuntime & { readonly store: Store },
  name: string,
): Promise<ChildProcess> {
  const { clock, store } = runtime;
  for (let start = 1; ; start++) {
    // One that was killed has left it: it would be taken for that of the next.
    await store.remove(`${socketDirectory}/${name}.sock`);
    const child = await startProgram(runtime, 'wireguard-go', ['--foreground', name], { LOG_LEVEL: 'error' });
    const ended = child.ended.then(() => true);
    let isThere = false;
    let hasEnded = false;
    for (let tries = 0; tries < upTries && !hasEnded; tries++) {
      if (isThere && (await tryCommand(runtime, 'wg', ['show', name, 'listen-port'])).code === 0) return child;
      isThere = await hasSocket(store, name);
      hasEnded = (await Promise.race([ended, clock.sleep(upPollMs)])) === true;
    }
    child.kill();
    if (!hasEnded || start === starts) throw commandFailed(`wireguard-go ${name}`, child.output());
  }
}
