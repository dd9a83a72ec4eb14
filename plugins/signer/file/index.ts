/**
 * signer/file: signs with a master key that lies in a file in one of Tor's own formats. The key is read at the start and
 * stays in this process' memory.
 */
import * as v from 'valibot';
import { nonEmpty, onionAddress } from '../../../core/config/schema.ts';
import { definePlugin, masterContract, masterKeyContract, signerContract } from '../../../core/engine/index.ts';
import { ChimeraError, messageOf } from '../../../core/errors.ts';
import { addressOfKey, parseSecretKeyFile, type MasterKey, type OnionAddress } from '../../../core/onion/index.ts';
import { openToEverybody, type Store } from '../../../core/runtime/index.ts';
import { createHeldKey } from '../held-key.ts';

const options = v.strictObject({
  /** hs_ed25519_secret_key of the service. */
  identity_key_path: nonEmpty,
  /** When given, the key must belong to it. */
  onion_address: v.optional(onionAddress),
});

/** The largest of the forms, a PEM file, has a hundred bytes; some carry text around it. */
const largestFile = 64 * 1024;

/** Reads a master key file; rejects with MASTER_KEY_UNREADABLE or ONION_KEY_FILE, never with the key's bytes in the message. */
export async function readMasterKey(store: Store, path: string): Promise<MasterKey> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await store.read(path, largestFile);
  } catch (error) {
    const denied = ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
    throw new ChimeraError('MASTER_KEY_UNREADABLE', `master.identity_key_path: ${path}: ${messageOf(error)}`, {
      remedy: denied
        ? 'let the user that runs Chimera read the file, and nobody else (chmod 600)'
        : 'give the path of the service’s hs_ed25519_secret_key, the file itself',
      cause: error,
    });
  }
  if (bytes === undefined) {
    throw new ChimeraError('MASTER_KEY_UNREADABLE', `master.identity_key_path: ${path}: no such file`, {
      remedy: 'give the path of the service’s hs_ed25519_secret_key',
    });
  }
  try {
    return parseSecretKeyFile(bytes);
  } catch (error) {
    if (!(error instanceof ChimeraError)) throw error;
    throw new ChimeraError(error.code, `master.identity_key_path: ${path}: ${error.message}`, {
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: error,
    });
  } finally {
    bytes.fill(0);
  }
}

/** Refuses a key that is not of the address that the operator expects. */
function checkAddress(key: MasterKey, expected: OnionAddress | undefined): void {
  if (expected === undefined) return;
  const actual = addressOfKey(key.publicKey);
  if (actual !== expected) {
    throw new ChimeraError(
      'CONFIG_INVALID',
      `master.onion_address = ${expected}.onion: the key file belongs to ${actual}.onion`,
      {
        remedy: 'correct the address, or give the key file that belongs to it',
      },
    );
  }
}

export const signerFile = definePlugin<v.InferOutput<typeof options>>({
  name: 'signer/file',
  summary: 'Signs with a master key file in Tor’s own format.',
  gives: [signerContract, masterContract, masterKeyContract],
  section: 'master',
  options,
  apply(host, { identity_key_path, onion_address }) {
    const early = (): ChimeraError =>
      new ChimeraError('ENGINE_CONTRACT', 'the master key is used before the start, or after the stop');
    const held = createHeldKey(early, false);

    host.hooks.start.tapPromise('signer/file', async () => {
      const read = await readMasterKey(host.runtime.store, identity_key_path);
      checkAddress(read, onion_address);
      held.hold(read);
      if (await openToEverybody(host.runtime.store, identity_key_path)) {
        const remedy = `chmod 600 ${identity_key_path}; if somebody else uses this machine, the key may be known`;
        host.log.warn('everybody on this machine may read the master key', { path: identity_key_path, remedy });
      }
      host.defer(() => held.release());
    });

    host.give(signerContract, {
      get publicKey() {
        return held.key().publicKey;
      },
      sign: held.sign,
      revisionKey: held.revisionKey,
    });
    host.give(masterContract, {
      get address() {
        return addressOfKey(held.key().publicKey);
      },
    });
    host.give(masterKeyContract, held.holder);
  },
});
export default signerFile;
