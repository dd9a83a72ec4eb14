/**
 * This node's side of the tunnel: its key and the endpoint that names it. A transport reads it at its start; `chimera init` and
 * `chimera join` make it before the first one, because where there is no other transport the admission alone tells the peers the key.
 */
import type { InternetEndpoint, Net, Random, Store } from '../../../core/runtime/index.ts';
import { ipFamily, removeUnfinished } from '../../../core/runtime/index.ts';
import { formatTunnelEndpoint } from './address.ts';
import { loadTunnelKey, type TunnelKey } from './key.ts';

export const defaultListenPort = 51_820;

/** Where the key is kept, and what the interface is remembered by. */
export const tunnelDirectory = (stateDirectory: string): string => `${stateDirectory}/wireguard`;

export interface OwnRuntime {
  readonly net: Pick<Net, 'addresses'>;
  readonly store: Store;
  readonly random: Random;
}

export interface OwnTunnel {
  readonly key: TunnelKey;
  readonly endpoint: string;
}

/**
 * The key, read or made, and the endpoint: with `advertise`, else with this machine's first address. Without a directory the key
 * lasts as long as the process. Rejects with WIREGUARD_KEY, or the file system's error for the directory.
 */
export async function ownTunnel(
  { net, store, random }: OwnRuntime,
  options: {
    readonly directory: string | undefined;
    readonly listenPort: number;
    readonly advertise?: InternetEndpoint | undefined;
  },
): Promise<OwnTunnel> {
  const { directory, listenPort, advertise } = options;
  if (directory !== undefined) await store.makeDirectory(directory);
  const path = directory === undefined ? undefined : `${directory}/private_key`;
  const key = await loadTunnelKey({ store, random }, path);
  const own = net.addresses().toSorted((a, b) => ipFamily(a) - ipFamily(b))[0];
  const outer = advertise ?? (own === undefined ? undefined : { host: own, port: listenPort });
  return { key, endpoint: formatTunnelEndpoint({ key: key.publicKey, outer }) };
}

/**
 * Makes the tunnel of a node that has not run yet, or finds it there from an earlier try, and gives its endpoint, which has the public
 * half of the key alone. Rejects as `ownTunnel` does.
 */
export async function prepareTunnel(
  runtime: OwnRuntime,
  stateDirectory: string,
  advertise?: InternetEndpoint,
): Promise<string> {
  const directory = tunnelDirectory(stateDirectory);
  await removeUnfinished(runtime.store, directory);
  const listenPort = advertise?.port ?? defaultListenPort;
  return (await ownTunnel(runtime, { directory, listenPort, advertise })).endpoint;
}
