import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseOnionAddress, readOuter, type OnionAddress } from '../../../core/onion/index.ts';
import {
  formatEndpoint,
  silentLog,
  systemProcesses,
  type Endpoint,
  type Runtime,
} from '../../../core/runtime/index.ts';
import { createTorClient } from '../../../plugins/tor/index.ts';
import { startEmbeddedNetwork, type EmbeddedNetwork } from '../../kit/network/embedded/index.ts';
import type { TorInstance } from '../../kit/network/network.ts';
import { createMemoryNet } from '../../kit/sim/memory-net.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../kit/sim/virtual-clock.ts';
import { runCli, type CliRun } from './support.ts';

const hour = 3_600_000;
let clock: VirtualClock;
let runtime: Runtime;
let network: EmbeddedNetwork;
let tor: TorInstance;
let service: OnionAddress;
const strangerAddress = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid';

/** Runs a command line while virtual time passes. */
const cli = (...args: string[]): Promise<CliRun> => clock.runFor(runCli(args, { runtime }), hour);
const control = (): string[] => ['--control', formatEndpoint(tor.control)];
const socks = (): string[] => ['--socks', formatEndpoint(tor.socks as Endpoint)];

/** Adds a tor with a service whose port 80 leads to `target`, and waits until its descriptor can be fetched. */
async function publishService(target: Endpoint): Promise<OnionAddress> {
  const head = await network.addTor({ name: 'head' });
  await network.ready();
  const client = createTorClient(runtime, { control: head.control });
  await client.ready(10_000);
  await client.setConf([
    ['HiddenServiceDir', `${head.dataDirectory}/service`],
    ['HiddenServicePort', `80 ${formatEndpoint(target)}`],
  ]);
  await runtime.clock.sleep(60_000);
  const hostname = await runtime.store.read(`${head.dataDirectory}/service/hostname`);
  await client.close();
  return parseOnionAddress(Buffer.from(hostname ?? '').toString());
}

beforeAll(async () => {
  clock = createVirtualClock(Date.UTC(2026, 0, 1, 3, 0, 1));
  const net = createMemoryNet({ clock });
  runtime = {
    clock,
    net,
    random: createSeededRandom(1),
    store: createMemoryStore(),
    processes: systemProcesses,
    log: silentLog,
  };
  const site = await net.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => undefined);
    stream.on('data', () => stream.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
  });
  network = await startEmbeddedNetwork(runtime, { votingSeconds: 20, sharedRandom: 'both' });
  const starting = (async () => {
    tor = await network.addTor({ name: 'client', socks: true });
    await network.ready();
    service = await publishService(site.endpoint);
  })();
  await clock.runFor(starting, hour);
});
afterAll(async () => {
  await clock.runFor(network.stop(), hour);
});

describe('debug tor', () => {
  test('says that all is well', async () => {
    const { exitCode, out, err } = await cli('debug', 'tor', ...control());
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toMatch(/^bootstrap +100 %/m);
    expect(out).toMatch(/^HSDirs +20$/m);
    expect(out).toContain('ready for onion services');
  });

  test('prints the same as JSON', async () => {
    const { exitCode, json } = await cli('debug', 'tor', ...control(), '--json');
    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      ok: true,
      version: expect.stringMatching(/^0\.4\./),
      bootstrap: { percent: 100 },
      socks: [formatEndpoint(tor.socks as Endpoint)],
      consensus: { hsdirs: 20, testingNetwork: true, periodLengthMinutes: 8 },
      problems: [],
    });
  });

  test.each([
    ['nobody listens', ['--control', '127.0.0.1:1'], 3, 'TOR_CONNECT'],
    ['the cookie is missing', ['--cookie', '/no/such/cookie'], 3, 'TOR_COOKIE'],
    ['the password file is missing', ['--control-password-file', '/no/such/file'], 2, 'CLI_FILE'],
  ])('says what is wrong when %s', async (_name, args, code, error) => {
    const { exitCode, out, err } = await cli('debug', 'tor', ...control(), ...args);
    expect([exitCode, out]).toEqual([code, '']);
    expect(err).toMatch(new RegExp(`^error ${error}: .*\nfix: `));
  });

  test('keeps to JSON when no tor can be reached', async () => {
    const { exitCode, json } = await cli('debug', 'tor', '--control', '127.0.0.1:1', '--json');
    expect(exitCode).toBe(3);
    expect(json()).toMatchObject({ ok: false, problems: [{ code: 'TOR_CONNECT' }] });
  });

  test('gives up on a control port that accepts and says nothing', async () => {
    const silent = await runtime.net.listen({ host: '127.0.0.1', port: 0 }, () => undefined);
    const args = ['--control', formatEndpoint(silent.endpoint), '--timeout', '2'];
    const { exitCode, err } = await cli('debug', 'tor', ...args);
    expect(exitCode).toBe(3);
    expect(err).toMatch(/^error TOR_TIMEOUT: .*\nfix: /);
    await silent.close();
  });

  test('notices a clock that is wrong', async () => {
    clock.jump(-2 * hour);
    const { exitCode, out, err } = await cli('debug', 'tor', ...control());
    clock.jump(2 * hour);
    expect(exitCode).toBe(4);
    expect(out).toContain('not ready');
    expect(err).toMatch(/^error TOR_CONSENSUS: the consensus becomes valid in \d+ s, so a clock is wrong\nfix: /);
  });

  test('says how far a tor is that bootstraps', async () => {
    const young = await clock.runFor(network.addTor({ name: 'young' }), hour);
    const { exitCode, err } = await cli('debug', 'tor', '--control', formatEndpoint(young.control));
    expect(exitCode).toBe(4);
    expect(err).toMatch(/^error TOR_BOOTSTRAP: tor has bootstrapped to \d+ %: .*\nfix: /m);
  });
});

describe('debug hsdirs and debug fetch', () => {
  interface Place {
    readonly usedByClients: boolean;
    readonly blindedKey: string;
    readonly replicas: readonly (readonly { fingerprint: string; asked: boolean }[])[];
  }

  test('the HSDirs that clients ask have the descriptor, and others have not', async () => {
    const listed = await cli('debug', 'hsdirs', '--address', `${service}.onion`, ...control(), '--json');
    expect(listed).toMatchObject({ exitCode: 0, err: '' });
    const places = listed.json()['descriptors'] as Place[];
    expect(places.map(({ replicas }) => replicas.map((relays) => relays.length))).toEqual([
      [4, 4],
      [4, 4],
    ]);
    const used = places.find(({ usedByClients }) => usedByClients);
    const relays = used?.replicas.flat() ?? [];
    const asked = relays.filter((relay) => relay.asked).map(({ fingerprint }) => fingerprint);
    expect(asked).toHaveLength(6);
    expect(
      places
        .find(({ usedByClients }) => !usedByClients)
        ?.replicas.flat()
        .some((relay) => relay.asked),
    ).toBe(false);
    for (const fingerprint of asked) {
      const { exitCode, json } = await cli('debug', 'fetch', service, ...control(), '--server', fingerprint, '--json');
      expect(exitCode).toBe(0);
      expect(json()).toMatchObject({ ok: true, hsdir: fingerprint, blindedKey: used?.blindedKey });
      expect(json()['introPoints']).toHaveLength(3);
    }
    const responsible = new Set(places.flatMap(({ replicas }) => replicas.flat().map((relay) => relay.fingerprint)));
    const other = network.relays.find(({ fingerprint }) => !responsible.has(fingerprint));
    if (other === undefined) return;
    const refused = await cli('debug', 'fetch', service, ...control(), '--server', other.fingerprint);
    expect(refused).toMatchObject({ exitCode: 4, out: '' });
    expect(refused.err).toMatch(/^error TOR_FETCH_FAILED: .*NOT_FOUND\nfix: /);
  });

  test('people read the ring too', async () => {
    const { exitCode, out } = await cli('debug', 'hsdirs', '--address', service, ...control());
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^(?:first|second) \(the one that clients fetch now\)$/m);
    expect(out.match(/^ {4}[0-9A-F]{40}/gm)).toHaveLength(16);
    expect(out.match(/clients ask it now$/gm)).toHaveLength(6);
  });

  test('--all shows what each responsible HSDir has, and misses what clients would miss', async () => {
    interface Holding {
      readonly fingerprint: string;
      readonly asked: boolean;
      readonly revision?: number;
      readonly introPoints?: number;
    }
    const complete = await cli('debug', 'fetch', service, ...control(), '--all', '--json');
    expect(complete.exitCode).toBe(0);
    const holdings = complete.json()['hsdirs'] as Holding[];
    expect(holdings.filter(({ asked, introPoints }) => asked && introPoints === 3)).toHaveLength(6);
    expect(new Set(holdings.map(({ revision }) => revision)).size).toBe(1);

    const absent = await cli('debug', 'fetch', strangerAddress, ...control(), '--all');
    expect(absent.exitCode).toBe(4);
    expect(absent.out.match(/^[0-9A-F]{40} {2}(?:asked|reserve) +TOR_FETCH_FAILED: .*NOT_FOUND$/gm)).toHaveLength(8);
    expect(absent.err).toMatch(/^error TOR_FETCH_FAILED: 6 of 6 HSDirs are asked in vain; the first: /);
  });

  test('--raw prints what the HSDir gave, byte for byte', async () => {
    const { exitCode, out, err } = await cli('debug', 'fetch', service, ...control(), '--raw');
    expect([exitCode, err]).toEqual([0, '']);
    expect(readOuter(out).lifetimeMinutes).toBe(180);
  });

  test('a service that nobody publishes is not found', async () => {
    const { exitCode, out, err } = await cli('debug', 'fetch', strangerAddress, ...control());
    expect([exitCode, out]).toEqual([4, '']);
    expect(err).toMatch(/^error TOR_FETCH_FAILED: .*\nfix: /);
  });
});

describe('debug connect', () => {
  test.each([
    ['', []],
    ['.onion', []],
    ['.onion:80', []],
  ])('reaches a service as ADDRESS%s', async (ending) => {
    const { exitCode, out, err } = await cli('debug', 'connect', `${service}${ending}`, ...socks());
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toMatch(new RegExp(`^connected to ${service}\\.onion:80 through .* in \\d+ ms\n$`));
  });

  test('asks over HTTP', async () => {
    const { exitCode, json } = await cli('debug', 'connect', service, ...socks(), '--http', '/', '--json');
    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      ok: true,
      port: 80,
      http: { statusLine: 'HTTP/1.1 200 OK', status: 200, bytes: 43 },
    });
  });

  test.each([
    ['a service that nobody publishes', () => [strangerAddress, ...socks()], 4, 'SOCKS_TARGET'],
    ['a port that the service has not', () => [`${service}:81`, ...socks()], 4, 'SOCKS_TARGET'],
    ['a SOCKS port that is none', () => [service, '--socks', '127.0.0.1:1'], 3, 'SOCKS_CONNECT'],
    ['a control port instead', () => [service, '--socks', formatEndpoint(tor.control)], 3, 'SOCKS_CONNECT'],
    ['no address', () => ['nothing'], 2, 'CLI_USAGE'],
    ['a mistyped address', () => [`${strangerAddress.slice(0, -1)}a.onion`], 2, 'ONION_ADDRESS'],
    ['no path', () => [service, ...socks(), '--http', 'x y'], 2, 'CLI_USAGE'],
  ])('says what is wrong with %s', async (_name, args, code, error) => {
    const { exitCode, out, err } = await cli('debug', 'connect', ...args());
    expect([exitCode, out]).toEqual([code, '']);
    expect(err).toMatch(new RegExp(`^error ${error}: .*\nfix: `));
  });
});
