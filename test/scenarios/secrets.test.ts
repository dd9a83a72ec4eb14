/** Identity files, sessions, roster, revocation and vault together: what members have, and what a removed one has not. */
import { expect, test } from 'vitest';
import * as v from 'valibot';
import {
  clusterSecretsContract,
  createEngine,
  definePlugin,
  passphraseContract,
  rosterContract,
  secretRotationContract,
  signerContract,
  torContract,
  type AnyPlugin,
  type Engine,
  type Tor,
} from '../../core/engine/index.ts';
import { addressOfKey, masterKeyFromSeed } from '../../core/onion/index.ts';
import { silentLog } from '../../core/runtime/index.ts';
import {
  createClusterSecret,
  createNodeKey,
  readNodeKey,
  secretName,
  writeClusterSecrets,
} from '../../plugins/identity/index.ts';
import { plugins } from '../../plugins/index.ts';
import { sealMasterKey } from '../../plugins/signer/vault/index.ts';
import { createMemoryBus, memoryTransport } from '../../plugins/transport/memory/index.ts';
import { createMemoryStore, type MemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock, settle } from '../kit/sim/virtual-clock.ts';

const names = ['identity', 'mesh', 'revocation', 'signer/vault'];
const passphrase = 'six random words are a passphrase';

async function createCluster(seed: string) {
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const bus = createMemoryBus({ clock, random: random.fork('bus'), delayMs: { minimum: 1, maximum: 20 }, loss: 0.02 });
  const key = masterKeyFromSeed(random.bytes(32));
  const address = addressOfKey(key.publicKey);
  const sealed = await sealMasterKey(key, Buffer.from(passphrase), random, 14);
  const secret = createClusterSecret(random);
  const stores = new Map<string, MemoryStore>();
  const engines = new Map<string, Engine>();

  const make = async (name: string, opens = false): Promise<Engine> => {
    let store = stores.get(name);
    if (store === undefined) {
      store = createMemoryStore();
      stores.set(name, store);
      await store.makeDirectory('/state');
      await createNodeKey(store, '/state/node_key', random.fork(`key ${name}`));
      await writeClusterSecrets(store, '/state/cluster_secrets', [secret]);
      await store.write('/state/sealed', sealed);
    }
    const tor = { primary: { state: 'connecting', onState: () => () => undefined } } as unknown as Tor;
    const stub = definePlugin({
      name: 'stub',
      summary: 'A tor that is never there, and a passphrase.',
      gives: [torContract, passphraseContract],
      apply(host) {
        let left = opens ? Uint8Array.from(Buffer.from(passphrase)) : undefined;
        host.give(torContract, tor);
        host.give(passphraseContract, {
          take: async () => {
            const given = left;
            left = undefined;
            return given;
          },
        });
      },
    });
    const used = names.map((each) => plugins.get(each) as AnyPlugin);
    const tables: Record<string, object> = {
      'signer/vault': opens ? { sealed_key_path: '/state/sealed', peers_first_ms: 0 } : { onion_address: address },
    };
    const options = new Map<string, unknown>(
      used.flatMap((each) =>
        each.options === undefined ? [] : [[each.name, v.parse(each.options as never, tables[each.name] ?? {})]],
      ),
    );
    const engine = createEngine({
      runtime: {
        clock,
        random: random.fork(`${name} ${clock.monotonic()}`),
        store,
        log: silentLog,
        net: undefined as never,
        processes: undefined as never,
      },
      node: (await readNodeKey(store, '/state/node_key')).node,
      plugins: [stub, ...used, memoryTransport(bus, name)],
      options,
      stateDirectory: '/state',
    });
    engines.set(name, engine);
    return engine;
  };

  const open = (name: string): boolean => engines.get(name)?.service(signerContract).ready === true;
  const newest = (name: string): string => {
    const [first] = (engines.get(name) as Engine).service(clusterSecretsContract).current();
    return first === undefined ? '' : secretName(first);
  };
  return { clock, bus, random, stores, engines, make, open, newest };
}

/** scrypt runs on a thread of its own: virtual time waits for it now and then. */
async function until(
  { clock }: { clock: ReturnType<typeof createVirtualClock> },
  condition: () => boolean,
  limitMs = 60_000,
) {
  for (let passed = 0; !condition(); passed += 100) {
    if (passed > limitMs) throw new Error(`not within ${limitMs} ms`);
    await clock.advance(100);
    for (let turn = 0; turn < 5; turn++) await settle();
    if (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('three members get the key from each other; one restarts and gets it again; one is removed and gets nothing more', async () => {
  const cluster = await createCluster('secrets');
  const { clock, engines, make, open, newest } = cluster;
  const a = await make('a', true);
  await clock.runFor(a.start(), 5_000).catch(() => undefined);
  const started = a.service(rosterContract);
  for (const name of ['b', 'c', 'd']) {
    const engine = await make(name);
    const store = cluster.stores.get(name) as MemoryStore;
    const { keys } = await readNodeKey(store, '/state/node_key');
    started.admit(keys, [`memory:${name}`]);
    engine.service(rosterContract).learn(started.entries());
    await clock.runFor(engine.start(), 5_000);
  }
  await until(cluster, () => ['a', 'b', 'c', 'd'].every(open));

  // One restarts while the one with the passphrase is away.
  await clock.runFor(a.stop(), 10_000);
  await clock.runFor((engines.get('b') as Engine).stop(), 10_000);
  const b = await make('b');
  await clock.runFor(b.start(), 5_000);
  await until(cluster, () => open('b'));

  // One is removed by another.
  const d = engines.get('d') as Engine;
  b.service(rosterContract).remove(d.node, 'test');
  const change = await clock.runFor(b.service(secretRotationContract).rotate('test'), 60_000);
  expect(change).toEqual({
    generation: 2,
    confirmed: [(engines.get('c') as Engine).node],
    waiting: [a.node],
  });
  expect(newest('b')).toBe(newest('c'));
  expect(newest('d')).not.toBe(newest('b'));

  // The one that was away has the older secret, and gets the newer.
  const again = await make('a', true);
  await clock.runFor(again.start(), 5_000);
  await until(cluster, () => newest('a') === newest('b'), 120_000);

  // The removed one starts again, while the news of its removal may be on their way to the one that was away: nobody speaks to it.
  await clock.runFor(d.stop(), 10_000);
  const back = await make('d');
  await clock.runFor(back.start(), 5_000);
  await clock.advance(120_000);
  expect([open('d'), newest('d') === newest('b')]).toEqual([false, false]);
  expect(
    ['a', 'b', 'c'].map((name) => (engines.get(name) as Engine).service(clusterSecretsContract).current().length),
  ).toEqual([1, 1, 1]);
  for (const engine of engines.values()) await clock.runFor(engine.stop(), 10_000);
}, 60_000);
