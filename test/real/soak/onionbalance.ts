/** OnionBalance, Debian's package, in front of three backends that an operator would have set up for it. */
import { encodeSecretKeyFile, addressOfKey, masterKeyFromSeed, type OnionAddress } from '../../../core/onion/index.ts';
import type { Endpoint, Runtime } from '../../../core/runtime/index.ts';
import type { PrivateNetwork, PrivateTor } from '../../kit/network/private/index.ts';
import { startBackend } from '../../kit/lab/backend.ts';
import { openSite } from '../../kit/lab/site.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { createProgram } from './program.ts';
import type { Head, Publisher } from './publisher.ts';

export interface Backends {
  readonly heads: readonly Head[];
  readonly addresses: readonly OnionAddress[];
  close(): Promise<void>;
}

export interface Master {
  readonly address: OnionAddress;
  readonly keyPath: string;
}

/** A fresh master key in Tor's own key file. */
export async function makeMaster(runtime: Runtime, directory: string): Promise<Master> {
  const key = masterKeyFromSeed(runtime.random.bytes(32));
  const keyPath = `${directory}/hs_ed25519_secret_key`;
  await runtime.store.makeDirectory(directory);
  await runtime.store.write(keyPath, encodeSecretKeyFile(key));
  return { address: addressOfKey(key.publicKey), keyPath };
}

export async function addTors(network: PrivateNetwork, prefix: string, count: number): Promise<Head[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  return Promise.all(names.map(async (name) => ({ name, tor: await network.addTor({ name }) })));
}

/** Unmodified OnionBalance backends, one a tor, each with a site that says its name. */
export async function startBackends(
  runtime: Runtime,
  network: PrivateNetwork,
  prefix: string,
  count: number,
  master: OnionAddress,
): Promise<Backends> {
  const heads = await addTors(network, prefix, count);
  const sites = await Promise.all(heads.map(({ name }) => openSite(runtime.net, name)));
  const addresses = await Promise.all(
    heads.map(async ({ name, tor }, index) => {
      const client = createTorClient(runtime, { control: tor.control, cookiePath: tor.cookiePath, name });
      try {
        await client.ready(10_000);
        return await startBackend({
          store: runtime.store,
          tor: client,
          directory: `${tor.dataDirectory}/service`,
          master,
          target: sites[index]?.endpoint as Endpoint,
        });
      } finally {
        await client.close();
      }
    }),
  );
  return {
    heads,
    addresses,
    close: async () => {
      await Promise.all(sites.map((site) => site.close()));
    },
  };
}

export async function createOnionBalance(
  runtime: Runtime,
  network: PrivateNetwork,
  directory: string,
): Promise<Publisher> {
  const master = await makeMaster(runtime, directory);
  const backends = await startBackends(runtime, network, 'onionbalance-head', 3, master.address);
  const uploader: PrivateTor = await network.addTor({ name: 'onionbalance-tor' });
  const instances = backends.addresses.map((address) => `    - address: ${address}.onion\n`).join('');
  await runtime.store.write(
    `${directory}/config.yaml`,
    `services:\n- key: ${master.keyPath}\n  instances:\n${instances}`,
  );
  const { host, port } = uploader.control as { host: string; port: number };
  const program = createProgram(
    runtime,
    'onionbalance',
    ['--is-testnet', '-v', 'info', '-i', host, '-p', String(port), '-c', `${directory}/config.yaml`],
    directory,
  );
  return {
    ...program,
    name: 'onionbalance',
    master: master.address,
    heads: backends.heads,
    backends: backends.addresses,
    uploader,
    stop: async () => {
      // SIGTERM does not end it.
      await program.stop('SIGKILL');
      await backends.close();
    },
  };
}
