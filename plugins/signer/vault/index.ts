/**
 * signer/vault: signs with a master key that lies on no disk. A node gets it from its peers, sealed to its own key, or from
 * the operator, who types the passphrase of a sealed file when there is nobody to ask; it stays in this process' memory.
 *
 *   locked ─ a member gives it, or a passphrase opens the file ─► open ─ stop ─► overwritten
 */
import * as v from 'valibot';
import { integer, nonEmpty, onionAddress } from '../../../core/config/schema.ts';
import {
  clusterSecretsContract,
  definePlugin,
  masterContract,
  masterKeyContract,
  nodeIdentityContract,
  passphraseContract,
  peerChannelContract,
  rosterContract,
  signerContract,
} from '../../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { publicKeyOf, type MasterKey, type OnionAddress } from '../../../core/onion/index.ts';
import { jittered, type Store } from '../../../core/runtime/index.ts';
import { createHeldKey } from '../held-key.ts';
import { openMasterKey, readSealedKey } from './blob.ts';
import { createExchange, type Exchange } from './exchange.ts';
import { memoryExposures } from './exposure.ts';

export { openMasterKey, readSealedKey, sealMasterKey, type SealedKey } from './blob.ts';

const options = v.strictObject({
  /** The service's address. Without it, that of the sealed key. */
  onion_address: v.optional(onionAddress),
  /** The file that `chimera vault seal` wrote; a node without it has the key from its peers alone. */
  sealed_key_path: v.optional(nonEmpty),
  /** How long the peers are asked before the passphrase is used. */
  peers_first_ms: v.optional(integer(0, 600_000), 3_000),
  /** How long one peer may take to answer. */
  ask_timeout_ms: v.optional(integer(100, 60_000), 2_000),
  /** The longest wait between two rounds of asking. */
  retry_max_ms: v.optional(integer(500, 600_000), 15_000),
});
export type VaultOptions = v.InferOutput<typeof options>;

const name = 'signer/vault';
const shortestRetryMs = 500;
const largestFile = 4_096;

/** The bytes of the sealed key file. Rejects with VAULT_FILE. */
async function readBlob(store: Store, path: string): Promise<Uint8Array> {
  const remedy = 'give the path of the file that `chimera vault seal` wrote, readable for the user that runs Chimera';
  let bytes: Uint8Array | undefined;
  try {
    bytes = await store.read(path, largestFile);
  } catch (error) {
    throw new ChimeraError('VAULT_FILE', `vault.sealed_key_path: ${path}: ${messageOf(error)}`, {
      remedy,
      cause: error,
    });
  }
  if (bytes !== undefined) return bytes;
  throw new ChimeraError('VAULT_FILE', `vault.sealed_key_path: ${path}: no such file`, { remedy });
}

export const signerVault = definePlugin<VaultOptions>({
  name,
  summary: 'Signs with a master key that is held in memory alone, and that members give each other sealed.',
  wants: [nodeIdentityContract, clusterSecretsContract, rosterContract, peerChannelContract, passphraseContract],
  gives: [signerContract, masterContract, masterKeyContract],
  section: 'vault',
  options,
  apply(host, settings) {
    const { clock, random, store } = host.runtime;
    const { log } = host;
    const held = createHeldKey(
      () =>
        new ChimeraError('VAULT_LOCKED', 'the master key has not come yet', {
          remedy:
            'wait for a member that has it, or start this node again with the passphrase; the log says what it waits for',
        }),
      true,
    );
    let address: OnionAddress | undefined;
    const own = (): OnionAddress => {
      if (address === undefined) throw new ChimeraError('ENGINE_CONTRACT', 'the vault is used before the start');
      return address;
    };
    let wake: () => void = () => undefined;

    host.give(signerContract, {
      get publicKey() {
        return publicKeyOf(own());
      },
      get ready() {
        return held.held;
      },
      sign: held.sign,
      revisionKey: held.revisionKey,
    });
    host.give(masterContract, {
      get address() {
        return own();
      },
    });
    host.give(masterKeyContract, held.holder);

    const open = (key: MasterKey): void => {
      held.hold(key);
      log.info('the vault is open', { address: own() });
      host.requestCycle('the vault is open').catch(() => undefined);
    };

    /** Opens the sealed key with the operator's passphrase; false when there is none. Rejects with VAULT_PASSPHRASE or VAULT_FILE. */
    const openByPassphrase = async (blob: Uint8Array | undefined): Promise<boolean> => {
      if (blob === undefined) return false;
      const passphrase = await host.want(passphraseContract)?.take();
      if (passphrase === undefined) return false;
      try {
        const key = await openMasterKey(blob, passphrase);
        // The peers may have been quicker.
        if (held.held) key.expandedSecret.fill(0);
        else open(key);
        return true;
      } finally {
        passphrase.fill(0);
      }
    };

    /** Asks the peers and, once they had their time, the operator, until the key is there. */
    const fetch = async (exchange: Exchange, blob: Uint8Array | undefined, signal: AbortSignal): Promise<void> => {
      const begun = clock.monotonic();
      let untried = blob !== undefined;
      for (let round = 0; !held.held && !signal.aborted; round++) {
        const key = await exchange.ask(signal);
        if (key !== undefined) {
          open(key);
          return;
        }
        const due = exchange.peers().length === 0 || clock.monotonic() - begun >= settings.peers_first_ms;
        if (due && untried) {
          untried = false;
          try {
            if (await openByPassphrase(blob)) return;
          } catch (error) {
            log.error('the passphrase does not open the vault; the peers are asked on', { error });
          }
        }
        if (round === 0)
          log.warn('the vault is locked: the members are asked for the key', { members: exchange.peers().length });
        const waitMs = Math.min(settings.retry_max_ms, shortestRetryMs * 2 ** Math.min(round, 16));
        const pause = new AbortController();
        const stop = (): void => pause.abort();
        wake = stop;
        signal.addEventListener('abort', stop, { once: true });
        await clock.sleep(jittered(random, waitMs, 0.25), pause.signal).catch(() => undefined);
        signal.removeEventListener('abort', stop);
      }
    };

    host.hooks.start.tapPromise(name, async () => {
      const path = settings.sealed_key_path;
      const blob = path === undefined ? undefined : await readBlob(store, path);
      const sealed = blob === undefined ? undefined : readSealedKey(blob, `vault.sealed_key_path: ${path}`).address;
      address = settings.onion_address ?? sealed;
      if (address === undefined) {
        throw new ChimeraError('CONFIG_INVALID', 'vault: neither onion_address nor sealed_key_path is there', {
          remedy: 'set vault.onion_address, or vault.sealed_key_path on a node that may open the vault',
        });
      }
      if (sealed !== undefined && sealed !== address) {
        throw new ChimeraError(
          'CONFIG_INVALID',
          `vault.onion_address = ${address}.onion: the sealed key is of ${sealed}.onion`,
          {
            remedy: 'correct the address, or give the sealed key that belongs to it',
          },
        );
      }
      host.defer(() => held.release());
      for (const { what, remedy } of await memoryExposures(store)) log.warn(what, { remedy });

      const identity = host.want(nodeIdentityContract);
      const secrets = host.want(clusterSecretsContract);
      const roster = host.want(rosterContract);
      const channel = host.want(peerChannelContract);
      if (identity === undefined || secrets === undefined || roster === undefined || channel === undefined) {
        if (await openByPassphrase(blob)) return;
        throw new ChimeraError('VAULT_NO_SOURCE', 'this node has no peers to ask, and nobody gave a passphrase', {
          remedy:
            blob === undefined
              ? 'set vault.sealed_key_path, and give the passphrase at the start'
              : 'start it on a terminal, with --passphrase-fd, or with the credential chimera-vault-passphrase of systemd',
        });
      }
      const exchange = createExchange({
        identity,
        secrets,
        roster,
        channel,
        address,
        clock,
        random,
        log,
        askTimeoutMs: settings.ask_timeout_ms,
        key: () => (held.held ? held.key() : undefined),
      });
      // Nobody else is there: a wrong passphrase is told at once, and not by a node that waits for ever.
      if (exchange.peers().length === 0 && (await openByPassphrase(blob))) return;
      const unsubscribe = roster.onChange(() => wake());
      host.defer(unsubscribe);
      host.background((signal) => fetch(exchange, blob, signal));
    });
  },
});
export default signerVault;
