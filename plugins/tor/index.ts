/**
 * The tor plugin: gives the `tor` contract over control ports. The clients connect at the node's start,
 * which waits for the configured tor. Enter at `torPlugin`; `createTorClient` serves whoever has no engine.
 */
import * as v from 'valibot';
import { integer, nonEmpty } from '../../core/config/schema.ts';
import { definePlugin } from '../../core/engine/plugin.ts';
import { torContract, type Tor, type TorClient, type TorConnectOptions } from '../../core/engine/contracts/tor.ts';
import { isChimeraError, type ErrorCode } from '../../core/errors.ts';
import { formatEndpoint, parseEndpoint, type Endpoint } from '../../core/runtime/index.ts';
import { createIdleTorClient, type IdleTorClient, type TorRuntime } from './client.ts';

export { createTorClient, type TorRuntime } from './client.ts';
export { fingerprintOf } from './event.ts';
export { introductionCircuit, introductionCircuits, type IntroductionCircuit } from './introduction-circuits.ts';

const endpoint = v.pipe(
  v.string(),
  v.check(
    (text) => parseEndpoint(text) !== undefined,
    'must be host:port, unix:/path or /path, as ControlPort and ControlSocket have it',
  ),
  v.transform((text): Endpoint => parseEndpoint(text) as Endpoint),
);

export const torOptions = v.strictObject({
  control: v.optional(endpoint, '127.0.0.1:9051'),
  password: v.optional(v.string()),
  cookie_path: v.optional(nonEmpty),
  command_timeout_ms: v.optional(integer(1, 600_000), 10_000),
  start_timeout_ms: v.optional(integer(1, 600_000), 10_000),
});

/**
 * What waiting does not heal. It must come twice in a row: once, it may be of a tor that was just starting or ending.
 * That nothing listens, or nothing answers, is not among them: tor may be about to start.
 */
const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOR_AUTHENTICATION',
  'TOR_COOKIE',
  'TOR_NOT_CONTROL_PORT',
  'TOR_PERMISSION',
]);

export interface TorService {
  readonly tor: Tor;
  /**
   * Lets the clients connect, those made so far and later ones. Resolves when the primary is ready; rejects when `limitMs` is
   * over, or sooner with what waiting does not heal.
   */
  readonly start: (limitMs: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The clients of a node, one an endpoint; the first is the primary. */
export function createTor(runtime: TorRuntime, primary: TorConnectOptions): TorService {
  const clients = new Map<string, IdleTorClient>();
  let begun = false;
  const entryOf = (options: TorConnectOptions): IdleTorClient => {
    const key = formatEndpoint(options.control);
    let entry = clients.get(key);
    if (entry === undefined || entry.client.state === 'closed') {
      entry = createIdleTorClient(runtime, options);
      clients.set(key, entry);
      if (begun) entry.begin();
    }
    return entry;
  };
  const first = entryOf(primary);
  // The same tor's limits and password, unless others are named; a cookie belongs to one tor alone.
  const { commandTimeoutMs, password } = primary;
  const inherited = {
    ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }),
    ...(password === undefined ? {} : { password }),
  };
  const connect = (options: TorConnectOptions): TorClient => entryOf({ ...inherited, ...options }).client;
  const tor: Tor = { primary: first.client, connect };
  return {
    tor,
    start: async (limitMs) => {
      let before: ErrorCode | undefined;
      let forget: () => void = () => undefined;
      const hopeless = new Promise<never>((_resolve, reject) => {
        forget = first.onFailure((error) => {
          const code = isChimeraError(error) && lasting.has(error.code) ? error.code : undefined;
          if (code !== undefined && code === before) reject(error);
          before = code;
        });
      });
      begun = true;
      for (const { begin } of clients.values()) begin();
      try {
        await Promise.race([first.client.ready(limitMs), hopeless]);
      } finally {
        forget();
      }
    },
    close: async () => {
      await Promise.all([...clients.values()].map(({ client }) => client.close()));
    },
  };
}

export const torPlugin = definePlugin<v.InferOutput<typeof torOptions>>({
  name: 'tor',
  summary: 'Speaks to tor over its control port.',
  gives: [torContract],
  section: 'tor',
  options: torOptions,
  apply: (host, { control, password, cookie_path, command_timeout_ms, start_timeout_ms }) => {
    const { tor, start, close } = createTor(
      { ...host.runtime, log: host.log },
      {
        control,
        commandTimeoutMs: command_timeout_ms,
        ...(password === undefined ? {} : { password }),
        ...(cookie_path === undefined ? {} : { cookiePath: cookie_path }),
      },
    );
    host.defer(close);
    host.give(torContract, tor);
    host.hooks.start.tapPromise('tor', () => start(start_timeout_ms));
  },
});

export default torPlugin;
