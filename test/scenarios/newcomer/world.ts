/** What the newcomer's tests share: the command, an embedded Tor network on real sockets, and what an operator has before. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import {
  addressOfKey,
  blindedPublicKey,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  publicKeyOf,
  readOuter,
  timePeriodAt,
  type MasterKey,
  type OnionAddress,
} from '../../../core/onion/index.ts';
import { formatEndpoint, systemRuntime, type Endpoint } from '../../../core/runtime/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork } from '../../kit/network/embedded/index.ts';
import type { TorInstance, TorrcOptions } from '../../kit/network/network.ts';
import { buildCommand, type Command, type Ended, type LogLine, type Running } from './command.ts';

export const runtime = systemRuntime();
export type Tor = Awaited<ReturnType<EmbeddedNetwork['addTor']>>;
export type Tables = Readonly<Record<string, Readonly<Record<string, unknown>> | string>>;

/** Published, and each HSDir that clients ask has given it back. */
export const published = ({ message }: LogLine): boolean => message.startsWith('published: ');

type UploadListener = (blindedKey: string, revision: bigint, text: string) => void;

/** What running the command takes, whatever network there is. */
export interface Workplace {
  readonly command: Command;
  /** A directory of this file's tests. */
  readonly directory: string;
}

export interface World extends Workplace {
  /** Called for every descriptor that an HSDir takes. */
  readonly uploads: Set<UploadListener>;
  /** Called with the blinded key of every descriptor that an HSDir is asked for. */
  readonly fetches: Set<(blindedKey: string) => void>;
  /** What HSDirs give for a blinded key (in hexadecimal) instead of what they have. */
  readonly forgeries: Map<string, string>;
  /** Called at the end. Tests run at once, so that none can clean up by itself. */
  readonly releases: (() => Promise<unknown>)[];
  readonly network: EmbeddedNetwork;
}

/** A world for a whole file; its parts are there once the tests run. */
export function createWorld(): World {
  const world = { uploads: new Set(), fetches: new Set(), forgeries: new Map(), releases: [] } as unknown as {
    -readonly [Part in keyof World]: World[Part];
  };
  beforeAll(async () => {
    world.directory = mkdtempSync(join(tmpdir(), 'chimera-newcomer-'));
    world.command = buildCommand();
    world.network = await startEmbeddedNetwork(runtime, { latency: { bootstrapMs: [20, 60] } });
    for (const { hsdir } of world.network.relays) {
      const store = hsdir.store.bind(hsdir);
      hsdir.store = (text, now) => {
        const status = store(text, now);
        if (status !== 200) return status;
        const { blindedKey, revision } = readOuter(text);
        for (const listener of world.uploads) listener(Buffer.from(blindedKey).toString('hex'), revision, text);
        return status;
      };
      const fetch = hsdir.fetch.bind(hsdir);
      hsdir.fetch = (blindedKey, now) => {
        const name = Buffer.from(blindedKey).toString('hex');
        for (const listener of world.fetches) listener(name);
        const forgery = world.forgeries.get(name);
        return forgery === undefined ? fetch(blindedKey, now) : { status: 200, text: forgery };
      };
    }
  }, 120_000);
  afterAll(async () => {
    await world.command.remove();
    await world.network.stop();
    await Promise.all(world.releases.map((release) => release()));
    rmSync(world.directory, { recursive: true });
  });
  return world;
}

/** The names under which HSDirs keep the descriptors of an address now and in the periods beside, in hexadecimal. */
export function blindedKeysOf({ network }: World, address: OnionAddress): readonly string[] {
  const validAfter = Math.floor(runtime.clock.now() / 1_000);
  const period = timePeriodAt({ validAfter, freshUntil: validAfter + network.votingSeconds }, { testingNetwork: true });
  return [-1, 0, 1].map((step) => {
    const { number, lengthMinutes } = period;
    const key = blindedPublicKey(publicKeyOf(address), { number: number + step, lengthMinutes });
    return Buffer.from(key).toString('hex');
  });
}

let serial = 0;
const next = (): number => ++serial;

/** A tor of the network that has bootstrapped. */
export async function addTor({ network }: World, config: TorrcOptions = {}, socks = false): Promise<Tor> {
  const tor = await network.addTor({ name: `tor-${next()}`, config, socks });
  await tor.bootstrapped();
  return tor;
}

/** A directory of one test. */
export function directoryOf({ directory }: Workplace): string {
  return mkdtempSync(join(directory, 'test-'));
}

export interface Master {
  readonly key: MasterKey;
  readonly address: OnionAddress;
  readonly path: string;
}

/** A master key in a file of its own. */
export function makeMaster(world: Workplace): Master {
  const key = masterKeyFromSeed(runtime.random.bytes(32));
  const path = `${directoryOf(world)}/hs_ed25519_secret_key`;
  writeFileSync(path, encodeSecretKeyFile(key), { mode: 0o600 });
  return { key, address: addressOfKey(key.publicKey), path };
}

/** What a configuration needs at the least, with `tables` over it. */
export function tablesFor(control: Endpoint, master: Master, tables: Tables = {}): Tables {
  const base: Tables = {
    node: { id: 'node' },
    master: { identity_key_path: master.path },
    tor: { control: formatEndpoint(control) },
    log: { format: 'json', level: 'debug' },
    schedule: { retry_min_ms: 200, retry_max_ms: 1_000 },
  };
  const all: Record<string, Tables[string]> = { ...base };
  for (const [name, table] of Object.entries(tables)) {
    const below = base[name];
    all[name] = typeof table === 'string' || typeof below !== 'object' ? table : { ...below, ...table };
  }
  return all;
}

/** Writes a configuration as JSON and runs a node with it. */
export function runNode(
  world: Workplace,
  tables: Tables,
  options: Parameters<Command['start']>[1] & { readonly args?: readonly string[] } = {},
): Running {
  const file = `${directoryOf(world)}/chimera.json`;
  writeFileSync(file, JSON.stringify(tables));
  const { args = [], ...rest } = options;
  return world.command.start(['run', '-c', file, ...args], rest);
}

export interface Stopped extends Ended {
  /** From the signal to the end. */
  readonly tookMs: number;
}

/** Sends a signal and waits for the end. */
export async function stopped(node: Running, signal: NodeJS.Signals = 'SIGINT'): Promise<Stopped> {
  const begun = runtime.clock.monotonic();
  node.kill(signal);
  const ended = await node.ended;
  return { ...ended, tookMs: runtime.clock.monotonic() - begun };
}

/** `stop within two seconds`, and what a busy machine adds to the end of a process. */
export const stopLimitMs = 2_000 + 1_000;

/** What tor answers to GETCONF, asked by a controller of the test's own. */
export async function askTor<T>(
  tor: TorInstance,
  ask: (client: ReturnType<typeof createTorClient>) => Promise<T>,
): Promise<T> {
  const client = createTorClient(runtime, { control: tor.control });
  try {
    await client.ready(60_000);
    return await ask(client);
  } finally {
    await client.close();
  }
}

/** The directories of the onion services that a tor runs. */
export const servicesOf = (tor: TorInstance): Promise<readonly string[]> =>
  askTor(tor, async (client) =>
    (await client.command('GETCONF HiddenServiceOptions')).flatMap(
      (line) => /^HiddenServiceDir=(.*)$/.exec(line)?.[1] ?? [],
    ),
  );

/** The newest revision that HSDirs took of each blinded key (in hexadecimal) from now on. Calls `seen` at each. */
export function watchUploads({ uploads }: World, seen: UploadListener = () => undefined): ReadonlyMap<string, bigint> {
  const newest = new Map<string, bigint>();
  const listener: UploadListener = (blindedKey, revision, text) => {
    if (revision > (newest.get(blindedKey) ?? -1n)) newest.set(blindedKey, revision);
    seen(blindedKey, revision, text);
  };
  uploads.add(listener);
  return newest;
}

/** The error and its remedy as a command prints them: `error CODE: message` and `fix: remedy`. */
export function told(err: string): { readonly code: string; readonly message: string; readonly fix: string } {
  const match = /^error (\w+): ([\s\S]*?)\nfix: (.*)$/m.exec(err);
  if (match === null) throw new Error(`no error in two lines:\n${err}`);
  const [, code = '', message = '', fix = ''] = match;
  return { code, message, fix };
}
