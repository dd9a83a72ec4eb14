import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  clusterSecretsContract,
  nodeIdentityContract,
  nodeIdOf,
  type ClusterSecret,
} from '../../../core/engine/index.ts';
import { verifyPlain } from '../../../core/onion/signature.ts';
import {
  createClusterSecret,
  createClusterSecrets,
  createNodeKey,
  encodeClusterSecrets,
  encodeNodeKey,
  identity,
  identityOfSeed,
  isLater,
  openSealed,
  parseClusterSecrets,
  parseNodeKey,
  readNodeKey,
  sealTo,
  secretName,
  writeClusterSecrets,
} from '../../../plugins/identity/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { settle } from '../../kit/sim/virtual-clock.ts';
import { createBareHost } from './support.ts';

const seed = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
const own = identityOfSeed(seed);
const random = createSeededRandom('identity');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const secret = (generation: number, fill: number): ClusterSecret => ({
  generation,
  secret: new Uint8Array(32).fill(fill),
});

const knownAnswer = [
  '3pdelkpyneaxny6ygrv3',
  'f24b79ef248368c904305eed4350a839b9153206b50da151931c752c0d4f7162',
  'adc48a7d940c73ec6501714923fbc70f576a8415313c945e3217a44b010b5431',
];

describe('a node key', () => {
  test('makes the same keys of the same seed, and the id of the first', () => {
    expect(own.node).toBe(nodeIdOf(own.keys.signing));
    expect(identityOfSeed(seed)).toMatchObject({ node: own.node, keys: own.keys });
    // A known answer, made once with Python's hkdf and cryptography: who changes the labels makes all nodes strangers.
    expect([own.node, ...Object.values(own.keys).map((key) => Buffer.from(key as Uint8Array).toString('hex'))]).toEqual(
      knownAnswer,
    );
  });

  test('signs, and agrees with others as they agree with it', () => {
    const other = identityOfSeed(new Uint8Array(32).fill(5));
    expect(verifyPlain(own.keys.signing, bytes('text'), own.sign(bytes('text')))).toBe(true);
    expect(own.agree(other.keys.agreement)).toEqual(other.agree(own.keys.agreement));
    for (const bad of [new Uint8Array(32), new Uint8Array(31), new Uint8Array(32).fill(1).fill(0, 1)]) {
      expect(() => own.agree(bad)).toThrow(expect.objectContaining({ code: 'IDENTITY_KEY' }));
    }
  });

  test('is written once, for the owner alone, and read back', async () => {
    const store = createMemoryStore();
    const made = await createNodeKey(store, '/node_key', random);
    expect(await store.mode('/node_key')).toBe(0o600);
    expect((await readNodeKey(store, '/node_key')).node).toBe(made.node);
    await expect(createNodeKey(store, '/node_key', random)).rejects.toMatchObject({ code: 'IDENTITY_EXISTS' });
    expect((await readNodeKey(store, '/node_key')).node).toBe(made.node);
  });

  test.each(['640', '604', '620', '644', '666'])('is refused with mode %s', async (text) => {
    const mode = Number.parseInt(text, 8);
    const store = createMemoryStore();
    await createNodeKey(store, '/node_key', random);
    store.setMode('/node_key', mode);
    await expect(readNodeKey(store, '/node_key')).rejects.toMatchObject({
      code: 'IDENTITY_EXPOSED',
      message: expect.stringContaining(mode.toString(8)) as string,
    });
  });

  test('is read with mode 400, as systemd leaves credentials', async () => {
    const store = createMemoryStore();
    const { node } = await createNodeKey(store, '/node_key', random);
    store.setMode('/node_key', 0o400);
    expect((await readNodeKey(store, '/node_key')).node).toBe(node);
  });

  test('is refused when it is missing, cut, changed, or not readable', async () => {
    const store = createMemoryStore();
    await expect(readNodeKey(store, '/node_key')).rejects.toMatchObject({ code: 'IDENTITY_MISSING' });
    await createNodeKey(store, '/node_key', random);
    const whole = (await store.read('/node_key')) as Uint8Array;
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseNodeKey(whole.subarray(0, length))).toThrow(expect.objectContaining({ code: 'IDENTITY_FILE' }));
    }
    store.corrupt('/node_key');
    await expect(readNodeKey(store, '/node_key')).rejects.toMatchObject({
      code: 'IDENTITY_FILE',
      message: expect.stringContaining('/node_key') as string,
    });
    Object.assign(store, { read: () => Promise.reject(new Error('EIO: input/output error')) });
    await expect(readNodeKey(store, '/node_key')).rejects.toMatchObject({ code: 'IDENTITY_FILE' });
  });

  test('every one-byte change of the file is refused', () => {
    const text = bytes(encodeNodeKey(seed));
    for (let at = 0; at < text.length; at++) {
      for (const by of [1, 2, 0x20, 0x80]) {
        const changed = text.slice();
        changed[at] = (changed[at] ?? 0) ^ by;
        expect(() => parseNodeKey(changed)).toThrow(expect.objectContaining({ code: 'IDENTITY_FILE' }));
      }
    }
  });
});

describe('cluster secrets', () => {
  test('are written as text, newest first, and read back', () => {
    for (const secrets of [
      [secret(1, 7)],
      [secret(9, 1), secret(4, 2)],
      [9, 7, 5, 4].map((each) => secret(each, each)),
    ]) {
      expect(parseClusterSecrets(bytes(encodeClusterSecrets(secrets)))).toEqual(secrets);
    }
  });

  test('every one-byte change of the file, and every shorter one, is refused', () => {
    const text = bytes(encodeClusterSecrets([secret(9, 1), secret(4, 2)]));
    const refused = expect.objectContaining({ code: 'IDENTITY_FILE' }) as unknown;
    for (let at = 0; at < text.length; at++) {
      for (const by of [1, 2, 0x20, 0x80]) {
        const changed = text.slice();
        changed[at] = (changed[at] ?? 0) ^ by;
        expect(() => parseClusterSecrets(changed)).toThrow(refused);
      }
      expect(() => parseClusterSecrets(text.slice(0, at))).toThrow(refused);
    }
  });

  test.each<[string, ClusterSecret[]]>([
    ['none', []],
    ['five', [5, 4, 3, 2, 1].map((generation) => secret(generation, 1))],
    ['the wrong order', [secret(1, 1), secret(2, 1)]],
    ['twice the same', [secret(1, 1), secret(1, 1)]],
    ['generation 0', [secret(0, 1)]],
    ['a short one', [{ generation: 1, secret: new Uint8Array(31) }]],
  ])('are refused: %s', (_name, secrets) => {
    expect(() => encodeClusterSecrets(secrets)).toThrow(expect.objectContaining({ code: 'IDENTITY_FILE' }));
  });

  test('learns later ones, keeps those before, forgets at a word; listeners hear each change', async () => {
    const kept: (readonly ClusterSecret[])[] = [];
    let changes = 0;
    const secrets = createClusterSecrets(
      () => [secret(1, 1)],
      async (all) => void kept.push(all),
    );
    const unsubscribe = secrets.onChange(() => changes++);
    await secrets.learn(secret(1, 1));
    expect(kept).toEqual([]);
    await secrets.learn(secret(2, 2));
    await secrets.learn(secret(5, 5));
    await secrets.learn(secret(4, 4));
    expect(secrets.current()).toEqual([secret(5, 5), secret(2, 2), secret(1, 1)]);
    await secrets.learn(secret(6, 6));
    await secrets.learn(secret(7, 7));
    expect(secrets.current()).toEqual([secret(7, 7), secret(6, 6), secret(5, 5), secret(2, 2)]);
    expect(changes).toBe(4);
    await secrets.retire();
    expect(secrets.current()).toEqual([secret(7, 7)]);
    await secrets.retire();
    expect(kept.at(-1)).toEqual([secret(7, 7)]);
    unsubscribe();
    await secrets.learn(secret(8, 8));
    expect(changes).toBe(5);
  });

  test('of two of one generation the greater name counts, in whatever order they come', async () => {
    const both = [secret(2, 3), secret(2, 4)] as const;
    const [winner, loser] = secretName(both[0]) > secretName(both[1]) ? both : ([both[1], both[0]] as const);
    for (const order of [[winner, loser] as const, [loser, winner] as const]) {
      const secrets = createClusterSecrets(
        () => [secret(1, 1)],
        async () => undefined,
      );
      for (const one of order) await secrets.learn(one);
      // Whoever had only the other goes on with it until it is told.
      expect(secrets.current()).toEqual(order[0] === winner ? [winner, secret(1, 1)] : [winner, loser, secret(1, 1)]);
      expect(parseClusterSecrets(bytes(encodeClusterSecrets(secrets.current())))).toEqual(secrets.current());
    }
    expect(isLater(both[0], both[1])).toBe(!isLater(both[1], both[0]));
  });

  test('at the end all are overwritten, after what is being kept; none is learned or kept any more', async () => {
    const store = createMemoryStore();
    const secrets = createClusterSecrets(
      () => [secret(1, 1)],
      (all) => writeClusterSecrets(store, '/secrets', all),
    );
    const learned = secrets.learn(secret(2, 2));
    const held = secrets.current();
    await Promise.all([learned, secrets.release()]);
    expect(held.map((one) => Buffer.from(one.secret).toString('hex'))).toEqual(['00'.repeat(32), '00'.repeat(32)]);
    expect(secrets.current()).toEqual([]);
    await secrets.learn(secret(3, 3));
    await secrets.retire();
    await secrets.release();
    expect(parseClusterSecrets((await store.read('/secrets')) as Uint8Array)).toEqual([secret(2, 2), secret(1, 1)]);
  });

  test('one that cannot be kept counts all the same, and is tried again until it is kept', async () => {
    const store = createMemoryStore();
    const retries: (() => void)[] = [];
    let changes = 0;
    const secrets = createClusterSecrets(
      () => [secret(1, 1)],
      (all) => writeClusterSecrets(store, '/secrets', all),
      (retry) => void retries.push(retry),
    );
    secrets.onChange(() => changes++);
    expect(secrets.kept).toBe(true);
    store.full = true;
    await expect(secrets.learn(secret(2, 2))).rejects.toMatchObject({ code: 'IDENTITY_FILE' });
    expect(secrets.current()[0]).toEqual(secret(2, 2));
    expect([secrets.kept, retries.length, changes]).toEqual([false, 1, 1]);
    retries.pop()?.();
    await settle();
    expect([secrets.kept, retries.length]).toEqual([false, 1]);
    store.full = false;
    retries.pop()?.();
    await settle();
    expect([secrets.kept, retries.length, changes]).toEqual([true, 0, 2]);
    expect(parseClusterSecrets((await store.read('/secrets')) as Uint8Array)).toEqual([secret(2, 2), secret(1, 1)]);
    store.full = true;
    await expect(secrets.learn(secret(3, 3))).rejects.toMatchObject({ code: 'IDENTITY_FILE' });
    store.full = false;
    await secrets.learn(secret(4, 4));
    expect(secrets.kept).toBe(true);
    await secrets.release();
    retries.pop()?.();
    await settle();
    expect(parseClusterSecrets((await store.read('/secrets')) as Uint8Array)).toEqual(
      [4, 3, 2, 1].map((each) => secret(each, each)),
    );
  });
});

describe('the plugin', () => {
  async function started() {
    const store = createMemoryStore();
    const { node } = await createNodeKey(store, '/node_key', random);
    await writeClusterSecrets(store, '/secrets', [createClusterSecret(random)], { fresh: true });
    const bare = createBareHost({ node, store });
    bare.apply(identity, { node_key_path: '/node_key', cluster_secrets_path: '/secrets' });
    return { bare, store, node };
  }

  test('overwrites the cluster’s secret at the stop', async () => {
    const { bare, store } = await started();
    await bare.start();
    const held = bare.given(clusterSecretsContract).current();
    await bare.stop();
    expect(held.map((one) => Buffer.from(one.secret).toString('hex'))).toEqual(['00'.repeat(32)]);
    expect(parseClusterSecrets((await store.read('/secrets')) as Uint8Array)).toHaveLength(1);
  });

  test('gives what the files say, and keeps what it learns', async () => {
    const { bare, store, node } = await started();
    expect(() => bare.given(nodeIdentityContract).keys).toThrow(expect.objectContaining({ code: 'ENGINE_CONTRACT' }));
    expect(() => bare.given(clusterSecretsContract).current()).toThrow(
      expect.objectContaining({ code: 'ENGINE_CONTRACT' }),
    );
    await bare.start();
    expect(bare.given(nodeIdentityContract).node).toBe(node);
    const secrets = bare.given(clusterSecretsContract);
    expect(secrets.current()).toHaveLength(1);
    await secrets.learn(createClusterSecret(random, secrets.current()[0]));
    expect(parseClusterSecrets((await store.read('/secrets')) as Uint8Array)).toEqual(secrets.current());
    expect(await store.mode('/secrets')).toBe(0o600);
    await bare.stop();
    expect(() => bare.given(nodeIdentityContract).sign(seed)).toThrow(
      expect.objectContaining({ code: 'ENGINE_CONTRACT' }),
    );
  });

  test('does not start under another id than that of its key', async () => {
    const store = createMemoryStore();
    await createNodeKey(store, '/node_key', random);
    await writeClusterSecrets(store, '/secrets', [createClusterSecret(random)]);
    const bare = createBareHost({ node: 'one', store });
    bare.apply(identity, { node_key_path: '/node_key', cluster_secrets_path: '/secrets' });
    await expect(bare.start()).rejects.toMatchObject({ code: 'ENGINE_CONTRACT' });
  });

  test('says where the files should be when no directory is configured', () => {
    expect(() => createBareHost().apply(identity)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('no error, log or inspection shows a byte of the key or the secret', async () => {
    const { bare, store } = await started();
    const key = parseNodeKey((await store.read('/node_key')) as Uint8Array);
    await bare.start();
    const secrets = bare.given(clusterSecretsContract);
    const [first] = secrets.current() as [ClusterSecret];
    store.full = true;
    const errors: unknown[] = [];
    await secrets.learn(createClusterSecret(random, first)).catch((error: unknown) => errors.push(error));
    store.full = false;
    store.truncate('/node_key', 80);
    await readNodeKey(store, '/node_key').catch((error: unknown) => errors.push(error));
    expect(errors).toHaveLength(2);
    const shown = inspect([errors, bare.lines, bare.given(nodeIdentityContract)], { depth: 20 });
    for (const hidden of [key, ...secrets.current().map((each) => each.secret)]) {
      const buffer = Buffer.from(hidden);
      for (const text of [buffer.toString('hex'), buffer.toString('base64').slice(0, 40), [...hidden].join(', ')]) {
        expect(shown).not.toContain(text);
      }
    }
  });
});

describe('a sealed message', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => identityOfSeed(createSeededRandom(name).bytes(32)));
  if (a === undefined || b === undefined || c === undefined) throw new Error('three');
  const subject = { purpose: 'vault', about: ['cluster', '3'] };
  const sealed = sealTo(a, b.keys, subject, bytes('the text'), random);
  const refused = expect.objectContaining({ code: 'SEALED_REFUSED' }) as Error;

  test('opens for its receiver, and is another one each time', () => {
    expect(openSealed(b, a.keys, subject, sealed)).toEqual(bytes('the text'));
    expect(sealTo(a, b.keys, subject, bytes('the text'), random)).not.toEqual(sealed);
    expect(openSealed(b, a.keys, subject, sealTo(a, b.keys, subject, new Uint8Array(), random))).toHaveLength(0);
  });

  test('opens for no other receiver, sender, purpose or matter', () => {
    expect(() => openSealed(c, a.keys, subject, sealed)).toThrow(refused);
    expect(() => openSealed(a, b.keys, subject, sealed)).toThrow(refused);
    expect(() => openSealed(b, c.keys, subject, sealed)).toThrow(refused);
    expect(() => openSealed(b, { ...a.keys, signing: c.keys.signing }, subject, sealed)).toThrow(refused);
    for (const other of [
      { ...subject, purpose: 'other' },
      { ...subject, about: ['cluster', '4'] },
      { ...subject, about: ['cluster'] },
      { ...subject, about: ['cluster3'] },
      { ...subject, about: ['cluster', '3', ''] },
    ]) {
      expect(() => openSealed(b, a.keys, other, sealed)).toThrow(refused);
    }
  });

  test('every one-bit change is refused', () => {
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => openSealed(b, a.keys, subject, changed)).toThrow(refused);
    }
  });

  test('goes to no key of low order', () => {
    const bad = { ...b.keys, agreement: new Uint8Array(32) };
    expect(() => sealTo(a, bad, subject, bytes('x'), random)).toThrow(
      expect.objectContaining({ code: 'IDENTITY_KEY' }),
    );
  });
});
