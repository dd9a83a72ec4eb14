/**
 * heads/disposable: each head is an OnionBalance instance with an onion key of its own, made by tor and thrown away with
 * it. No tor ever holds the master key.
 */
import { masterContract } from '../../../core/engine/index.ts';
import { headsPlugin } from '../index.ts';

export const headsDisposable = headsPlugin({
  name: 'heads/disposable',
  summary: 'Runs heads as OnionBalance instances with keys of their own; no tor holds the master key.',
  mode: (host) => ({
    publishesItself: true,
    // Before the service's first start: tor computes the master's subcredentials when it builds a descriptor, not later.
    prepare: (directory) =>
      host.runtime.store.write(
        `${directory}/ob_config`,
        `MasterOnionAddress ${host.need(masterContract).address}.onion\n`,
      ),
  }),
});
export default headsDisposable;
