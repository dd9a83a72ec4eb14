import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { headRegistryContract, masterContract, torContract } from '../../../core/engine/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';
import { backends } from '../../../plugins/backends/index.ts';
import { createMemoryNet, type MemoryNet } from '../../kit/sim/memory-net.ts';
import { evening, makeBackend, makeConsensus, morning, type Backend } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf, type BareHost, type ScriptedTor } from './support.ts';

const consensus = makeConsensus(evening);
const known = await Promise.all(['a/1', 'b/1'].map((name) => makeBackend(name, consensus, { revision: 10n })));
const [a, b] = known as [Backend, Backend];

interface Stage extends BareHost {
  readonly tor: ScriptedTor;
  readonly told: (readonly HeadReport[])[];
  /** What the HSDirs hold, by address; undefined is NOT_FOUND. */
  readonly hsdirs: Map<string, Backend | undefined>;
  /** Addresses of the backends that count now. */
  now(): string[];
  fetches(backend: Backend): number;
}

function stage(settings = {}, addresses = known.map(({ address }) => address)): Stage {
  const bare = createBareHost();
  const tor = createScriptedTor(consensus);
  const hsdirs: Stage['hsdirs'] = new Map(known.map((backend) => [backend.address, backend]));
  tor.onFetch = async (address) => {
    const backend = hsdirs.get(address);
    if (backend === undefined) throw new Error('NOT_FOUND');
    return { text: backend.report.descriptor, fingerprint: 'F' };
  };
  const told: HeadReport[][] = [];
  bare.provide(torContract, torOf(tor));
  bare.provide(headRegistryContract, { set: (reports) => void told.push([...reports]) });
  bare.apply(backends, { addresses, watch_port: 0, ...settings });
  return {
    ...bare,
    tor,
    told,
    hsdirs,
    now: () => (told.at(-1) ?? []).map(({ address }) => address),
    fetches: ({ address }) => tor.calls.filter((call) => call === `fetch ${address.slice(0, 6)} any`).length,
  };
}
const minute = 60_000;

test('the master’s own address is no backend: its publication would be merged for ever', async () => {
  const s = stage();
  s.provide(masterContract, { address: b.address });
  await expect(s.start()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`backends.addresses = ${b.address}.onion`) as string,
  });
});

test('each backend’s descriptor is fetched at the start, and told as a head of this node', async () => {
  const s = stage();
  await s.start();
  await s.clock.advance(10);
  expect(s.now()).toEqual([a.address, b.address]);
  expect(s.told.at(-1)?.[0]).toMatchObject({
    head: `one/${a.address.slice(0, 12)}`,
    node: 'one',
    address: a.address,
    provenance: 'hsdir',
    observedAt: evening * 1000,
  });
  expect(s.told.at(-1)?.[0]?.descriptor === a.report.descriptor).toBe(true);
});

test('it is fetched again every refresh_interval_secs, give or take a fifth; the same text is no news', async () => {
  const s = stage({ refresh_interval_secs: 300 });
  await s.start();
  await s.clock.advance(10);
  const before = s.told.length;
  await s.clock.advance(60 * minute);
  expect(s.fetches(a)).toBeGreaterThanOrEqual(1 + Math.floor(3600 / 365));
  expect(s.fetches(a)).toBeLessThanOrEqual(1 + Math.ceil(3600 / 240));
  expect(s.told).toHaveLength(before);
});

test('another descriptor is told; an older one that an HSDir has kept is not', async () => {
  const s = stage({ refresh_interval_secs: 60 });
  await s.start();
  await s.clock.advance(10);
  const newer = await makeBackend('a/1', consensus, { points: 4, revision: 11n });
  s.hsdirs.set(a.address, newer);
  await s.clock.advance(2 * minute);
  const texts = (): boolean[] => (s.told.at(-1) ?? []).map(({ descriptor }) => descriptor === newer.report.descriptor);
  expect(texts()).toEqual([true, false]);
  const count = s.told.length;
  s.hsdirs.set(a.address, a);
  await s.clock.advance(5 * minute);
  expect(s.told).toHaveLength(count);
  expect(texts()).toEqual([true, false]);
});

test('the descriptor of the next period is taken whatever its revision: counters begin anew', async () => {
  const s = stage({ refresh_interval_secs: 60 });
  await s.start();
  await s.clock.advance(10);
  const next = await makeBackend('a/1', makeConsensus(evening + 86_400), { revision: 1n });
  s.hsdirs.set(a.address, next);
  await s.clock.advance(2 * minute);
  expect(s.told.at(-1)?.[0]?.descriptor === next.report.descriptor).toBe(true);
});

test('when clients change to another descriptor all are fetched at once, at the first such change too', async () => {
  const s = stage({ refresh_interval_secs: 7200 });
  await s.start();
  await s.clock.advance(minute);
  expect([s.fetches(a), s.fetches(b)]).toEqual([1, 1]);
  s.tor.setConsensus(makeConsensus(evening + 3600));
  s.tor.setConsensus(makeConsensus(morning));
  await s.clock.advance(minute);
  expect([s.fetches(a), s.fetches(b)]).toEqual([1, 1]);
  s.tor.setConsensus(makeConsensus(evening + 86_400));
  await s.clock.advance(1000);
  expect([s.fetches(a), s.fetches(b)]).toEqual([2, 2]);
});

test('the change is seen when it is the first consensus after the start', async () => {
  const s = stage({ refresh_interval_secs: 7200 });
  await s.start();
  await s.clock.advance(minute);
  s.tor.setConsensus(makeConsensus(evening + 86_400));
  await s.clock.advance(1000);
  expect(s.fetches(a)).toBe(2);
});

test('a backend that cannot be fetched does not hold up the others, and is asked again soon', async () => {
  const s = stage({ refresh_interval_secs: 7200 });
  s.hsdirs.set(a.address, undefined);
  await s.start();
  await s.clock.advance(minute);
  expect(s.now()).toEqual([b.address]);
  expect(s.fetches(a)).toBeGreaterThanOrEqual(8);
  expect(s.fetches(b)).toBe(1);
  s.hsdirs.set(a.address, a);
  await s.clock.advance(minute);
  expect(s.now()).toEqual([a.address, b.address]);
});

test('one that answers with no descriptor counts as one that cannot be fetched', async () => {
  const s = stage();
  s.hsdirs.set(a.address, { ...a, report: { ...a.report, descriptor: 'nonsense' } });
  await s.start();
  await s.clock.advance(minute);
  expect(s.now()).toEqual([b.address]);
});

test('it counts until stale_after_secs have passed without a descriptor, and again when there is one', async () => {
  const s = stage({ stale_after_secs: 600, refresh_interval_secs: 60 });
  await s.start();
  await s.clock.advance(10);
  s.hsdirs.set(a.address, undefined);
  await s.clock.advance(9 * minute);
  expect(s.now()).toEqual([a.address, b.address]);
  await s.clock.advance(3 * minute);
  expect(s.now()).toEqual([b.address]);
  s.hsdirs.set(a.address, a);
  await s.clock.advance(minute);
  expect(s.now()).toEqual([a.address, b.address]);
});

test('a tor that is not there is not asked; when it is back, what is due is', async () => {
  const s = stage({ refresh_interval_secs: 60 });
  await s.start();
  await s.clock.advance(10);
  s.tor.setState('connecting');
  const before = s.tor.calls.length;
  await s.clock.advance(10 * minute);
  expect(s.tor.calls).toHaveLength(before);
  s.tor.setState('ready');
  await s.clock.advance(10_000);
  expect(s.fetches(a)).toBe(2);
});

test('the stop ends it: no timer, no listener', async () => {
  const s = stage();
  await s.start();
  await s.clock.advance(1000);
  await s.stop();
  expect(s.clock.pending).toBe(0);
  expect(s.tor.listeners()).toBe(0);
  expect(s.failures).toEqual([]);
});

test.each([
  [{ addresses: [] }, 'must name at least one backend'],
  [{ addresses: ['abc'] }, '"abc" has 3'],
  [{}, 'addresses'],
])('%j is refused', (options, says) => {
  expect(() => createBareHost().apply(backends, options)).toThrow(says);
});

describe('watching', () => {
  /** A SOCKS5 port that connects to everything that is up (RFC 1928), by host name. */
  async function socksPort(
    net: MemoryNet,
  ): Promise<{ up: Map<string, boolean | 'hangs'>; open: Map<string, Duplex[]>; asked: string[] }> {
    const up = new Map<string, boolean | 'hangs'>();
    const asked: string[] = [];
    const open = new Map<string, Duplex[]>();
    await net.host('tor').listen({ host: '127.0.0.1', port: 9050 }, (stream) => {
      let received = Buffer.alloc(0);
      let stage: 'hello' | 'login' | 'request' | 'data' = 'hello';
      stream.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        if (stage === 'hello') {
          const login = received.subarray(2).includes(2);
          stream.write(Uint8Array.of(5, login ? 2 : 0));
          stage = login ? 'login' : 'request';
        } else if (stage === 'login') {
          stream.write(Uint8Array.of(1, 0));
          stage = 'request';
        } else if (stage === 'request') {
          const host = received.subarray(5, 5 + (received[4] ?? 0)).toString();
          const answers = up.get(host) ?? true;
          asked.push(host);
          if (answers === 'hangs') return;
          stream.write(Uint8Array.of(5, answers ? 0 : 4, 0, 1, 0, 0, 0, 0, 0, 0));
          stage = 'data';
          if (answers) open.set(host, [...(open.get(host) ?? []), stream]);
          else stream.end();
        }
        received = Buffer.alloc(0);
      });
      stream.on('error', () => undefined);
    });
    return { up, open, asked };
  }

  async function watched(settings = {}, prepare?: (tor: ReturnType<typeof stage>['tor']) => void) {
    const s = stage({
      watch_port: 80,
      watch_interval_ms: 1000,
      watch_timeout_ms: 2000,
      watch_failures: 2,
      ...settings,
    });
    const net = createMemoryNet({ clock: s.clock });
    Object.assign(s.host.runtime, { net: net.host('node') });
    if (prepare === undefined) s.tor.info.set('net/listeners/socks', '"127.0.0.1:9050"');
    else prepare(s.tor);
    const socks = await socksPort(net);
    await s.start();
    await s.clock.advance(5000);
    const hostOf = ({ address }: Backend): string => `${address}.onion`;
    return {
      ...s,
      streams: (backend: Backend) =>
        (socks.open.get(hostOf(backend)) ?? []).filter((stream) => !stream.destroyed).length,
      kill: (backend: Backend) => {
        socks.up.set(hostOf(backend), false);
        for (const stream of socks.open.get(hostOf(backend)) ?? []) stream.destroy();
      },
      asked: (backend: Backend) => socks.asked.filter((host) => host === hostOf(backend)).length,
      killHanging: (backend: Backend) => {
        socks.up.set(hostOf(backend), 'hangs');
        for (const stream of socks.open.get(hostOf(backend)) ?? []) stream.destroy();
      },
      hangUp: (backend: Backend) => socks.open.get(hostOf(backend))?.at(-1)?.destroy(),
      revive: (backend: Backend) => socks.up.set(hostOf(backend), true),
    };
  }

  test('one idle stream is held to each', async () => {
    const s = await watched();
    await s.clock.advance(minute);
    expect([s.streams(a), s.streams(b)]).toEqual([1, 1]);
    expect(s.now()).toEqual([a.address, b.address]);
  });

  test('one that dies is left out at once, although HSDirs still have its descriptor', async () => {
    const s = await watched();
    s.kill(a);
    await s.clock.advance(3000);
    expect(s.now()).toEqual([b.address]);
    await s.clock.advance(5 * minute);
    expect(s.now()).toEqual([b.address]);
  });

  test('one whose introduction points still acknowledge is left out after the timeout: tries that hang do not wait for each other', async () => {
    const s = await watched({ watch_timeout_ms: 7000, watch_failures: 3 });
    const before = s.asked(a);
    s.killHanging(a);
    await s.clock.advance(6900);
    expect(s.now()).toEqual([a.address, b.address]);
    expect(s.asked(a) - before).toBe(3);
    await s.clock.advance(200);
    expect(s.now()).toEqual([b.address]);
  });

  test('one that dies just after its stream was opened again is left out as soon', async () => {
    const s = await watched({ watch_interval_ms: 60_000 });
    await s.clock.advance(2 * minute);
    s.hangUp(a);
    await s.clock.advance(1000);
    s.kill(a);
    await s.clock.advance(3000);
    expect(s.now()).toEqual([b.address]);
  });

  test('one try that hangs is not a dead backend: the next one answers', async () => {
    const s = await watched({ watch_timeout_ms: 7000, watch_failures: 3 });
    const count = s.told.length;
    s.killHanging(a);
    await s.clock.advance(500);
    s.revive(a);
    await s.clock.advance(10_000);
    expect(s.told).toHaveLength(count);
    expect(s.streams(a)).toBe(1);
  });

  test('a tor that goes away between two questions is asked again', async () => {
    // No answer to net/listeners/socks yet.
    const s = await watched({}, () => undefined);
    expect([s.streams(a), s.streams(b)]).toEqual([0, 0]);
    s.tor.info.set('net/listeners/socks', '"127.0.0.1:9050"');
    await s.clock.advance(10_000);
    expect([s.streams(a), s.streams(b)]).toEqual([1, 1]);
  });

  test('one that comes back counts again, and its descriptor is fetched: it has other introduction points', async () => {
    const s = await watched({ refresh_interval_secs: 7200 });
    s.kill(a);
    await s.clock.advance(minute);
    const before = s.fetches(a);
    s.revive(a);
    await s.clock.advance(10_000);
    expect(s.now()).toEqual([a.address, b.address]);
    expect(s.fetches(a)).toBeGreaterThan(before);
  });

  test('a far end that merely closes idle connections is not dead', async () => {
    const s = await watched();
    const count = s.told.length;
    for (let round = 0; round < 5; round++) {
      s.hangUp(a);
      await s.clock.advance(10_000);
    }
    expect(s.told).toHaveLength(count);
    expect(s.streams(a)).toBe(1);
  });

  test('one whose port was never open is not left out: it may be closed by intent', async () => {
    const s = stage({ watch_port: 81, watch_interval_ms: 1000, watch_timeout_ms: 2000 });
    const net = createMemoryNet({ clock: s.clock });
    Object.assign(s.host.runtime, { net });
    s.tor.info.set('net/listeners/socks', '"127.0.0.1:9050"');
    await s.start();
    await s.clock.advance(2 * minute);
    expect(s.now()).toEqual([a.address, b.address]);
  });

  test('a tor without a SocksPort: said once, and the backends count without a watch', async () => {
    const s = stage({ watch_port: 80 });
    s.tor.info.set('net/listeners/socks', '');
    await s.start();
    await s.clock.advance(minute);
    expect(s.lines.filter(({ message }) => message.includes('no SocksPort'))).toHaveLength(1);
    expect(s.now()).toEqual([a.address, b.address]);
  });

  test('the stop closes the streams', async () => {
    const s = await watched();
    await s.stop();
    await s.clock.advance(1000);
    expect([s.streams(a), s.streams(b)]).toEqual([0, 0]);
    expect(s.clock.pending).toBe(0);
    expect(s.failures).toEqual([]);
  });
});
