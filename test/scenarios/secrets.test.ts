/**
 * Identity files, sessions, roster, revocation, join and vault together: what members have, and what a removed one has not; and
 * that no secret of all this stands in a log, in what goes over a network, in an answer to the operator, or on a wrong file.
 */
import { inspect } from 'node:util';
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
  type Json,
  type Tor,
} from '../../core/engine/index.ts';
import { encodeBase32 } from '../../core/onion/bytes.ts';
import { addressOfKey, masterKeyFromSeed } from '../../core/onion/index.ts';
import { createLog } from '../../core/runtime/index.ts';
import { askNode } from '../../plugins/admin/index.ts';
import {
  createClusterSecret,
  createNodeKey,
  parseClusterSecrets,
  parseNodeKey,
  readNodeKey,
  secretName,
  writeClusterSecrets,
} from '../../plugins/identity/index.ts';
import { plugins } from '../../plugins/index.ts';
import { joinCluster, parseInvitation, type JoinOptions } from '../../plugins/join/index.ts';
import { sealMasterKey } from '../../plugins/signer/vault/index.ts';
import { createMemoryBus, memoryTransport } from '../../plugins/transport/memory/index.ts';
import { createMemoryNet } from '../kit/sim/memory-net.ts';
import { createMemoryStore, type MemoryStore } from '../kit/sim/memory-store.ts';
import { createSeededRandom } from '../kit/sim/seeded-random.ts';
import { createVirtualClock, settle } from '../kit/sim/virtual-clock.ts';

const names = ['admin', 'identity', 'mesh', 'revocation', 'operator', 'join', 'repair', 'signer/vault'];
const passphrase = 'six random words are a passphrase';
const door = (name: string) => ({ host: name, port: 7_000 });
const socketOf = (name: string): string => `/state/${name}.sock`;

/** Every secret that was ever there, by name, and all that was said where none may be. */
function createWatch() {
  const secrets = new Map<string, Uint8Array>();
  const said: { readonly where: string; readonly bytes: Uint8Array }[] = [];
  const formsOf = (secret: Uint8Array): readonly (string | Buffer)[] => {
    const bytes = Buffer.from(secret);
    const texts = [bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')];
    return [bytes, ...texts, texts[0]?.toUpperCase() ?? '', encodeBase32(bytes), bytes.join(',')];
  };
  return {
    guard: (name: string, secret: Uint8Array) => void secrets.set(name, Uint8Array.from(secret)),
    hear: (where: string, what: Uint8Array | string) =>
      void said.push({ where, bytes: Uint8Array.from(Buffer.from(what)) }),
    get heard() {
      return said.length;
    },
    /** Which secret stands where. */
    found: (): string[] => {
      const found = new Set<string>();
      for (const [name, secret] of secrets) {
        for (const form of formsOf(secret)) {
          for (const { where, bytes } of said)
            if (Buffer.from(bytes.buffer).includes(form)) found.add(`${name} in ${where}`);
        }
      }
      return [...found];
    },
  };
}

async function createCluster(seed: string) {
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  const bus = createMemoryBus({ clock, random: random.fork('bus'), delayMs: { minimum: 1, maximum: 20 }, loss: 0.02 });
  const net = createMemoryNet({ clock });
  const watch = createWatch();
  bus.tap((from, to, bytes) => watch.hear(`a datagram from ${from} to ${to}`, bytes));
  const key = masterKeyFromSeed(random.bytes(32));
  watch.guard('the master key', key.expandedSecret.slice(0, 32));
  watch.guard('the passphrase', Buffer.from(passphrase));
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
      const seed = parseNodeKey((await store.read('/state/node_key')) as Uint8Array);
      watch.guard(`the key of ${name}`, seed);
      watch.guard('the first secret', secret.secret);
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
      admin: { socket: socketOf(name) },
      join: { listen: `${door(name).host}:${door(name).port}` },
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
        log: createLog({ write: (line: string) => watch.hear(`the log of ${name}`, line) }, 'debug', () => clock.now()),
        net: net.host(name),
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
  /** What `chimera` would show of a running node. */
  const ask = async (name: string, command: string, args: Record<string, Json> = {}): Promise<Json> => {
    const options = { path: socketOf(name), request: { command, args }, howToStart: '' };
    return clock.runFor(askNode({ net: net.host(name), clock }, options), 60_000);
  };
  /** The files that are for a node's own secrets, by name, and their newest secrets. */
  const lookAtDisks = async (): Promise<void> => {
    for (const [name, store] of stores) {
      for (const path of store.files()) {
        const bytes = (await store.read(path)) as Uint8Array;
        if (path === '/state/cluster_secrets') {
          for (const { generation, secret: kept } of parseClusterSecrets(bytes))
            watch.guard(`secret ${generation} of ${name}`, kept);
        } else if (path !== '/state/node_key') watch.hear(`${path} of ${name}`, bytes);
      }
    }
  };
  return { clock, bus, net, random, stores, engines, make, open, newest, ask, watch, lookAtDisks };
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

test('no secret is in a log of any level, on a wire, in an answer to the operator, or in a file for something else', async () => {
  const cluster = await createCluster('canaries');
  const { clock, engines, make, net, open, random, watch, ask } = cluster;
  const a = await make('a', true);
  await clock.runFor(a.start(), 5_000).catch(() => undefined);
  const roster = a.service(rosterContract);
  for (const name of ['b', 'c']) {
    const engine = await make(name);
    const { keys } = await readNodeKey(cluster.stores.get(name) as MemoryStore, '/state/node_key');
    roster.admit(keys, [`memory:${name}`]);
    engine.service(rosterContract).learn(roster.entries());
    await clock.runFor(engine.start(), 5_000);
  }
  await until(cluster, () => ['a', 'b', 'c'].every(open));

  // Somebody joins by an invitation, another with it a second time, and one with a token that is not right.
  const { invitation: text } = (await ask('a', 'invite')) as { invitation: string };
  const invitation = parseInvitation(text);
  watch.guard('the invitation', Buffer.from(text));
  watch.guard('the invitation’s token', invitation.token);
  const store = createMemoryStore();
  const knock = async (key: string, by: JoinOptions['invitation']): Promise<unknown> => {
    const identity = await createNodeKey(store, key, random);
    watch.guard(`the key of the joiner ${key}`, parseNodeKey((await store.read(key)) as Uint8Array));
    const say = (progress: string): void => watch.hear('what the joiner says', progress);
    const where = { kind: 'direct', endpoint: door('b') } as const;
    const options = { where, invitation: by, identity, endpoints: [], attempts: 2, say };
    return clock
      .runFor(joinCluster({ net: net.host('joiner'), clock, random }, options), 60_000)
      .catch((error: unknown) => {
        watch.hear('what the joiner is told', inspect(error, { depth: 10 }));
        return undefined;
      });
  };
  expect(await knock('/one', invitation)).toMatchObject({ cluster: a.node });
  expect(await knock('/two', invitation)).toBeUndefined();
  expect(await knock('/three', { ...invitation, token: invitation.token.map((byte) => byte ^ 1) })).toBeUndefined();

  // Somebody tries a wrong passphrase, and one member is removed.
  const wrong = await make('e', true);
  await (cluster.stores.get('e') as MemoryStore).write('/state/sealed', 'chimera-vault 1\n');
  await clock
    .runFor(wrong.start(), 5_000)
    .catch((error: unknown) => watch.hear('why e does not start', inspect(error, { depth: 10 })));
  await ask('b', 'peer-remove', { node: (engines.get('c') as Engine).node }).catch((error: unknown) =>
    watch.hear('an answer', inspect(error)),
  );
  await clock.advance(30_000);

  for (const name of ['a', 'b']) {
    for (const command of ['status', 'commands', 'peer-list', 'nonsense']) {
      const answer = await ask(name, command).catch((error: unknown) => inspect(error, { depth: 10 }));
      watch.hear(`${command} of ${name}`, JSON.stringify(answer));
    }
  }
  await cluster.lookAtDisks();
  for (const engine of engines.values()) await clock.runFor(engine.stop(), 10_000).catch(() => undefined);
  await cluster.lookAtDisks();
  expect(watch.heard).toBeGreaterThan(500);
  expect(watch.found()).toEqual([]);

  // The watch sees what it is to see.
  watch.hear('a test', `x${Buffer.from(invitation.token).toString('base64url')}y`);
  expect(watch.found()).toEqual(['the invitation’s token in a test']);
}, 60_000);
