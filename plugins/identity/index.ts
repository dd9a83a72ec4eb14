/**
 * identity: who this node is, and what the cluster's members share. Reads the node's key and the cluster's secret at the
 * start; learns later generations of the secret and keeps them. `chimera init` and `chimera join` write the files with the
 * functions below.
 */
import * as v from 'valibot';
import { nonEmpty } from '../../core/config/schema.ts';
import {
  clusterSecretsContract,
  definePlugin,
  nodeIdentityContract,
  type ClusterSecret,
  type NodeIdentity,
} from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Timer } from '../../core/runtime/index.ts';
import { createClusterSecrets, readClusterSecrets, writeClusterSecrets } from './cluster-secrets.ts';
import { readNodeKey } from './node-key.ts';

export {
  createClusterSecret,
  createClusterSecrets,
  encodeClusterSecrets,
  isLater,
  largestGeneration,
  mostGenerations,
  parseClusterSecrets,
  readClusterSecrets,
  secretName,
  writeClusterSecrets,
} from './cluster-secrets.ts';
export { createNodeKey, encodeNodeKey, identityOfSeed, parseNodeKey, readNodeKey } from './node-key.ts';
export { openSealed, sealTo, type SealSubject } from './sealed.ts';

const options = v.strictObject({
  /** The node's key; `node_key` in the state directory when absent. */
  node_key_path: v.optional(nonEmpty),
  /** The cluster's secret; `cluster_secrets` in the state directory when absent. */
  cluster_secrets_path: v.optional(nonEmpty),
});
export type IdentityOptions = v.InferOutput<typeof options>;

const name = 'identity';
/** After which a secret that could not be kept is tried again. */
const retryMs = 5_000;

/** Where the two files lie. Throws CONFIG_INVALID when neither the options nor a state directory say so. */
export function identityPaths(
  { node_key_path, cluster_secrets_path }: IdentityOptions,
  stateDirectory: string | undefined,
): { readonly nodeKey: string; readonly clusterSecrets: string } {
  const inState = (file: string): string => {
    if (stateDirectory !== undefined) return `${stateDirectory}/${file}`;
    throw new ChimeraError('CONFIG_INVALID', 'node.state_directory: missing; the node’s key has no place', {
      remedy: 'set node.state_directory, or identity.node_key_path and identity.cluster_secrets_path',
    });
  };
  return {
    nodeKey: node_key_path ?? inState('node_key'),
    clusterSecrets: cluster_secrets_path ?? inState('cluster_secrets'),
  };
}

export const identity = definePlugin<IdentityOptions>({
  name,
  summary: 'Holds this node’s key and the cluster’s secret.',
  gives: [nodeIdentityContract, clusterSecretsContract],
  section: 'identity',
  options,
  apply(host, settings) {
    const { clock, store } = host.runtime;
    let retrying: Timer | undefined;
    const paths = identityPaths(settings, host.stateDirectory);
    let loaded: NodeIdentity | undefined;
    let initial: readonly ClusterSecret[] | undefined;
    const early = (): ChimeraError => new ChimeraError('ENGINE_CONTRACT', 'the node’s keys are used before the start');
    const own = (): NodeIdentity => {
      if (loaded === undefined) throw early();
      return loaded;
    };

    host.give(nodeIdentityContract, {
      // What the key is checked against at the start.
      node: host.node,
      get keys() {
        return own().keys;
      },
      sign: (message) => own().sign(message),
      agree: (publicKey) => own().agree(publicKey),
    });
    const secrets = createClusterSecrets(
      () => {
        if (initial === undefined) throw early();
        return initial;
      },
      (kept) => writeClusterSecrets(store, paths.clusterSecrets, kept),
      (retry) => {
        retrying = clock.after(retryMs, retry);
      },
    );
    host.give(clusterSecretsContract, secrets);

    host.hooks.start.tapPromise(name, async () => {
      const found = await readNodeKey(store, paths.nodeKey);
      if (found.node !== host.node) {
        throw new ChimeraError('ENGINE_CONTRACT', `this node runs as ${host.node}, but its key says ${found.node}`, {
          remedy: 'make the engine with the id of the node’s key, as `chimera run` does',
        });
      }
      initial = await readClusterSecrets(store, paths.clusterSecrets);
      loaded = found;
      host.defer(async () => {
        loaded = undefined;
        retrying?.cancel();
        await secrets.release();
      });
    });
  },
});
export default identity;
