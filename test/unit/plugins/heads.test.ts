import { describe, expect, test } from 'vitest';
import {
  headRegistryContract,
  masterContract,
  masterKeyContract,
  proxyContract,
  torContract,
  type AnyPlugin,
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
import { evening, makeBackend, makeConsensus, morning, type Backend } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf, type BareHost, type ScriptedTor } from './support.ts';

const master = masterKeyFromSeed(new Uint8Array(32).fill(7));
const address = addressOfKey(master.publicKey);
const base = '/var/lib/tor/chimera';
const own = `${base}/one-1`;
const mine = [
  ['HiddenServiceDir', '/var/lib/tor/mine'],
  ['HiddenServicePort', '80 127.0.0.1:8000'],
] as [string, string][];

interface Stage extends BareHost {
  readonly tor: ScriptedTor;
  /** Every list of reports that the registry was given. */
  readonly told: (readonly HeadReport[])[];
  /** The service that tor runs in a directory, by directory: known once it is set up. */
  readonly services: Map<string, Backend>;
  /** What lay in the directory when tor was told of it. */
  readonly found: Map<string, Record<string, string>>;
  now(): readonly HeadReport[];
}

/** A tor that runs what it is told to: it writes a hostname, and has a descriptor for it. */
function scripted(tor: ScriptedTor, bare: BareHost, services: Map<string, Backend>, found: Stage['found']): void {
  tor.onSetConf = async (settings) => {
    for (const [option, directory] of settings) {
      if (option !== 'HiddenServiceDir' || directory === undefined) continue;
      const names = await bare.store.list(directory);
      const files: Record<string, string> = {};
      for (const name of names)
        files[name] = Buffer.from((await bare.store.read(`${directory}/${name}`)) ?? []).toString('latin1');
      found.set(directory, files);
      const service = services.get(directory);
      if (service === undefined || names.includes('hostname')) continue;
      await bare.store.write(`${directory}/hostname`, `${service.address}.onion\n`);
      if (service.report.descriptor !== '') tor.serviceDescriptors.set(service.address, service.report.descriptor);
    }
  };
}

async function stage(
  options: {
    at?: number;
    plugin?: AnyPlugin;
    settings?: object;
    heads?: number;
    points?: number;
    memoryOnly?: boolean;
  } = {},
): Promise<Stage> {
  const consensus = makeConsensus(options.at ?? morning);
  const bare = createBareHost();
  bare.clock.jump((options.at ?? morning) * 1000 - bare.clock.now());
  const services = new Map<string, Backend>();
  const found: Stage['found'] = new Map();
  const tor = createScriptedTor(consensus);
  tor.conf.set('DataDirectory', '/var/lib/tor');
  tor.services = [...mine];
  services.set(own, await makeBackend('one/1', consensus, { slot: 'first', points: options.points ?? 3 }));
  scripted(tor, bare, services, found);
  const told: HeadReport[][] = [];
  bare.provide(torContract, torOf(tor));
  bare.provide(masterContract, { address });
  bare.provide(masterKeyContract, {
    memoryOnly: options.memoryOnly ?? false,
    secretKeyFile: () => encodeSecretKeyFile(master),
    publicKeyFile: () => encodePublicKeyFile(master.publicKey),
  });
  bare.provide(headRegistryContract, { set: (reports) => void told.push([...reports]) });
  bare.apply(options.plugin ?? headsDisposable, options.settings);
  return { ...bare, tor, told, services, found, now: () => told.at(-1) ?? [] };
}
/** The head is told, with this very descriptor. (Comparing the texts would print them.) */
function expectTold(s: Stage, backend: Backend): void {
  expect(s.now().map(({ descriptor }) => descriptor === backend.report.descriptor)).toEqual([true]);
}
const setConfs = (tor: ScriptedTor): string[] => tor.calls.filter((call) => call.startsWith('setConf'));
const errorsIn = (lines: BareHost['lines']): unknown[] =>
  lines.filter(({ level }) => level === 'error').map(({ fields }) => (fields.error as { code?: string }).code);

describe('set up', () => {
  test('beside the operator’s own services, with ob_config written before tor sees the directory', async () => {
    const s = await stage({ settings: { virtual_port: 443, target: 8443, num_introduction_points: 5 } });
    await s.start();
    await s.clock.advance(10);
    expect(s.tor.services).toEqual([
      ...mine,
      ['HiddenServiceDir', own],
      ['HiddenServicePort', '443 8443'],
      ['HiddenServiceNumIntroductionPoints', '5'],
      ['HiddenServiceOnionBalanceInstance', '1'],
    ]);
    expect(s.found.get(own)).toEqual({ ob_config: `MasterOnionAddress ${address}.onion\n` });
    expect(setConfs(s.tor)).toHaveLength(1);
    expect(s.tor.conf.get('PublishHidServDescriptors')).toBe('1');
  });

  test('the relays’ limit on introductions: off by default, on when asked for, and torrc’s word is the last', async () => {
    const option = 'HiddenServiceEnableIntroDoSDefense';
    const of = async (settings: object): Promise<string[]> => {
      const s = await stage({ settings });
      await s.start();
      await s.clock.advance(10);
      return s.tor.services.filter(([name]) => name === option).map(([, value]) => value);
    };
    expect(await of({})).toEqual([]);
    expect(await of({ introduction_limit: true })).toEqual(['1']);
    expect(await of({ introduction_limit: true, torrc: { [option]: '0' } })).toEqual(['0']);
  });

  test('a proxy stands before the target: the virtual port leads there, with the options that it asks for', async () => {
    const s = await stage({ settings: { target: 8443, torrc: { HiddenServiceMaxStreams: '100' } } });
    const asked: string[][] = [];
    s.provide(proxyContract, {
      front: async (head, target) => {
        asked.push([head, target]);
        return { target: '127.0.0.1:4711', settings: [['HiddenServiceExportCircuitID', 'haproxy']] };
      },
      retire: async () => undefined,
      circuits: () => [],
      onStream: () => () => undefined,
      cut: () => 0,
      door: () => undefined,
    });
    await s.start();
    await s.clock.advance(10);
    expect(asked).toEqual([['one/1', '8443']]);
    expect(s.tor.services).toContainEqual(['HiddenServicePort', '80 127.0.0.1:4711']);
    expect(s.tor.services.slice(-2)).toEqual([
      ['HiddenServiceExportCircuitID', 'haproxy'],
      ['HiddenServiceMaxStreams', '100'],
    ]);
  });

  test('with more of torrc’s own words, in a directory of the operator’s choice', async () => {
    const s = await stage({
      settings: { hidden_service_dir: '/srv/heads', torrc: { HiddenServiceMaxStreams: '100' } },
    });
    const service = s.services.get(own);
    if (service !== undefined) s.services.set('/srv/heads/one-1', service);
    await s.start();
    await s.clock.advance(10);
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', '/srv/heads/one-1']);
    expect(s.tor.services.at(-1)).toEqual(['HiddenServiceMaxStreams', '100']);
    expect(s.now()).toHaveLength(1);
  });

  test('what is reported is the head’s own descriptor, and told once while it stays the same', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(30_000);
    const service = s.services.get(own);
    expect(s.told).toEqual([
      [
        {
          head: 'one/1',
          node: 'one',
          address: service?.address,
          descriptor: service?.report.descriptor,
          provenance: 'service',
          observedAt: expect.any(Number) as number,
        },
      ],
    ]);
    expect(s.tor.calls.filter((call) => call.startsWith('fetch'))).toEqual([]);
  });

  test('a descriptor that tor has merely encrypted anew is no news, other introduction points are', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(3000);
    const service = s.services.get(own);
    const consensus = makeConsensus(morning);
    const again = await makeBackend('one/1', consensus, { slot: 'first', revision: 9n });
    if (service === undefined) throw new Error('no service');
    s.tor.serviceDescriptors.set(service.address, again.report.descriptor);
    await s.clock.advance(10_000);
    expect(s.told).toHaveLength(1);
    const more = await makeBackend('one/1', consensus, { slot: 'first', points: 4 });
    s.tor.serviceDescriptors.set(service.address, more.report.descriptor);
    await s.clock.advance(10_000);
    expect(s.told).toHaveLength(2);
    expectTold(s, more);
  });

  test('what tor says again is not looked into again, with the certificate and revision that it had, for five minutes', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(3_000);
    const service = s.services.get(own);
    if (service === undefined) throw new Error('no service');
    const warnings = (): number => s.lines.filter(({ level }) => level === 'warn').length;
    // Anyone who looks stumbles.
    const changed = service.report.descriptor.replace(/(?<=superencrypted\n-.*-\n)..../, 'AAAA');
    expect(changed).not.toBe(service.report.descriptor);
    s.tor.serviceDescriptors.set(service.address, changed);
    await s.clock.advance(290_000);
    expect([s.told.length, warnings()]).toEqual([1, 0]);
    await s.clock.advance(15_000);
    expect(warnings()).toBeGreaterThan(0);
    expect(s.now()).toEqual([]);
  });

  test('a descriptor that is somebody else’s is not told', async () => {
    const s = await stage();
    const stranger = await makeBackend('two/1', makeConsensus(morning), { slot: 'first' });
    const service = s.services.get(own);
    if (service !== undefined) s.services.set(own, { ...service, report: stranger.report });
    await s.start();
    await s.clock.advance(10_000);
    expect(s.told).toEqual([]);
    expect(s.lines.some(({ level }) => level === 'warn')).toBe(true);
  });
});

describe('a time period that begins', () => {
  const noon = evening - 6 * 3600;
  const early = 'setConf FetchDirInfoEarly=1 FetchDirInfoExtraEarly=1';
  const asBefore = 'setConf FetchDirInfoEarly=0 FetchDirInfoExtraEarly=0';
  const settings = (s: Stage): string[] => setConfs(s.tor).filter((call) => call.includes('FetchDirInfo'));
  async function beforeNoon(): Promise<Stage> {
    const s = await stage({ at: noon - 3600 });
    await s.start();
    return s;
  }

  test('tor is asked for the consensus early, once, and left as it was when it has it', async () => {
    const s = await beforeNoon();
    await s.clock.advance(3_590_000);
    expect(settings(s)).toEqual([]);
    await s.clock.advance(20_000);
    expect(settings(s)).toEqual([early]);
    await s.clock.advance(600_000);
    expect(settings(s)).toEqual([early]);
    s.tor.setConsensus(makeConsensus(noon));
    await s.clock.advance(10_000);
    expect(settings(s)).toEqual([early, asBefore]);
  });

  test('an operator who has set it is not meddled with, and at the stop tor is left as it was', async () => {
    const s = await beforeNoon();
    s.tor.conf.set('FetchDirInfoExtraEarly', '1');
    await s.clock.advance(3_700_000);
    s.tor.setConsensus(makeConsensus(noon));
    await s.clock.advance(10_000);
    expect(settings(s)).toEqual([]);
    const other = await beforeNoon();
    await other.clock.advance(3_700_000);
    await other.stop();
    expect(settings(other)).toEqual([early, asBefore]);
  });

  test('a tor that refuses it runs its head as before', async () => {
    const s = await beforeNoon();
    await s.clock.advance(10_000);
    s.tor.onSetConf = () => Promise.reject(new Error('513'));
    await s.clock.advance(3_700_000);
    expect(s.now()).toHaveLength(1);
    expect(s.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });
});

describe('which source tells the introduction points', () => {
  const uploaded = (s: Stage): void =>
    s.tor.emit('HS_DESC', 'UPLOADED', s.services.get(own)?.address ?? '', 'UNKNOWN', '$X');
  async function both(s: Stage, revision = 5n): Promise<{ first: Backend; second: Backend }> {
    const consensus = makeConsensus(evening);
    const first = await makeBackend('one/1', consensus, { slot: 'first' });
    const second = await makeBackend('one/1', consensus, { slot: 'second', points: 4, revision });
    s.services.set(own, first);
    s.tor.onFetch = async () => ({ text: second.report.descriptor, fingerprint: 'X' });
    return { first, second };
  }

  test('while clients use the first descriptor, tor’s own copy: no HSDir is asked', async () => {
    const s = await stage({ at: morning });
    await s.start();
    await s.clock.advance(1000);
    uploaded(s);
    await s.clock.advance(60_000);
    expect(s.tor.calls.some((call) => call.startsWith('fetch'))).toBe(false);
    expect(s.now()).toMatchObject([{ provenance: 'service' }]);
  });

  test('while they use the second, the HSDirs’ copy, once this tor has uploaded one', async () => {
    const s = await stage({ at: evening });
    const { first, second } = await both(s);
    await s.start();
    await s.clock.advance(10_000);
    // Before an upload the HSDirs may hold the descriptor of a service that has died.
    expect(s.tor.calls.some((call) => call.startsWith('fetch'))).toBe(false);
    uploaded(s);
    await s.clock.advance(2000);
    expectTold(s, second);
    // Clients keep what they fetch until the next period, and the first one's points die before.
    expect(s.told).toHaveLength(1);
    expect(first.report.descriptor).not.toBe(second.report.descriptor);
  });

  test('a tor that uploads nothing: its own copy after half a minute', async () => {
    const s = await stage({ at: evening });
    const { first } = await both(s);
    await s.start();
    await s.clock.advance(29_000);
    expect(s.told).toEqual([]);
    await s.clock.advance(5_000);
    expectTold(s, first);
  });

  test('the copy is fetched anew after an upload, and one with a lower revision is not taken', async () => {
    const s = await stage({ at: evening });
    const { second } = await both(s);
    await s.start();
    await s.clock.advance(1000);
    uploaded(s);
    await s.clock.advance(2000);
    const older = await makeBackend('one/1', makeConsensus(evening), { slot: 'second', points: 5, revision: 4n });
    s.tor.onFetch = async () => ({ text: older.report.descriptor, fingerprint: 'X' });
    uploaded(s);
    await s.clock.advance(5000);
    expectTold(s, second);
    const newer = await makeBackend('one/1', makeConsensus(evening), { slot: 'second', points: 5, revision: 6n });
    s.tor.onFetch = async () => ({ text: newer.report.descriptor, fingerprint: 'X' });
    uploaded(s);
    await s.clock.advance(5000);
    expectTold(s, newer);
  });

  test('an upload of another service is not this one’s', async () => {
    const s = await stage({ at: evening });
    await both(s);
    await s.start();
    await s.clock.advance(1000);
    s.tor.emit('HS_DESC', 'UPLOADED', 'a'.repeat(56), 'UNKNOWN', '$X');
    s.tor.emit('HS_DESC', 'FAILED', s.services.get(own)?.address ?? '', 'UNKNOWN', '$X');
    await s.clock.advance(10_000);
    expect(s.tor.calls.some((call) => call.startsWith('fetch'))).toBe(false);
  });

  test('HSDirs that do not have it yet: tor’s copy meanwhile, and asked again soon', async () => {
    const s = await stage({ at: evening });
    const { first, second } = await both(s);
    s.tor.onFetch = () => Promise.reject(new Error('NOT_FOUND'));
    await s.start();
    await s.clock.advance(1000);
    uploaded(s);
    await s.clock.advance(40_000);
    expectTold(s, first);
    s.tor.onFetch = async () => ({ text: second.report.descriptor, fingerprint: 'X' });
    await s.clock.advance(10_000);
    expectTold(s, second);
  });

  test('a copy that is not this head’s does not count: tor’s own serves', async () => {
    const s = await stage({ at: evening });
    const { first } = await both(s);
    const stranger = await makeBackend('two/1', makeConsensus(evening));
    s.tor.onFetch = async () => ({ text: stranger.report.descriptor, fingerprint: 'X' });
    await s.start();
    await s.clock.advance(1000);
    uploaded(s);
    await s.clock.advance(40_000);
    expectTold(s, first);
    expect(s.told).toHaveLength(1);
  });

  test('at the change of halves it changes over', async () => {
    const s = await stage({ at: evening });
    await both(s);
    await s.start();
    await s.clock.advance(1000);
    uploaded(s);
    await s.clock.advance(2000);
    expect(s.now()).toMatchObject([{ provenance: 'hsdir' }]);
    const consensus = makeConsensus(morning);
    const next = await makeBackend('one/1', consensus, { slot: 'first', points: 5 });
    s.tor.serviceDescriptors.set(next.address, next.report.descriptor);
    s.clock.jump(12 * 3_600_000);
    s.tor.setConsensus(consensus);
    await s.clock.advance(10);
    expectTold(s, next);
  });
});

describe('tor goes and comes', () => {
  test('lost: the head is dropped after lost_after_ms, not before', async () => {
    const s = await stage({ settings: { lost_after_ms: 5000 } });
    await s.start();
    await s.clock.advance(1000);
    expect(s.now()).toHaveLength(1);
    s.tor.setState('connecting');
    await s.clock.advance(4900);
    expect(s.now()).toHaveLength(1);
    await s.clock.advance(200);
    expect(s.now()).toEqual([]);
  });

  test('lost in the middle of a question: lost_after_ms holds there too', async () => {
    const s = await stage({ settings: { lost_after_ms: 5000 } });
    await s.start();
    await s.clock.advance(1000);
    const { tor } = s;
    tor.serviceDescriptor = async () => {
      tor.setState('connecting');
      throw new Error('TOR_LOST');
    };
    await s.clock.advance(4000);
    expect(tor.state).toBe('connecting');
    expect(s.now()).toHaveLength(1);
    await s.clock.advance(5000);
    expect(s.now()).toEqual([]);
  });

  test('back in time: nothing was dropped, and it is set up again in case tor was restarted', async () => {
    const s = await stage({ settings: { lost_after_ms: 5000 } });
    await s.start();
    await s.clock.advance(1000);
    s.tor.setState('connecting');
    s.tor.services = [...mine];
    await s.clock.advance(2000);
    s.tor.setState('ready');
    await s.clock.advance(5000);
    expect(s.told).toHaveLength(1);
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', own]);
    expect(setConfs(s.tor)).toHaveLength(2);
  });

  test('restarted: dropped, then set up with the same directory and told again', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    s.tor.setState('connecting');
    s.tor.services = [...mine];
    s.tor.serviceDescriptors.clear();
    await s.clock.advance(10_000);
    expect(s.now()).toEqual([]);
    s.tor.setState('ready');
    await s.clock.advance(1000);
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', own]);
    const again = await makeBackend('one/1', makeConsensus(morning), { slot: 'first', points: 5 });
    s.tor.serviceDescriptors.set(again.address, again.report.descriptor);
    await s.clock.advance(5000);
    expectTold(s, again);
  });

  const reload = (s: Stage): void => {
    s.tor.services = [...mine];
    s.tor.serviceDescriptors.clear();
  };

  /** tor runs the service, and has no introduction point for it yet. */
  const withoutDescriptor = (s: Stage): Backend => {
    const service = s.services.get(own);
    if (service === undefined) throw new Error('no service');
    s.services.set(own, { ...service, report: { ...service.report, descriptor: '' } });
    return service;
  };

  test('reloaded (SIGHUP): tor forgets what SETCONF told it; the head is dropped and set up again', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    reload(s);
    await s.clock.advance(60_000);
    expect(s.told.some((reports) => reports.length === 0)).toBe(true);
    expect(setConfs(s.tor).length).toBeGreaterThanOrEqual(2);
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', own]);
    expect(s.tor.services).toContainEqual(mine[0]);
  });

  test('reloaded before it ever had an introduction point: set up again all the same', async () => {
    const s = await stage();
    withoutDescriptor(s);
    await s.start();
    await s.clock.advance(100);
    reload(s);
    await s.clock.advance(60_000);
    expect(s.told).toEqual([]);
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', own]);
    expect(setConfs(s.tor)).toHaveLength(2);
  });

  test('slow to make its first introduction points: it is waited for, not set up over and over', async () => {
    const s = await stage();
    const service = withoutDescriptor(s);
    await s.start();
    await s.clock.advance(120_000);
    expect(setConfs(s.tor)).toHaveLength(1);
    s.tor.serviceDescriptors.set(service.address, service.report.descriptor);
    await s.clock.advance(1000);
    expect(s.now()).toHaveLength(1);
  });

  test('silent while connected: dropped at once, its own answer is the only one that counts', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    s.tor.serviceDescriptor = () => Promise.reject(new Error('551 internal error'));
    await s.clock.advance(4000);
    expect(s.now()).toEqual([]);
  });
});

describe('the stop', () => {
  test('takes the head out of tor and its directory away; the operator’s services stay', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    await s.stop();
    expect(s.tor.services).toEqual(mine);
    expect(s.store.files().filter((path) => path.startsWith(own))).toEqual([]);
    expect(s.clock.pending).toBe(0);
    expect(s.tor.listeners()).toBe(0);
  });

  test('without other services the list is reset', async () => {
    const s = await stage();
    s.tor.services = [];
    await s.start();
    await s.clock.advance(1000);
    await s.stop();
    expect(s.tor.services).toEqual([]);
    expect(setConfs(s.tor).at(-1)).toBe('setConf HiddenServiceDir=');
  });

  test('keep_on_exit leaves both', async () => {
    const s = await stage({ settings: { keep_on_exit: true } });
    await s.start();
    await s.clock.advance(1000);
    await s.stop();
    expect(s.tor.services).toContainEqual(['HiddenServiceDir', own]);
    expect(s.store.files()).toContain(`${own}/hostname`);
  });

  test('a tor that is gone is not waited for', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    s.tor.setState('connecting');
    await s.stop();
    expect(setConfs(s.tor)).toHaveLength(1);
    // With its end it has forgotten the service; nobody else would ever remove the directory.
    expect(s.store.files().filter((path) => path.startsWith(base))).toEqual([]);
  });

  test('a tor that hangs is given up, and the directory goes nevertheless', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    s.tor.command = () => new Promise(() => undefined);
    await s.clock.runFor(s.stop(), 1000);
    expect(s.store.files().filter((path) => path.startsWith(base))).toEqual([]);
    expect(s.lines).toContainEqual(
      expect.objectContaining({ message: 'a head may still be in its tor', fields: expect.anything() as object }),
    );
  });

  test('in the midst of a set-up: what was begun is taken back, and nothing begins after it', async () => {
    for (const stopAfter of ['DataDirectory', 'process/uid', 'GETCONF', 'SETCONF']) {
      const s = await stage();
      let go: () => void = () => undefined;
      const held = new Promise<void>((resolve) => {
        go = resolve;
      });
      const hold = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
        if (what !== stopAfter) return work();
        const value = await work();
        await held;
        return value;
      };
      const real = { ...s.tor };
      s.tor.getConf = (option) => hold(option, () => real.getConf(option));
      s.tor.getInfo = (key) => hold(key, () => real.getInfo(key));
      s.tor.command = (line) => hold('GETCONF', () => real.command(line));
      s.tor.setConf = (settings) => hold('SETCONF', () => real.setConf(settings));
      await s.start();
      await s.clock.advance(10);
      // The engine does not wait for background work for ever.
      s.abort();
      s.tor.command = (line) => real.command(line);
      s.tor.setConf = (settings) => real.setConf(settings);
      await s.release();
      go();
      await s.clock.advance(10);
      expect([stopAfter, s.tor.services]).toEqual([stopAfter, mine]);
      expect(s.store.files().filter((path) => path.startsWith(base))).toEqual([]);
    }
  });

  test('the parent of the directories goes too once it is empty, and only then', async () => {
    const s = await stage();
    await s.start();
    await s.clock.advance(1000);
    await s.store.makeDirectory(`${base}/another-1`);
    await s.stop();
    expect(await s.store.list(base)).toEqual(['another-1']);
    const alone = await stage();
    await alone.start();
    await alone.clock.advance(1000);
    await alone.stop();
    expect(await alone.store.list('/var/lib/tor')).toEqual([]);
  });

  test('before anything was set up there is nothing to take back', async () => {
    const s = await stage();
    s.tor.setState('connecting');
    await s.start();
    await s.clock.advance(1000);
    await s.stop();
    expect(s.tor.calls).toEqual([]);
  });
});

describe('failures are told with their code, and tried again', () => {
  test('a directory that may not be written', async () => {
    const s = await stage();
    s.store.readOnly = true;
    await s.start();
    await s.clock.advance(1000);
    expect(errorsIn(s.lines)).toEqual(['HEADS_DIRECTORY']);
    expect(setConfs(s.tor)).toEqual([]);
    s.store.readOnly = false;
    await s.clock.advance(10_000);
    expect(s.now()).toHaveLength(1);
  });

  test('a full disk is called that, and tried again', async () => {
    const s = await stage();
    s.store.full = true;
    await s.start();
    await s.clock.advance(1000);
    const [line] = s.lines.filter(({ level }) => level === 'error');
    expect(line?.fields.error).toMatchObject({
      code: 'HEADS_DIRECTORY',
      remedy: expect.stringMatching(/room/) as string,
    });
    s.store.full = false;
    await s.clock.advance(10_000);
    expect(s.now()).toHaveLength(1);
  });

  test('a directory of the operator’s that is in use keeps its owner', async () => {
    const s = await stage({ settings: { hidden_service_dir: '/srv' } });
    const owned: string[] = [];
    s.store.own = async (path) => void owned.push(path);
    await s.store.makeDirectory('/srv/www');
    await s.start();
    await s.clock.advance(10);
    expect(owned).toEqual(['/srv/one-1', '/srv/one-1/ob_config']);
  });

  test('a DataDirectory that tor does not tell', async () => {
    const s = await stage();
    s.tor.conf.delete('DataDirectory');
    await s.start();
    await s.clock.advance(1000);
    expect(errorsIn(s.lines)).toEqual(['HEADS_DIRECTORY']);
  });

  test('a hostname that tor did not write, or that cannot be read', async () => {
    const s = await stage();
    s.services.clear();
    await s.start();
    await s.clock.advance(1000);
    expect(errorsIn(s.lines)).toEqual(['HEADS_DIRECTORY']);
  });

  test('a service that tor refuses', async () => {
    const s = await stage();
    const work = s.tor.onSetConf;
    s.tor.onSetConf = () => {
      throw new Error('513 Unacceptable option value');
    };
    await s.start();
    await s.clock.advance(1000);
    expect(errorsIn(s.lines)).toEqual(['HEADS_REFUSED']);
    expect(s.tor.services).toEqual(mine);
    s.tor.onSetConf = work;
    await s.clock.advance(10_000);
    expect(s.now()).toHaveLength(1);
  });
});

test('several tors carry a head each; one that fails does not hold up the others', async () => {
  const consensus = makeConsensus(morning);
  const s = await stage({ settings: {} });
  const bare = createBareHost();
  bare.clock.jump(morning * 1000 - bare.clock.now());
  const services = new Map<string, Backend>();
  const tors = new Map<string, ScriptedTor>();
  for (const index of [1, 2, 3]) {
    const tor = createScriptedTor(consensus, `tor${index}`);
    tor.conf.set('DataDirectory', `/tor${index}`);
    services.set(`/tor${index}/chimera/one-${index}`, await makeBackend(`one/${index}`, consensus, { slot: 'first' }));
    scripted(tor, bare, services, new Map());
    tors.set(`127.0.0.1:${9050 + index}`, tor);
  }
  const second = tors.get('127.0.0.1:9052');
  if (second !== undefined)
    second.onSetConf = () => {
      throw new Error('513 no');
    };
  const told: HeadReport[][] = [];
  bare.provide(torContract, torOf(s.tor, tors));
  bare.provide(masterContract, { address });
  bare.provide(headRegistryContract, { set: (reports) => void told.push([...reports]) });
  bare.apply(headsDisposable, { controls: [...tors.keys()] });
  await bare.start();
  await bare.clock.advance(5000);
  expect(told.at(-1)?.map(({ head }) => head)).toEqual(['one/1', 'one/3']);
  tors.get('127.0.0.1:9051')?.setState('connecting');
  await bare.clock.advance(5000);
  expect(told.at(-1)?.map(({ head }) => head)).toEqual(['one/3']);
  await bare.stop();
  expect(tors.get('127.0.0.1:9053')?.services).toEqual([]);
});

describe('heads/shared', () => {
  async function shared(settings = {}): Promise<Stage> {
    const s = await stage({ at: evening, plugin: headsShared, settings });
    const consensus = makeConsensus(evening);
    const backend = await makeBackend('one/1', consensus, { slot: 'first' });
    s.services.set(own, { ...backend, address });
    return s;
  }

  test('tor gets the master’s key and is told not to publish, before it runs', async () => {
    const s = await shared();
    await s.start();
    await s.clock.advance(10);
    expect(s.found.get(own)).toEqual({
      hostname: `${address}.onion\n`,
      hs_ed25519_public_key: Buffer.from(encodePublicKeyFile(master.publicKey)).toString('latin1'),
      hs_ed25519_secret_key: Buffer.from(encodeSecretKeyFile(master)).toString('latin1'),
      ob_config: `MasterOnionAddress ${address}.onion\n`,
    });
    expect(s.tor.conf.get('PublishHidServDescriptors')).toBe('0');
    expect(setConfs(s.tor)).toHaveLength(1);
  });

  test('no HSDir is asked: what is there is what we published', async () => {
    const s = await shared();
    await s.start();
    await s.clock.advance(1000);
    s.tor.emit('HS_DESC', 'UPLOADED', address, 'UNKNOWN', '$X');
    await s.clock.advance(60_000);
    expect(s.tor.calls.some((call) => call.startsWith('fetch'))).toBe(false);
  });

  test('the stop takes the key away, and puts PublishHidServDescriptors back as it was', async () => {
    const s = await shared();
    s.tor.conf.set('PublishHidServDescriptors', '1');
    await s.start();
    await s.clock.advance(1000);
    await s.stop();
    expect(s.tor.conf.get('PublishHidServDescriptors')).toBe('1');
    expect(s.store.files().filter((path) => path.startsWith(own))).toEqual([]);
  });
});

describe('a key that may not lie on a disk', () => {
  const wrote = (s: Stage): Promise<Uint8Array | undefined> => s.store.read(`${own}/hs_ed25519_secret_key`);

  test('goes to no tor whose directory does', async () => {
    const s = await stage({ plugin: headsShared, memoryOnly: true });
    await s.start();
    await s.clock.advance(60_000);
    expect(await wrote(s)).toBeUndefined();
    expect(errorsIn(s.lines)).toEqual(['VAULT_ON_DISK']);
    expect(s.told).toEqual([]);
  });

  test('goes to one on a tmpfs', async () => {
    const s = await stage({ plugin: headsShared, memoryOnly: true });
    s.store.tmpfs.add('/var/lib/tor/chimera');
    await s.start();
    await s.clock.advance(10);
    expect(await wrote(s)).toEqual(encodeSecretKeyFile(master));
    expect(errorsIn(s.lines)).toEqual([]);
  });
});
