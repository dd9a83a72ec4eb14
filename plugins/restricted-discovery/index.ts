/**
 * restricted-discovery: only authorized clients can read the descriptor. The clients' public keys come from a directory of
 * `*.auth` files, in the form of tor's own HiddenServiceDir/authorized_clients. Tor's services do not check the client at
 * the introduction: the merged descriptor alone enforces it, so the heads' own addresses must stay unknown.
 */
import * as v from 'valibot';
import { nonEmpty } from '../../core/config/schema.ts';
import { definePlugin, restrictedDiscoveryContract } from '../../core/engine/index.ts';
import { ChimeraError, isChimeraError, messageOf } from '../../core/errors.ts';
import { parseAuthorizedClient } from '../../core/onion/index.ts';
import type { Store } from '../../core/runtime/index.ts';

const options = v.strictObject({
  /** Directory of the `*.auth` files. */
  authorized_clients_dir: nonEmpty,
});

/** What 18 to 20 introduction points leave room for in a descriptor of 50,000 bytes. */
const maximumClients = 112;
const largestFile = 4_096;
/** Reads all `*.auth` files of a directory; sorted by name. Rejects with AUTHORIZED_CLIENTS, naming the file. */
export async function readAuthorizedClients(store: Store, directory: string): Promise<Uint8Array[]> {
  const names = (await store.list(directory)).filter((name) => name.endsWith('.auth'));
  const wrong = (what: string): ChimeraError =>
    new ChimeraError('AUTHORIZED_CLIENTS', `restricted_discovery.authorized_clients_dir: ${what}`, {
      remedy: 'give each client one file NAME.auth with the line descriptor:x25519:<52 base32 characters>',
    });
  if (names.length === 0) throw wrong(`${directory} has no *.auth file, and nobody could read the descriptor`);
  if (names.length > maximumClients) throw wrong(`${directory} has ${names.length} clients; ${maximumClients} fit`);
  const clients: Uint8Array[] = [];
  for (const name of names) {
    try {
      const bytes = await store.read(`${directory}/${name}`, largestFile);
      const text = new TextDecoder().decode(bytes);
      clients.push(parseAuthorizedClient(text));
    } catch (error) {
      const why = isChimeraError(error) ? 'is not an authorized client' : `cannot be read: ${messageOf(error)}`;
      throw wrong(`${directory}/${name} ${why}`);
    }
  }
  return clients;
}

export const restrictedDiscovery = definePlugin<v.InferOutput<typeof options>>({
  name: 'restricted-discovery',
  summary: 'Lets only authorized clients read the merged descriptor.',
  gives: [restrictedDiscoveryContract],
  section: 'restricted_discovery',
  options,
  apply(host, { authorized_clients_dir }) {
    let clients: readonly Uint8Array[] = [];
    host.give(restrictedDiscoveryContract, {
      get clients() {
        return clients;
      },
    });
    host.hooks.start.tapPromise('restricted-discovery', async () => {
      clients = await readAuthorizedClients(host.runtime.store, authorized_clients_dir);
      host.log.info('only authorized clients can read the descriptor', { clients: clients.length });
    });
  },
});
export default restrictedDiscovery;
