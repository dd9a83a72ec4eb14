/** The transport over a Redis server, without the engine. Enter at `createRedisTransport`. */
import type { Transport } from '../../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import {
  formatEndpoint,
  openRedis,
  openToEverybody,
  type Clock,
  type Endpoint,
  type Log,
  type OpenRedis,
  type RedisLink,
  type Store,
  type Timer,
} from '../../../core/runtime/index.ts';
import { createListeners, datagramBytes, refuseTooLarge, type OpenTransport } from '../common.ts';
import { decodeFrame, encodeFrame, isNodeName } from './frame.ts';
import { readSeen, writeSeen } from './seen.ts';

const scheme = 'redis:';
const seenIntervalMs = 30_000;
const seenForMs = 120_000;
/** Members whose endpoints are looked up. */
const maximumMembers = 256;
const maximumSecretBytes = 65_536;

export interface RedisTransportOptions {
  readonly node: string;
  readonly server: Endpoint;
  /** What the names of channels and keys begin with. */
  readonly prefix: string;
  readonly username?: string | undefined;
  readonly passwordPath?: string | undefined;
  /** Undefined: no TLS. */
  readonly tls?:
    | {
        readonly caPath?: string | undefined;
        readonly certificatePath?: string | undefined;
        readonly keyPath?: string | undefined;
        readonly serverName?: string | undefined;
      }
    | undefined;
  /** This node's endpoints on all its transports, kept for the others. */
  readonly endpoints?: () => readonly string[];
}

export interface RedisTransportRuntime {
  readonly clock: Clock;
  readonly store: Store;
  readonly log: Log;
}

export function createRedisTransport(
  runtime: RedisTransportRuntime,
  options: RedisTransportOptions,
  connect: OpenRedis = openRedis,
): OpenTransport {
  const { clock, store, log } = runtime;
  const { node, server, prefix } = options;
  const listeners = createListeners(log, datagramBytes);
  const endpoint = `${scheme}${node}`;
  const channelOf = (name: string): string => `${prefix}:mesh:${name}`;
  const seenKeyOf = (name: string): string => `${prefix}:seen:${name}`;
  let link: RedisLink | undefined;
  let members: readonly string[] = [];
  let seen: ReadonlyMap<string, readonly string[]> = new Map();
  let timer: Timer | undefined;
  let told: boolean | undefined;
  let closed = false;

  /** Tells where this node is, and looks where the others are. */
  const refresh = async (): Promise<void> => {
    timer?.cancel();
    if (closed) return;
    timer = clock.after(seenIntervalMs, () => void refresh());
    link?.keep(seenKeyOf(node), writeSeen(options.endpoints?.() ?? [endpoint]), seenForMs);
    const asked = members;
    const values = (await link?.recall(asked.map(seenKeyOf))) ?? [];
    const found = asked.map((name, index) => [name, readSeen(values[index])] as const);
    // What Redis has lost is still better than nothing.
    seen = new Map([...seen, ...found.filter(([, endpoints]) => endpoints.length > 0)].slice(-maximumMembers));
  };

  const changed = (up: boolean, why: string): void => {
    if (closed) return;
    if (told !== up) {
      const where = { server: formatEndpoint(server) };
      if (up) log.info('connected to Redis', where);
      else log.warn('no connection to Redis; all goes on without it', { ...where, why });
    }
    told = up;
    if (up) void refresh();
  };

  const transport: Transport = {
    endpoint,
    maximumBytes: datagramBytes,
    send: (to, bytes) => {
      refuseTooLarge(bytes, datagramBytes);
      const name = to.startsWith(scheme) ? to.slice(scheme.length) : '';
      if (!closed && isNodeName(name) && bytes.length > 0) link?.publish(channelOf(name), encodeFrame(node, bytes));
    },
    onMessage: listeners.onMessage,
    admit: (peers) => {
      const names = peers.map((peer) => peer.node).filter((name) => name !== node && isNodeName(name));
      const others = names.slice(0, maximumMembers);
      if (others.join(' ') === members.join(' ')) return;
      members = others;
      seen = new Map([...seen].filter(([name]) => others.includes(name)));
      if (link?.up) void refresh();
    },
    hints: (name) => seen.get(name) ?? [],
  };

  return {
    transport,
    open: async () => {
      const { username, passwordPath, tls } = options;
      const [password, ca, certificate, key] = await Promise.all(
        [passwordPath, tls?.caPath, tls?.certificatePath, tls?.keyPath].map((path) => readText(store, path)),
      );
      for (const path of [passwordPath, tls?.keyPath]) {
        if (path === undefined || !(await openToEverybody(store, path))) continue;
        log.warn('everybody on this machine may read a secret for Redis', { path, remedy: `chmod 600 ${path}` });
      }
      const opened = await connect({
        server,
        username,
        password: password?.replace(/\r?\n$/, ''),
        tls: tls && { ca, certificate, key, serverName: tls.serverName },
        channel: channelOf(node),
        receive: (message) => {
          const frame = closed ? undefined : decodeFrame(message);
          if (frame !== undefined) listeners.tell(`${scheme}${frame.sender}`, frame.bytes);
        },
        changed,
      });
      link = opened;
      if (closed) await opened.close();
      else if (opened.up) void refresh();
    },
    close: async () => {
      closed = true;
      timer?.cancel();
      await link?.close();
    },
  };
}

async function readText(store: Store, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let why = 'there is no such file';
  try {
    const bytes = await store.read(path, maximumSecretBytes);
    if (bytes !== undefined) return Buffer.from(bytes).toString('utf8');
  } catch (error) {
    why = messageOf(error);
  }
  throw new ChimeraError('REDIS_CREDENTIALS', `${path} cannot be read: ${why}`, {
    remedy: 'check the paths in [redis], and that the user that runs Chimera may read them',
  });
}
