/** A plain OnionBalance backend, as an operator would set it up by hand: nothing of Chimera runs beside it. */
import type { TorClient } from '../../../core/engine/index.ts';
import { parseOnionAddress, type OnionAddress } from '../../../core/onion/index.ts';
import { formatEndpoint, type Endpoint, type Store } from '../../../core/runtime/index.ts';

/** Makes `tor` run an onion service that accepts introductions for `master`; resolves with its own address. */
export async function startBackend(options: {
  readonly store: Store;
  readonly tor: TorClient;
  /** A directory that only this service uses. */
  readonly directory: string;
  readonly master: OnionAddress;
  readonly target: Endpoint;
}): Promise<OnionAddress> {
  const { store, tor, directory, master, target } = options;
  await store.makeDirectory(directory);
  await store.write(`${directory}/ob_config`, `MasterOnionAddress ${master}.onion\n`);
  await tor.setConf([
    ['HiddenServiceDir', directory],
    ['HiddenServicePort', `80 ${formatEndpoint(target)}`],
    ['HiddenServiceOnionBalanceInstance', '1'],
  ]);
  const hostname = await store.read(`${directory}/hostname`);
  return parseOnionAddress(
    Buffer.from(hostname ?? new Uint8Array())
      .toString('utf8')
      .trim(),
  );
}
