import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { masterContract, masterKeyContract, passphraseContract, signerContract } from '../../../core/engine/index.ts';
import type { ChimeraError } from '../../../core/errors.ts';
import { encodeBase32 } from '../../../core/onion/bytes.ts';
import {
  addressOfKey,
  blindedKey,
  encodeSecretKeyFile,
  masterKeyFromSeed,
  revisionKey,
  signBlinded,
  type MasterKey,
} from '../../../core/onion/index.ts';
import { createClusterSecret } from '../../../plugins/identity/index.ts';
import { openMasterKey, readSealedKey, sealMasterKey, signerVault } from '../../../plugins/signer/vault/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { createPeers, type Peer, type Peers } from './peers.ts';
import { createBareHost, type BareHost } from './support.ts';

const random = createSeededRandom('vault');
const masterKey = (): MasterKey => masterKeyFromSeed(Uint8Array.from({ length: 32 }, (_, index) => index + 1));
const key = masterKey();
const address = addressOfKey(key.publicKey);
const period = { number: 20_777, lengthMinutes: 1440 };
const passphrase = (text = 'six random words are a passphrase'): Uint8Array => Uint8Array.from(Buffer.from(text));
/** The least cost that is taken: tests open it often. */
const blob = await sealMasterKey(key, passphrase(), random, 14);
const blobBytes = (): Uint8Array => Uint8Array.from(Buffer.from(blob));
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('a sealed key', () => {
  test('opens with its passphrase, and says its address to everybody', async () => {
    expect(readSealedKey(blobBytes())).toEqual({ address, cost: 14 });
    expect(await openMasterKey(blobBytes(), passphrase())).toEqual(key);
  });

  test('is refused with another passphrase', async () => {
    for (const wrong of ['', 'six random words are a passphrasE', 'six random words are a passphrase\n']) {
      await expect(openMasterKey(blobBytes(), passphrase(wrong))).rejects.toThrow(coded('VAULT_PASSPHRASE'));
    }
  });

  test('each time with another salt', async () => {
    expect(await sealMasterKey(key, passphrase(), random, 14)).not.toBe(blob);
  });

  test('is refused with any byte changed', async () => {
    const refusals = new Set<string>();
    // Every fourth, since each that still has the right form costs an scrypt; the property test draws from all.
    for (let at = 0; at < blob.length; at += 4) {
      const changed = blobBytes();
      changed[at] = (changed[at] ?? 0) ^ (at % 2 === 0 ? 1 : 0x20);
      const refused = await openMasterKey(changed, passphrase()).then(
        () => 'opened',
        (error: ChimeraError) => error.code,
      );
      refusals.add(refused);
    }
    expect([...refusals].sort()).toEqual(['VAULT_FILE', 'VAULT_PASSPHRASE']);
  });

  test('is refused when it is cut, or asks for too much or too little memory', async () => {
    for (let length = 0; length < blob.length; length++) {
      expect(() => readSealedKey(blobBytes().subarray(0, length))).toThrow(coded('VAULT_FILE'));
    }
    for (const cost of ['13', '21', '99', '00']) {
      const other = blob.replace('scrypt 14', `scrypt ${cost}`);
      await expect(openMasterKey(Buffer.from(other), passphrase())).rejects.toThrow(coded('VAULT_FILE'));
    }
    // A cheaper one is another key.
    await expect(openMasterKey(Buffer.from(blob.replace('scrypt 14', 'scrypt 15')), passphrase())).rejects.toThrow(
      coded('VAULT_PASSPHRASE'),
    );
  });
});

interface World {
  readonly clock: VirtualClock;
  readonly peers: Peers;
}

function createWorld(): World {
  const clock = createVirtualClock();
  return { clock, peers: createPeers(clock, createClusterSecret(random)) };
}

interface Node {
  readonly bare: BareHost;
  readonly open: () => boolean;
}

/** A node with the vault; with a passphrase it has the sealed key too. Its start is over, its background work under way. */
async function startNode(
  { clock }: { clock: VirtualClock },
  peer: Peer | undefined,
  options: { passphrase?: string; settings?: Record<string, unknown>; random?: string } = {},
): Promise<Node> {
  const store = createMemoryStore();
  const bare = createBareHost({ clock, store, ...(peer === undefined ? {} : { node: peer.identity.node }) });
  Object.assign(bare.host.runtime, {
    random: createSeededRandom(`${options.random ?? 'node'} ${peer?.identity.node}`),
  });
  peer?.provideTo(bare);
  await store.write('/sealed', blob);
  if (options.passphrase !== undefined) {
    let given: Uint8Array | undefined = passphrase(options.passphrase);
    bare.provide(passphraseContract, {
      take: async () => {
        const bytes = given;
        given = undefined;
        return bytes;
      },
    });
  }
  const sealed = options.passphrase === undefined ? { onion_address: address } : { sealed_key_path: '/sealed' };
  bare.apply(signerVault, { ...sealed, ...options.settings });
  await bare.start();
  return { bare, open: () => bare.given(signerContract).ready === true };
}

/** scrypt runs on a thread of its own: virtual time must wait for it. */
async function until(clock: VirtualClock, condition: () => boolean, limitMs = 60_000): Promise<void> {
  for (let passed = 0; !condition(); passed += 100) {
    if (passed > limitMs) throw new Error(`not within ${limitMs} ms`);
    await clock.advance(100);
    for (let turn = 0; turn < 20 && !condition(); turn++) await settle();
    if (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('one node alone', () => {
  test('opens the sealed key with the passphrase, and signs as the key does', async () => {
    const { bare } = await startNode({ clock: createVirtualClock() }, undefined, { passphrase: passphraseText });
    const signer = bare.given(signerContract);
    const blinded = blindedKey(masterKey(), period);
    expect(bare.given(masterContract).address).toBe(address);
    expect(signer.publicKey).toEqual(key.publicKey);
    expect(await signer.sign(period, blobBytes())).toEqual(signBlinded(blinded, blobBytes()));
    expect(await signer.revisionKey(period)).toEqual(revisionKey(blinded));
    expect(bare.given(masterKeyContract).secretKeyFile()).toEqual(encodeSecretKeyFile(masterKey()));
    expect(bare.given(masterKeyContract).memoryOnly).toBe(true);
  });

  test('does not start without a passphrase, with a wrong one, or with no key to open', async () => {
    const world = { clock: createVirtualClock() };
    await expect(startNode(world, undefined, { settings: { sealed_key_path: '/sealed' } })).rejects.toThrow(
      coded('VAULT_NO_SOURCE'),
    );
    await expect(startNode(world, undefined)).rejects.toThrow(coded('VAULT_NO_SOURCE'));
    await expect(startNode(world, undefined, { passphrase: 'another one' })).rejects.toThrow(coded('VAULT_PASSPHRASE'));
    const missing = { sealed_key_path: '/none' };
    await expect(startNode(world, undefined, { settings: missing })).rejects.toThrow(coded('VAULT_FILE'));
    const other = addressOfKey(masterKeyFromSeed(new Uint8Array(32)).publicKey);
    const settings = { sealed_key_path: '/sealed', onion_address: other };
    await expect(startNode(world, undefined, { settings })).rejects.toThrow(coded('CONFIG_INVALID'));
    await expect(startNode(world, undefined, { settings: { onion_address: undefined } })).rejects.toThrow(
      coded('CONFIG_INVALID'),
    );
  });

  test('overwrites every copy at the stop, and the passphrase at once', async () => {
    const given = passphrase();
    const bare = createBareHost();
    await bare.store.write('/sealed', blob);
    bare.provide(passphraseContract, { take: async () => given });
    bare.apply(signerVault, { sealed_key_path: '/sealed' });
    await bare.start();
    expect(given.every((byte) => byte === 0)).toBe(true);
    await bare.given(signerContract).sign(period, blobBytes());
    await bare.stop();
    await expect(bare.given(signerContract).sign(period, blobBytes())).rejects.toThrow(coded('VAULT_LOCKED'));
    expect(() => bare.given(masterKeyContract).secretKeyFile()).toThrow(coded('VAULT_LOCKED'));
    expect(bare.given(signerContract).ready).toBe(false);
  });

  test('warns of core dumps and of swap, and names the remedy; encrypted swap and MemorySwapMax=0 are well', async () => {
    const system = async (files: Record<string, string>): Promise<string[]> => {
      const bare = createBareHost();
      for (const [path, text] of Object.entries(files)) {
        await bare.store.makeDirectory(path.slice(0, path.lastIndexOf('/')));
        await bare.store.write(path, text);
      }
      await bare.store.write('/sealed', blob);
      bare.provide(passphraseContract, { take: async () => passphrase() });
      bare.apply(signerVault, { sealed_key_path: '/sealed' });
      await bare.start();
      return bare.lines.filter(({ level }) => level === 'warn').map(({ fields }) => String(fields.remedy));
    };
    const limits = (soft: string): string =>
      `Limit                     Soft Limit           Hard Limit           Units     \nMax core file size        ${soft}                    unlimited            bytes     \n`;
    const swaps = (device: string): string =>
      `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${device}                               partition\t1000\t\t0\t\t-2\n`;
    expect(await system({})).toEqual([]);
    expect(await system({ '/proc/self/limits': limits('0'), '/proc/swaps': swaps('/dev/zram0') })).toEqual([]);
    expect(await system({ '/proc/self/limits': limits('unlimited') })).toEqual([
      expect.stringContaining('LimitCORE=0') as string,
    ]);
    expect(await system({ '/proc/swaps': swaps('/dev/sda2') })).toEqual([
      expect.stringContaining('MemorySwapMax=0') as string,
    ]);
    expect(await system({ '/proc/swaps': swaps('/dev/dm-1'), '/sys/block/dm-1/dm/uuid': 'CRYPT-LUKS2-1234' })).toEqual(
      [],
    );
    expect(
      await system({
        '/proc/swaps': swaps('/dev/sda2'),
        '/proc/self/cgroup': '0::/system.slice/chimera.service\n',
        '/sys/fs/cgroup/system.slice/memory.swap.max': '0\n',
      }),
    ).toEqual([]);
  });
});

const passphraseText = 'six random words are a passphrase';

describe('members', () => {
  test('the first opens by passphrase, the others get the key from it; one restarts and gets it again', async () => {
    const world = createWorld();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => world.peers.add(name)) as [Peer, Peer, Peer];
    const third = await startNode(world, c);
    const second = await startNode(world, b);
    await world.clock.advance(5_000);
    expect([second.open(), third.open()]).toEqual([false, false]);
    await expect(second.bare.given(signerContract).sign(period, blobBytes())).rejects.toThrow(coded('VAULT_LOCKED'));
    expect(second.bare.given(masterContract).address).toBe(address);
    const first = await startNode(world, a, { passphrase: passphraseText });
    // It asks the others before it uses the passphrase.
    expect(first.open()).toBe(false);
    await until(world.clock, () => first.open() && second.open() && third.open());
    expect(world.clock.monotonic()).toBeLessThan(40_000);
    for (const { bare } of [first, second, third]) {
      expect(await bare.given(signerContract).sign(period, blobBytes())).toEqual(
        signBlinded(blindedKey(masterKey(), period), blobBytes()),
      );
    }
    await second.bare.stop();
    b.restart();
    await first.bare.stop();
    a.online = false;
    const again = await startNode(world, b, { random: 'again' });
    await world.clock.advance(3_000);
    expect(again.open()).toBe(true);
    // Nothing that went over the wire, and nothing that was logged, has a byte of it.
    const wire = world.peers.all.flatMap(({ answers }) => answers.map((each) => Buffer.from(each).toString('latin1')));
    expect(wire).toHaveLength(3);
    const lines = [first, second, third, again].flatMap(({ bare }) => bare.lines);
    const shown = inspect([lines, wire, first.bare.failures], {
      depth: 20,
      maxStringLength: null,
      maxArrayLength: null,
    });
    for (const secret of spellings(masterKey())) expect(shown).not.toContain(secret);
    for (const { bare } of [third, again]) await bare.stop();
  });

  test('a removed one is refused; so is one whose generation does not count any more', async () => {
    const world = createWorld();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => world.peers.add(name)) as [Peer, Peer, Peer];
    const first = await startNode(world, a, { passphrase: passphraseText, settings: { peers_first_ms: 0 } });
    await until(world.clock, first.open);
    a.roster.remove(b.identity.node, 'test');
    const removed = await startNode(world, b);
    await world.clock.advance(60_000);
    expect(removed.open()).toBe(false);
    // Even one that could still speak to it.
    await expect(a.handle('vault', b.identity.node, questionOf(a, b))).rejects.toThrow(coded('VAULT_REFUSED'));
    expect(await a.handle('vault', c.identity.node, questionOf(a, c))).toHaveLength(113);
    // A question that somebody else has asked, or that another was asked, proves nothing.
    await expect(a.handle('vault', c.identity.node, questionOf(a, b))).rejects.toThrow(coded('VAULT_REFUSED'));
    await expect(a.handle('vault', c.identity.node, questionOf(b, c))).rejects.toThrow(coded('VAULT_REFUSED'));
    // Its removal is news that a has not heard yet, but the secret has changed already.
    const late = questionOf(a, c);
    const [before] = a.secrets.current();
    await a.secrets.learn(createClusterSecret(random, before));
    await expect(a.handle('vault', c.identity.node, late)).rejects.toThrow(coded('VAULT_REFUSED'));
    const stale = await startNode(world, c);
    await world.clock.advance(30_000);
    expect(stale.open()).toBe(false);
    for (const { bare } of [first, removed, stale]) await bare.stop();
  });

  test('the key of another service is not taken', async () => {
    const world = createWorld();
    const [a, b] = ['a', 'b'].map((name) => world.peers.add(name)) as [Peer, Peer];
    const first = await startNode(world, a, { passphrase: passphraseText, settings: { peers_first_ms: 0 } });
    await until(world.clock, first.open);
    const other = addressOfKey(masterKeyFromSeed(new Uint8Array(32)).publicKey);
    const second = await startNode(world, b, { settings: { onion_address: other } });
    await world.clock.advance(20_000);
    expect(second.open()).toBe(false);
    for (const { bare } of [first, second]) await bare.stop();
  });

  test('no question but the right one is answered, and none too often', async () => {
    const world = createWorld();
    const [a, b] = ['a', 'b'].map((name) => world.peers.add(name)) as [Peer, Peer];
    const first = await startNode(world, a, { passphrase: passphraseText, settings: { peers_first_ms: 0 } });
    await until(world.clock, first.open);
    const ask = (question: Uint8Array): Promise<number> =>
      world.clock.runFor(
        b.channel.ask(a.identity.node, 'vault', question, 1_000).then(
          ({ length }) => length,
          () => -1,
        ),
        5_000,
      );
    const right = questionOf(a, b);
    expect(await ask(right)).toBe(1 + 32 + 64 + 16);
    for (const wrong of [
      new Uint8Array(),
      right.subarray(0, 52),
      Uint8Array.of(...right, 0),
      right.with(0, 2),
      right.with(4, 2),
      right.with(10, right[10] === 0 ? 1 : 0),
      right.with(40, right[40] === 0 ? 1 : 0),
    ]) {
      expect(await ask(wrong)).toBe(-1);
    }
    for (let more = 0; more < 5; more++) expect(await ask(right)).toBeGreaterThan(0);
    expect(await ask(right)).toBe(-1);
    await world.clock.advance(60_000);
    expect(await ask(right)).toBeGreaterThan(0);
    await first.bare.stop();
  });

  test('with a wrong passphrase a node waits for the others; alone it does not start', async () => {
    const world = createWorld();
    const [a, b] = ['a', 'b'].map((name) => world.peers.add(name)) as [Peer, Peer];
    const wrong = await startNode(world, a, { passphrase: 'a wrong passphrase' });
    const failed = (): boolean =>
      wrong.bare.lines.some(({ level, fields }) => level === 'error' && isWrong(fields.error));
    await until(world.clock, failed);
    const right = await startNode(world, b, { passphrase: passphraseText, settings: { peers_first_ms: 0 } });
    await until(world.clock, () => right.open() && wrong.open());
    for (const { bare } of [wrong, right]) await bare.stop();
    const alone = createWorld();
    await expect(startNode(alone, alone.peers.add('a'), { passphrase: 'a wrong passphrase' })).rejects.toThrow(
      coded('VAULT_PASSPHRASE'),
    );
  });
});

const isWrong = (error: unknown): boolean => (error as ChimeraError | undefined)?.code === 'VAULT_PASSPHRASE';

/** What `from` asks `to`, as an honest member does. */
function questionOf(to: Peer, from: Peer): Uint8Array {
  const [newest] = from.secrets.current();
  if (newest === undefined) throw new Error('no secret');
  const { generation, secret } = newest;
  const challenge = random.bytes(16);
  const about = ['chimera-vault-question 1', String(generation), from.identity.node, to.identity.node, ''].join('\n');
  const proof = createHmac('sha256', secret).update(about).update(challenge).digest();
  return Uint8Array.from([1, 0, 0, 0, generation, ...challenge, ...proof]);
}

/** Every spelling in which the secret might show. */
function spellings({ expandedSecret }: MasterKey): string[] {
  return [expandedSecret.subarray(0, 32), expandedSecret.subarray(32)].flatMap((bytes) => {
    const buffer = Buffer.from(bytes);
    return [
      buffer.toString('hex').slice(0, 40),
      buffer.toString('base64').slice(0, 40),
      buffer.toString('base64url').slice(0, 40),
      encodeBase32(bytes).slice(0, 40),
      buffer.toString('latin1').slice(0, 16),
      [...bytes.subarray(0, 8)].join(', '),
    ];
  });
}
