/** Chimera: `chimera run` as its user runs it, a built program with a configuration file, in each identity mode. */
import { fileURLToPath } from 'node:url';
import type { OnionAddress } from '../../../core/onion/index.ts';
import { formatEndpoint, type Endpoint, type Runtime } from '../../../core/runtime/index.ts';
import type { PrivateNetwork } from '../../kit/network/private/index.ts';
import { openHeadSite } from './head-site.ts';
import { addTors, makeMaster, startBackends } from './onionbalance.ts';
import { createProgram } from './program.ts';
import type { Head, Publisher } from './publisher.ts';

export const chimeraPresets = ['stable', 'standalone', 'shared-identity'] as const;
export type ChimeraPreset = (typeof chimeraPresets)[number];

const main = fileURLToPath(new URL('../../../dist/core/cli/main.js', import.meta.url));
/** As often as OnionBalance fetches with --is-testnet. */
const refreshSeconds = 20;

interface Heads {
  readonly heads: readonly Head[];
  readonly backends: readonly OnionAddress[];
  /** The configuration's tables for them. */
  readonly tables: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

export async function createChimera(
  runtime: Runtime,
  network: PrivateNetwork,
  directory: string,
  preset: ChimeraPreset,
): Promise<Publisher> {
  const master = await makeMaster(runtime, directory);
  const prefix = `${preset}-head`;
  // Watching backends takes a SOCKS port.
  const uploader = await network.addTor({ name: `${preset}-tor`, socks: preset === 'standalone' });
  let heads: Heads;
  if (preset === 'standalone') {
    const backends = await startBackends(runtime, network, prefix, 3, master.address);
    const tables = { backends: { addresses: backends.addresses, refresh_interval_secs: refreshSeconds } };
    heads = { ...backends, backends: backends.addresses, tables };
  } else {
    heads = await ownHeads(network, prefix);
  }
  const configPath = `${directory}/chimera.json`;
  await runtime.store.write(
    configPath,
    JSON.stringify({
      preset,
      node: { id: preset, state_directory: `${directory}/state` },
      master: { identity_key_path: master.keyPath },
      tor: { control: formatEndpoint(uploader.control) },
      ...heads.tables,
    }),
  );
  const program = createProgram(runtime, process.execPath, [main, 'run', '--config', configPath], directory);
  return {
    ...program,
    name: `chimera ${preset}`,
    master: master.address,
    heads: heads.heads,
    backends: heads.backends,
    uploader,
    stop: async () => {
      await program.stop('SIGTERM');
      await heads.close();
    },
  };
}

/** Tors in which Chimera makes the heads itself. */
async function ownHeads(network: PrivateNetwork, prefix: string): Promise<Heads> {
  const heads = await addTors(network, prefix, 3);
  const site = await openHeadSite(heads);
  const controls = heads.map(({ tor }) => formatEndpoint(tor.control));
  return {
    heads,
    backends: [],
    tables: { heads: { controls, target: formatEndpoint(site.endpoint as Endpoint) } },
    close: async () => site.close(),
  };
}
