/**
 * Redis: a bus and a small store beside the cluster. The only place that loads ioredis, which is an optional peer: whoever
 * does not use Redis does not install it. Nothing waits for Redis and nothing fails by it: what it does not take is lost.
 */
import { ChimeraError, messageOf } from '../errors.ts';
import type { Endpoint } from './net.ts';

export interface RedisOptions {
  readonly server: Endpoint;
  /** PEM texts; without `ca` the system's authorities are trusted. Undefined: no TLS. */
  readonly tls?:
    | {
        readonly ca?: string | undefined;
        readonly certificate?: string | undefined;
        readonly key?: string | undefined;
        /** The name in the server's certificate, when it is not the host that is connected to. */
        readonly serverName?: string | undefined;
      }
    | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** The channel that is listened to, over all reconnections. */
  readonly channel: string;
  readonly receive: (message: Uint8Array) => void;
  /** Called when both connections are up, and when one is not any more; `why` holds no secret. */
  readonly changed: (up: boolean, why: string) => void;
}

export interface RedisLink {
  readonly up: boolean;
  /** Sends to everybody who listens to the channel, or loses it. The bytes may be changed afterwards. */
  publish(channel: string, message: Uint8Array): void;
  /** Keeps a value for a while, or loses it. */
  keep(key: string, value: string, forMs: number): void;
  /** What is kept under each key; undefined where there is nothing or no answer. */
  recall(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  close(): Promise<void>;
}

export type OpenRedis = (options: RedisOptions) => Promise<RedisLink>;

const connectTimeoutMs = 5_000;
const commandTimeoutMs = 5_000;
/** A server that says nothing for so long, pings included, is given up. */
const silenceMs = 10_000;
const pingIntervalMs = 3_000;
const retryMaximumMs = 2_000;
/** Commands that wait for their replies; beyond, publications are lost. */
const maximumWaiting = 1_024;
/** What the server may send without a whole message in it. */
const maximumUnfinishedBytes = 1_048_576;

/** Resolves at once, connected or not. Rejects with REDIS_MISSING when ioredis is not installed. */
export const openRedis: OpenRedis = (options) => openRedisWith(() => import('ioredis'), options);

/** As openRedis, with ioredis from `load`. */
export async function openRedisWith(
  load: () => Promise<{ readonly Redis: unknown }>,
  options: RedisOptions,
): Promise<RedisLink> {
  type Library = Pick<typeof import('ioredis'), 'Redis'>;
  let library: Library;
  try {
    library = (await load()) as Library;
  } catch (error) {
    throw new ChimeraError('REDIS_MISSING', `ioredis cannot be loaded: ${messageOf(error)}`, {
      remedy: 'npm install ioredis',
      cause: error,
    });
  }
  const { server, tls, username, password, channel, receive, changed } = options;
  const open = (): InstanceType<typeof library.Redis> =>
    new library.Redis({
      ...('path' in server ? { path: server.path } : { host: server.host, port: server.port }),
      ...(tls === undefined
        ? {}
        : { tls: { ca: tls.ca, cert: tls.certificate, key: tls.key, servername: tls.serverName } }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      connectTimeout: connectTimeoutMs,
      commandTimeout: commandTimeoutMs,
      socketTimeout: silenceMs,
      retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), retryMaximumMs),
      // A datagram that is late is better lost.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      // Both take commands that an access list would have to allow.
      enableReadyCheck: false,
      disableClientInfo: true,
    });
  const [subscriber, publisher] = [open(), open()];
  const ready = new Set<typeof subscriber>();
  let waiting = 0;
  let why = 'it closed the connection';
  let up = false;
  let closed = false;

  /** A server that is none may say back what it was told. */
  const withoutSecret = (text: string): string => (password ? text.replaceAll(password, '[redacted]') : text);
  const look = (): void => {
    const now = ready.size === 2;
    if (now === up || closed) return;
    up = now;
    changed(up, up ? 'connected' : why);
  };
  const finished = new Map([subscriber, publisher].map((client) => [client, { bytes: 0 }]));
  for (const client of [subscriber, publisher]) {
    const unfinished = finished.get(client) as { bytes: number };
    client.on('error', (error: Error) => {
      // The error itself carries the command, and an AUTH carries the password.
      why = withoutSecret(error.message);
      if (!up && !closed) changed(false, why);
    });
    client.on('connect', () => {
      unfinished.bytes = 0;
      client.stream.on('data', (chunk: Uint8Array) => {
        unfinished.bytes += chunk.length;
        if (unfinished.bytes > maximumUnfinishedBytes) client.stream.destroy(new Error('it sends without an end'));
      });
    });
    client.on('close', () => {
      ready.delete(client);
      look();
    });
  }
  const heardWhole = (client: typeof subscriber): void => {
    (finished.get(client) as { bytes: number }).bytes = 0;
  };
  /** Runs a command whose failure is a loss. */
  const attempt = (client: typeof subscriber, command: () => Promise<unknown>): void => {
    if (closed || waiting >= maximumWaiting || !ready.has(client)) return;
    waiting++;
    command()
      .catch(() => undefined)
      .finally(() => {
        waiting--;
        heardWhole(client);
      });
  };

  const listen = async (): Promise<void> => {
    try {
      await subscriber.subscribe(channel);
    } catch (error) {
      why = withoutSecret(messageOf(error));
      if (!closed) subscriber.disconnect(true);
      return;
    }
    ready.add(subscriber);
    heardWhole(subscriber);
    look();
  };
  subscriber.on('ready', () => void listen());
  publisher.on('ready', () => {
    ready.add(publisher);
    look();
  });
  subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => {
    heardWhole(subscriber);
    if (!closed) receive(Uint8Array.from(message));
  });
  const pings = setInterval(() => {
    for (const client of [subscriber, publisher]) attempt(client, () => client.ping());
  }, pingIntervalMs);

  return {
    get up() {
      return up;
    },
    publish: (to, message) => {
      const copy = Buffer.from(message);
      attempt(publisher, () => publisher.publish(to, copy));
    },
    keep: (key, value, forMs) => attempt(publisher, () => publisher.set(key, value, 'PX', forMs)),
    recall: async (keys) => {
      const nothing = keys.map(() => undefined);
      if (closed || keys.length === 0 || !ready.has(publisher)) return nothing;
      const values = await publisher.mget(...keys).catch(() => []);
      heardWhole(publisher);
      return keys.map((_key, index) => values[index] ?? undefined);
    },
    close: async () => {
      closed = true;
      clearInterval(pings);
      subscriber.disconnect();
      publisher.disconnect();
    },
  };
}
