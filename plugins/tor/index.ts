/**
 * The tor plugin: gives the `tor` contract over control ports. The clients connect at the node's start,
 * which waits for the configured tor. Enter at `torPlugin`; `createTorClient` serves whoever has no engine.
 */
import * as v from 'valibot';
import { definePlugin } from '../../core/engine/plugin.ts';
import { torContract, type Tor, type TorClient, type TorConnectOptions } from '../../core/engine/contracts/tor.ts';
import { formatEndpoint, parseEndpoint, type Endpoint } from '../../core/runtime/index.ts';
import { createIdleTorClient, type TorRuntime } from './client.ts';

export { createTorClient, type TorRuntime } from './client.ts';

const endpoint = v.pipe(
  v.string(),
  v.check(
    (text) => parseEndpoint(text) !== undefined,
    'must be host:port, unix:/path or /path, as ControlPort and ControlSocket have it',
  ),
  v.transform((text): Endpoint => parseEndpoint(text) as Endpoint),
);
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(600_000));

export const torOptions = v.strictObject({
  control: v.optional(endpoint, '127.0.0.1:9051'),
  password: v.optional(v.string()),
  cookiePath: v.optional(v.string()),
  commandTimeoutMs: v.optional(milliseconds, 10_000),
  startTimeoutMs: v.optional(milliseconds, 10_000),
});

export interface TorService {
  readonly tor: Tor;
  /** Lets the clients connect, those made so far and later ones. */
  readonly begin: () => void;
  readonly close: () => Promise<void>;
}

/** The clients of a node, one an endpoint; the first is the primary. */
export function createTor(runtime: TorRuntime, primary: TorConnectOptions): TorService {
  const clients = new Map<string, ReturnType<typeof createIdleTorClient>>();
  let begun = false;
  const connect = (options: TorConnectOptions): TorClient => {
    const key = formatEndpoint(options.control);
    let entry = clients.get(key);
    if (entry === undefined || entry.client.state === 'closed') {
      entry = createIdleTorClient(runtime, options);
      clients.set(key, entry);
      if (begun) entry.begin();
    }
    return entry.client;
  };
  const tor: Tor = { primary: connect(primary), connect };
  return {
    tor,
    begin: () => {
      begun = true;
      for (const { begin } of clients.values()) begin();
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
  apply: (host, { control, password, cookiePath, commandTimeoutMs, startTimeoutMs }) => {
    const { tor, begin, close } = createTor(
      { ...host.runtime, log: host.log },
      {
        control,
        commandTimeoutMs,
        ...(password === undefined ? {} : { password }),
        ...(cookiePath === undefined ? {} : { cookiePath }),
      },
    );
    host.defer(close);
    host.give(torContract, tor);
    host.hooks.start.tapPromise('tor', () => {
      begin();
      return tor.primary.ready(startTimeoutMs);
    });
  },
});

export default torPlugin;
