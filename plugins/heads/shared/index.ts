/**
 * heads/shared: every tor holds the master key and runs the service under its own address, as Chimera's ancestor did. Sound
 * only because the service is also an OnionBalance instance of itself: otherwise each introduction point opens only the
 * introductions of the one descriptor that it was made for, and half of the day fails.
 */
import { masterContract, masterKeyContract } from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { removeUnfinished } from '../../../core/runtime/index.ts';
import { headsPlugin } from '../index.ts';

export const headsShared = headsPlugin({
  name: 'heads/shared',
  summary: 'Runs heads under the master address itself: every tor holds the master key.',
  needs: [masterKeyContract],
  mode: (host) => ({
    publishesItself: false,
    prepare: async (directory) => {
      const { store } = host.runtime;
      const keys = host.need(masterKeyContract);
      const { address } = host.need(masterContract);
      if (keys.memoryOnly && !(await store.inMemory(directory))) {
        throw new ChimeraError('VAULT_ON_DISK', `heads/shared: ${directory} lies on a disk, where the key may not go`, {
          remedy: 'set heads.hidden_service_dir to a directory on a tmpfs of tor’s user, or use heads/disposable',
        });
      }
      await removeUnfinished(store, directory);
      await store.write(`${directory}/ob_config`, `MasterOnionAddress ${address}.onion\n`);
      const secret = keys.secretKeyFile();
      await store.write(`${directory}/hs_ed25519_secret_key`, secret).finally(() => secret.fill(0));
      await store.write(`${directory}/hs_ed25519_public_key`, keys.publicKeyFile());
      await store.write(`${directory}/hostname`, `${address}.onion\n`);
    },
  }),
});
export default headsShared;
