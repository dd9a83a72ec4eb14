/** The control: an ordinary onion service, published by its own tor. What fails here, the network or the machine has to answer for. */
import { parseOnionAddress } from '../../../core/onion/index.ts';
import { formatEndpoint, type Runtime } from '../../../core/runtime/index.ts';
import { openSite } from '../../kit/lab/site.ts';
import type { PrivateNetwork } from '../../kit/network/private/index.ts';
import type { Publisher } from './publisher.ts';

export async function createPlain(runtime: Runtime, network: PrivateNetwork): Promise<Publisher> {
  const name = 'plain-head';
  const site = await openSite(runtime.net, name);
  const directory = `${network.directory}/${name}-service`;
  const tor = await network.addTor({
    name,
    config: { HiddenServiceDir: directory, HiddenServicePort: `80 ${formatEndpoint(site.endpoint)}` },
  });
  const hostname = await runtime.store.read(`${directory}/hostname`);
  return {
    name: 'plain service',
    master: parseOnionAddress(
      Buffer.from(hostname ?? [])
        .toString('utf8')
        .trim(),
    ),
    heads: [{ name, tor }],
    backends: [],
    uploader: tor,
    start: async () => undefined,
    stop: () => site.close(),
    usage: async () => undefined,
    output: () => '',
  };
}
