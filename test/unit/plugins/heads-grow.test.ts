/** Heads that grow beside the first in a tor, and go again: plugins/heads, `grow` and `shrink`. */
import { describe, expect, test } from 'vitest';
import {
  headControlContract,
  headRegistryContract,
  masterContract,
  masterKeyContract,
  proxyContract,
  torContract,
  type AnyPlugin,
  type HeadControl,
} from '../../../core/engine/index.ts';
import {
  addressOfKey,
  encodePublicKeyFile,
  encodeSecretKeyFile,
  masterKeyFromSeed,
} from '../../../core/onion/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';
import headsDisposable from '../../../plugins/heads/disposable/index.ts';
import headsShared from '../../../plugins/heads/shared/index.ts';
import { makeBackend, makeConsensus, morning } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf, type BareHost, type ScriptedTor } from './support.ts';

const master = masterKeyFromSeed(new Uint8Array(32).fill(7));
const base = '/var/lib/tor/chimera';
const mine: [string, string][] = [
  ['HiddenServiceDir', '/var/lib/tor/mine'],
  ['HiddenServicePort', '80 127.0.0.1:8000'],
];

interface Stage extends BareHost {
  readonly tor: ScriptedTor;
  readonly control: HeadControl;
  readonly retired: string[];
  /** The heads that the registry was told of last. */
  told(): string[];
  /** The directories of the services that tor runs. */
  directories(): string[];
  /** PublishHidServDescriptors after each SETCONF. */
  readonly published: (string | undefined)[];
}

async function stage(settings: object = {}, plugin: AnyPlugin = headsDisposable): Promise<Stage> {
  const bare = createBareHost();
  bare.clock.jump(morning * 1_000 - bare.clock.now());
  const consensus = makeConsensus(morning);
  const tor = createScriptedTor(consensus);
  tor.conf.set('DataDirectory', '/var/lib/tor');
  tor.services = [...mine];
  const services = new Map<string, { address: string; descriptor: string }>();
  for (const number of [1, 2, 3, 4]) {
    const { address, report } = await makeBackend(`one/${number}`, consensus, { slot: 'first', points: 3 });
    services.set(`${base}/one-${number}`, { address, descriptor: report.descriptor });
  }
  const published: Stage['published'] = [];
  tor.onSetConf = async (options) => {
    published.push(options.find(([option]) => option === 'PublishHidServDescriptors')?.[1]);
    for (const [option, directory = ''] of options) {
      const service = services.get(directory);
      if (option !== 'HiddenServiceDir' || service === undefined) continue;
      if ((await bare.store.list(directory)).includes('hostname')) continue;
      await bare.store.write(`${directory}/hostname`, `${service.address}.onion\n`);
      tor.serviceDescriptors.set(service.address, service.descriptor);
    }
  };
  const told: HeadReport[][] = [];
  const retired: string[] = [];
  bare.provide(torContract, torOf(tor));
  bare.provide(masterContract, { address: addressOfKey(master.publicKey) });
  bare.provide(masterKeyContract, {
    memoryOnly: false,
    secretKeyFile: () => encodeSecretKeyFile(master),
    publicKeyFile: () => encodePublicKeyFile(master.publicKey),
  });
  bare.provide(headRegistryContract, { set: (reports) => void told.push([...reports]) });
  bare.provide(proxyContract, {
    front: async (head) => ({ target: `127.0.0.1:70${head.slice(-1)}`, settings: [] }),
    retire: async (head) => void retired.push(head),
    circuits: () => [],
    onStream: () => () => undefined,
    cut: () => 0,
    door: () => undefined,
  });
  bare.apply(plugin, settings);
  await bare.start();
  await bare.clock.advance(1_000);
  return {
    ...bare,
    tor,
    control: bare.given(headControlContract),
    retired,
    published,
    told: () => (told.at(-1) ?? []).map(({ head }) => head),
    directories: () => tor.services.filter(([option]) => option === 'HiddenServiceDir').map(([, path]) => path),
  };
}
const filesBelow = (s: Stage, directory: string): string[] =>
  s.store.files().filter((path) => path.startsWith(`${directory}/`));

describe('a head that grows', () => {
  test('is one more OnionBalance instance in the same tor, beside the others, with a directory and a key of its own', async () => {
    const s = await stage();
    const before = [...s.tor.services];
    expect(s.control.grow?.('test')).toBe('one/2');
    await s.clock.advance(2_000);
    expect(s.tor.services).toEqual([
      ...before,
      ['HiddenServiceDir', `${base}/one-2`],
      ['HiddenServicePort', '80 127.0.0.1:702'],
      ['HiddenServiceNumIntroductionPoints', '3'],
      ['HiddenServiceOnionBalanceInstance', '1'],
    ]);
    expect(filesBelow(s, `${base}/one-2`)).toEqual(expect.arrayContaining([`${base}/one-2/ob_config`]));
    expect(s.told()).toEqual(['one/1', 'one/2']);
    const [first, second] = s.control.heads();
    expect(second?.address).not.toBe(first?.address);
    await s.stop();
    expect(s.tor.services).toEqual(mine);
    expect(filesBelow(s, base)).toEqual([]);
  });

  test.each([0, 1, 3])('heads.grow = %i is the limit, and one that went makes room for another', async (grow) => {
    const s = await stage({ grow });
    const grown: string[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const head = s.control.grow?.('test');
      if (head !== undefined) grown.push(head);
    }
    expect(grown).toEqual(['one/2', 'one/3', 'one/4'].slice(0, grow));
    await s.clock.advance(5_000);
    expect(s.directories()).toHaveLength(2 + grow);
    if (grow === 0) return;
    await s.clock.runFor(s.control.shrink?.('one/2', 'test') ?? Promise.resolve(), 1_000);
    // A name is never used twice.
    expect(s.control.grow?.('test')).toBe(`one/${grow + 2}`);
    expect(s.control.grow?.('test')).toBeUndefined();
  });

  test('nothing grows while tor is away', async () => {
    const s = await stage();
    s.tor.setState('connecting');
    expect(s.control.grow?.('test')).toBeUndefined();
    expect(s.control.heads()).toHaveLength(1);
  });

  test('is set up again when tor comes back, as the others are', async () => {
    const s = await stage();
    s.control.grow?.('test');
    await s.clock.advance(2_000);
    s.tor.setState('connecting');
    s.tor.services = [...mine];
    await s.clock.advance(5_000);
    expect(s.told()).toEqual([]);
    s.tor.setState('ready');
    await s.clock.advance(5_000);
    expect(s.told()).toEqual(['one/1', 'one/2']);
    expect(s.directories()).toHaveLength(3);
  });
});

describe('a head that shrinks', () => {
  test.each([false, true])('leaves nothing behind; keep_on_exit, which is %s, is for the exit', async (keep) => {
    const s = await stage({ keep_on_exit: keep });
    const before = { services: [...s.tor.services], listeners: s.tor.listeners(), files: s.store.files() };
    s.control.grow?.('test');
    await s.clock.advance(2_000);
    s.control.exclude('one/2', 'test');
    expect(s.told()).toEqual(['one/1']);
    await s.clock.runFor(s.control.shrink?.('one/2', 'test') ?? Promise.resolve(), 1_000);
    await s.clock.advance(60_000);
    expect(s.tor.services).toEqual(before.services);
    expect(s.store.files()).toEqual(before.files);
    expect(s.tor.listeners()).toBe(before.listeners);
    expect(s.retired).toEqual(['one/2']);
    expect(s.control.heads().map(({ head }) => head)).toEqual(['one/1']);
    expect(s.told()).toEqual(['one/1']);
  });

  test('in the midst of its set-up: that is taken back', async () => {
    const s = await stage();
    const before = [...s.tor.services];
    const setConf = s.tor.setConf.bind(s.tor);
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    s.tor.setConf = async (settings) => {
      await held;
      return setConf(settings);
    };
    s.control.grow?.('test');
    await s.clock.advance(100);
    const shrinking = s.control.shrink?.('one/2', 'test') ?? Promise.resolve();
    go();
    await s.clock.runFor(shrinking, 1_000);
    await s.clock.advance(30_000);
    expect(s.tor.services).toEqual(before);
    expect(filesBelow(s, `${base}/one-2`)).toEqual([]);
  });

  test('must be one that has grown: the others stay', async () => {
    const s = await stage();
    const before = [...s.tor.services];
    await s.control.shrink?.('one/1', 'test');
    await s.control.shrink?.('two/1', 'test');
    expect(s.tor.services).toEqual(before);
    expect(s.control.heads().map(({ head }) => head)).toEqual(['one/1']);
    expect(s.retired).toEqual([]);
  });
});

describe('heads/shared', () => {
  test('tor publishes nothing of its own until the last head is gone, and then as before', async () => {
    const s = await stage({}, headsShared);
    s.control.grow?.('test');
    await s.clock.advance(2_000);
    expect(s.tor.conf.get('PublishHidServDescriptors')).toBe('0');
    await s.clock.runFor(s.control.shrink?.('one/2', 'test') ?? Promise.resolve(), 1_000);
    expect(s.tor.conf.get('PublishHidServDescriptors')).toBe('0');
    s.control.grow?.('test');
    await s.clock.advance(2_000);
    expect(s.directories()).toHaveLength(3);
    const from = s.published.length;
    await s.stop();
    expect(s.published.slice(from)).toEqual([undefined, '1']);
    expect(s.tor.services).toEqual(mine);
  });
});
