/**
 * What a node keeps on its disk, with any bytes in it: cut at any length, a bit turned, of a later version, or rubbish. What
 * cannot be used is a coded error that names the file and a remedy, and the file stays as it is; no secret of it is repeated.
 */
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChimeraError } from '../../../core/errors.ts';
import { addressOfKey, masterKeyFromSeed } from '../../../core/onion/index.ts';
import { storedRevisions } from '../../../core/pipeline/index.ts';
import { silentLog } from '../../../core/runtime/index.ts';
import { createTermMemory } from '../../../plugins/election/memory.ts';
import {
  createClusterSecret,
  createNodeKey,
  readClusterSecrets,
  readNodeKey,
  writeClusterSecrets,
} from '../../../plugins/identity/index.ts';
import { createBook } from '../../../plugins/join/index.ts';
import { readRoster } from '../../../plugins/mesh/roster-file.ts';
import { signerVault, sealMasterKey } from '../../../plugins/signer/vault/index.ts';
import { loadTunnelKey } from '../../../plugins/transport/wireguard/key.ts';
import { createMemoryStore, type MemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { createBareHost } from '../../unit/plugins/support.ts';

const clock = createVirtualClock(0);
const random = createSeededRandom('state files');
const master = masterKeyFromSeed(random.bytes(32));

interface StateFile {
  readonly name: string;
  readonly path: string;
  /** Writes a sound one. */
  readonly write: (store: MemoryStore) => Promise<unknown>;
  readonly read: (store: MemoryStore) => Promise<unknown>;
}

const term = (store: MemoryStore) =>
  createTermMemory({
    store,
    clock,
    path: '/state/election.json',
    node: 'one',
    log: silentLog,
    retryMs: 1_000,
    changed: () => undefined,
  });
const book = (store: MemoryStore) => createBook({ clock, random, store, stateDirectory: '/state' });

const files: readonly StateFile[] = [
  {
    name: 'revision counters',
    path: '/state/revisions.json',
    write: async (store) =>
      (await storedRevisions(store, '/state/revisions.json')).record([{ blindedKey: random.bytes(32), revision: 7n }]),
    read: (store) => storedRevisions(store, '/state/revisions.json'),
  },
  {
    name: 'election memory',
    path: '/state/election.json',
    write: async (store) => {
      const memory = term(store);
      memory.keep({ highest: 3, own: true });
      await memory.settled();
    },
    read: (store) => term(store).read(),
  },
  {
    name: 'invitations',
    path: '/state/invitations',
    write: (store) => book(store).make(60_000),
    read: (store) => book(store).load(),
  },
  {
    name: 'node key',
    path: '/state/node_key',
    write: (store) => createNodeKey(store, '/state/node_key', random),
    read: (store) => readNodeKey(store, '/state/node_key'),
  },
  {
    name: 'cluster secrets',
    path: '/state/cluster_secrets',
    write: (store) => writeClusterSecrets(store, '/state/cluster_secrets', [createClusterSecret(random)]),
    read: (store) => readClusterSecrets(store, '/state/cluster_secrets'),
  },
  {
    name: 'WireGuard key',
    path: '/state/private_key',
    write: (store) => loadTunnelKey({ store, random }, '/state/private_key'),
    read: (store) => loadTunnelKey({ store, random }, '/state/private_key'),
  },
  {
    name: 'sealed key',
    path: '/state/sealed',
    write: async (store) => store.write('/state/sealed', await sealMasterKey(master, Buffer.from('x'), random, 14)),
    read: async (store) => {
      const bare = createBareHost({ store });
      bare.apply(signerVault, { sealed_key_path: '/state/sealed', onion_address: addressOfKey(master.publicKey) });
      await bare.start().catch((error: unknown) => {
        // Sound, as far as can be told without a passphrase.
        if (!(error instanceof ChimeraError && error.code === 'VAULT_NO_SOURCE')) throw error;
      });
      await bare.stop();
    },
  },
  {
    name: 'roster',
    path: '/state/roster',
    write: (store) => store.write('/state/roster', 'not a roster'),
    read: (store) => readRoster(store, '/state'),
  },
];

describe.each(files)('$name', ({ name, path, write, read }) => {
  const sound = async (): Promise<MemoryStore> => {
    const store = createMemoryStore();
    await store.makeDirectory('/state');
    await write(store);
    return store;
  };
  /** Reads what `bytes` make of the file; nothing, or the error. The file must be as it was. */
  const readAs = async (bytes: Uint8Array): Promise<ChimeraError | undefined> => {
    const store = createMemoryStore();
    await store.makeDirectory('/state');
    await store.write(path, bytes, 0o600);
    const error = await read(store).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(Buffer.compare((await store.read(path)) ?? new Uint8Array(), bytes)).toBe(0);
    if (error === undefined) return undefined;
    expect(error).toBeInstanceOf(ChimeraError);
    const coded = error as ChimeraError;
    expect(coded.message).toContain(path);
    expect(coded.remedy).toMatch(/\w{3}/);
    return coded;
  };

  test('empty, and of a later version, is an error', async () => {
    expect(await readAs(new Uint8Array(0))).toBeDefined();
    const text = Buffer.from((await (await sound()).read(path)) ?? []).toString('latin1');
    const later = text.startsWith('{') ? `{"laterVersion":2,${text.slice(1)}` : text.replace(/ 1\n|^/, ' 2\n');
    expect(await readAs(Buffer.from(later, 'latin1'))).toBeDefined();
  });

  test('cut anywhere, or with a bit turned, it is an error or still sound, and no text of it is repeated', async () => {
    const bytes = Buffer.from((await (await sound()).read(path)) ?? []);
    const law = fc.asyncProperty(fc.nat(), fc.nat(), fc.boolean(), async (at, bit, cut) => {
      const changed = cut ? bytes.subarray(0, at % bytes.length) : Uint8Array.from(bytes);
      if (!cut) changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ (1 << (bit % 8));
      const error = await readAs(changed);
      // The longest words of the file are its secrets.
      const words = bytes.toString('latin1').match(/[A-Za-z0-9+/]{40,}/g) ?? [];
      const told = inspect(error, { depth: 10 });
      for (const word of name === 'sealed key' || name === 'revision counters' ? [] : words)
        expect(told).not.toContain(word.slice(0, 12));
    });
    await fc.assert(law, { numRuns: 60 });
  });

  test('whatever the bytes', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    const law = fc.asyncProperty(bytes, async (content) => void (await readAs(content)));
    await expect(fc.assert(law, { numRuns: 60 })).resolves.toBeUndefined();
  });

  test('that is too large, a directory, or not to be read', async () => {
    expect(await readAs(Buffer.alloc(16 * 1_048_576, ' '))).toBeDefined();
    const store = await sound();
    await store.remove(path);
    await store.makeDirectory(path);
    await expect(read(store)).rejects.toMatchObject({
      code: expect.stringMatching(/^(STATE_FILE|IDENTITY_\w+|WIREGUARD_KEY|VAULT_FILE)$/) as string,
      message: expect.stringContaining(path) as string,
    });
  });
});
