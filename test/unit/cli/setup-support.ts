/** What the tests of `chimera init` and `chimera join` share: runs in this process, on a store in memory, and a member to join. */
import { parse as parseToml } from 'smol-toml';
import type { CommandContext } from '../../../core/cli/context.ts';
import { registerInit } from '../../../core/cli/commands/init.ts';
import { registerJoin } from '../../../core/cli/commands/join.ts';
import { resolveConfig } from '../../../core/config/index.ts';
import type { AdmittedNode, Roster } from '../../../core/engine/index.ts';
import { silentLog, systemNet, systemRuntime, type Runtime, type Store } from '../../../core/runtime/index.ts';
import { createClusterSecrets, readClusterSecrets, readNodeKey } from '../../../plugins/identity/index.ts';
import { createBook } from '../../../plugins/join/index.ts';
import { createDoorAnswer } from '../../../plugins/join/member.ts';
import { admitInto, foundRoster } from '../../../plugins/mesh/roster.ts';
import { plugins } from '../../../plugins/index.ts';
import { createDoor } from '../../../plugins/proxy/index.ts';
import { presets } from '../../../presets/index.ts';
import type { MemoryStore } from '../../kit/sim/memory-store.ts';
import { runCli, type CliRun } from './support.ts';

/** Of the publisher in the cluster that is joined. */
export const epoch = 42;
export const passphrase = 'six random words make a passphrase';
export const secrets: CommandContext['secrets'] = {
  prompt: async () => Buffer.from(passphrase),
  descriptor: async () => Buffer.from(passphrase),
};
export const commands = [registerInit, registerJoin];

/** A store that fails for good before its `limit`-th change: a full disk, or a process that was killed. */
export function failingAfter(store: Store, limit: number, code = 'ENOSPC'): Store {
  let left = limit;
  const change =
    <Args extends unknown[]>(work: (...args: Args) => Promise<void>) =>
    async (...args: Args): Promise<void> => {
      if (left-- <= 0) throw Object.assign(new Error(`${code}: no`), { code });
      return work(...args);
    };
  return {
    ...store,
    write: change((path: string, data: Uint8Array | string, mode?: number) => store.write(path, data, mode)),
    makeDirectory: change((path: string, mode?: number) => store.makeDirectory(path, mode)),
  };
}

export const run = (args: readonly string[], store: Store, more: Partial<Runtime> = {}): Promise<CliRun> =>
  runCli(args, { commands, secrets, runtime: { ...systemRuntime(), store, ...more } });
export const text = async (store: Store, path: string): Promise<string> =>
  Buffer.from((await store.read(path)) ?? []).toString();
export const resolved = async (store: Store, directory: string) =>
  resolveConfig(
    { file: `${directory}/chimera.toml`, directory, value: parseToml(await text(store, `${directory}/chimera.toml`)) },
    { presets, plugins },
  );

/** The member that a directory of `chimera init` makes, founded at `endpoints`; `open` opens its door on loopback. */
export async function member(
  store: MemoryStore,
  directory: string,
  address: string | undefined,
  endpoints: readonly string[] = [],
) {
  const runtime = systemRuntime();
  const state = `${directory}/state`;
  const identity = await readNodeKey(store, `${state}/node_key`);
  const current = await readClusterSecrets(store, `${state}/cluster_secrets`);
  const book = createBook({ ...runtime, store, stateDirectory: state });
  await book.load();
  const members = foundRoster(identity, endpoints);
  const admitted = (): AdmittedNode[] => members.nodes().map((node) => members.get(node) as AdmittedNode);
  const roster = {
    founder: identity.node,
    admitted,
    admit: (keys, endpoints) => admitInto(members, identity, keys, endpoints),
    entries: () => members.encode(),
  } as Partial<Roster> as Roster;
  const answer = createDoorAnswer({
    identity,
    roster,
    book,
    channel: undefined,
    secrets: createClusterSecrets(
      () => current,
      async () => undefined,
    ),
    random: runtime.random,
    log: silentLog,
    address: () => address,
    epoch: () => epoch,
  });
  return { nodes: admitted, entries: () => members.encode(), current, answer };
}

export async function open(answer: ReturnType<typeof createDoorAnswer>) {
  const door = createDoor({ clock: systemRuntime().clock, log: silentLog, answer: () => answer });
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => undefined);
    void door.serve(stream, new Uint8Array(0));
  });
  const { port } = listener.endpoint as { port: number };
  return { port, close: () => listener.close() };
}
