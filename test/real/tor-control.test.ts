import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { TorClient, TorConnectOptions } from '../../core/engine/contracts/tor.ts';
import {
  formatEndpoint,
  silentLog,
  systemRuntime,
  systemSelf,
  type ChildProcess,
  type Endpoint,
  type Log,
} from '../../core/runtime/index.ts';
import { createTorClient } from '../../plugins/tor/index.ts';
import { createTorClientSite, torClientChecks, type TorClientSite } from '../kit/conformance/tor-client.ts';
import { checkMetricsPort } from '../kit/conformance/metrics-port.ts';
import { freePorts, startPrivateNetwork, type PrivateNetwork } from '../kit/network/private/index.ts';
import { describeReal } from './require.ts';

const runtime = systemRuntime();
const releases: (() => unknown)[] = [];
const password = 'correct "horse" \\ bätter';
// `tor --hash-password` of the password above.
let hashedPassword = '';

afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

interface LoneTor {
  readonly directory: string;
  readonly control: Endpoint;
  process: ChildProcess;
  start(): Promise<void>;
}

/** A tor without a network, of its own. `lines` see its directory as `%`. */
async function loneTor(lines: readonly string[], over: 'tcp' | 'unix' = 'tcp'): Promise<LoneTor> {
  const directory = `${systemSelf.temporaryDirectory}/chimera-tor-${Buffer.from(runtime.random.bytes(6)).toString('hex')}`;
  await runtime.store.makeDirectory(directory);
  releases.push(() => runtime.store.remove(directory));
  const [port = 0] = await freePorts(runtime, 1);
  const control: Endpoint = over === 'tcp' ? { host: '127.0.0.1', port } : { path: `${directory}/control` };
  const torrc = [
    `DataDirectory ${directory}/data`,
    over === 'tcp' ? `ControlPort ${formatEndpoint(control)}` : `ControlSocket ${directory}/control`,
    'DisableNetwork 1',
    'SocksPort 0',
    `__OwningControllerProcess ${systemSelf.pid}`,
    'Log notice stdout',
    ...lines.map((line) => line.replaceAll('%', directory)),
  ];
  await runtime.store.write(`${directory}/torrc`, `${torrc.join('\n')}\n`);
  const start = (): Promise<ChildProcess> =>
    runtime.processes.start('tor', ['--defaults-torrc', '/dev/null', '-f', `${directory}/torrc`]);
  const tor: LoneTor = {
    directory,
    control,
    process: await start(),
    start: async () => {
      tor.process = await start();
    },
  };
  releases.push(async () => {
    tor.process.kill('SIGKILL');
    await tor.process.ended;
  });
  return tor;
}

function connect(control: Endpoint, options: Partial<TorConnectOptions> = {}, log: Log = silentLog): TorClient {
  const client = createTorClient({ ...runtime, log }, { control, ...options });
  releases.push(() => client.close());
  return client;
}

async function failureOf(client: TorClient, code: string): Promise<Error> {
  while ((client.lastError as { code?: string } | undefined)?.code !== code) await runtime.clock.sleep(20);
  return client.lastError as Error;
}

describeReal('one tor, no network', ['tor'], () => {
  beforeAll(async () => {
    const child = await runtime.processes.start('tor', [
      '--quiet',
      '--defaults-torrc',
      '/dev/null',
      '--hash-password',
      password,
    ]);
    await child.ended;
    hashedPassword = /16:[0-9A-F]+/.exec(child.output())?.[0] ?? '';
  });

  test.each([
    ['SAFECOOKIE', ['CookieAuthentication 1'], 'tcp', {}],
    [
      'SAFECOOKIE over a unix socket, the cookie elsewhere',
      ['CookieAuthentication 1', 'CookieAuthFile %/my cookie'],
      'unix',
      {},
    ],
    ['a password', ['HashedControlPassword @'], 'tcp', { password }],
    ['both: the cookie is used', ['CookieAuthentication 1', 'HashedControlPassword @'], 'tcp', { password: 'wrong' }],
    [
      'both, and no cookie to be read: the password is used',
      ['CookieAuthentication 1', 'HashedControlPassword @'],
      'tcp',
      { password, cookiePath: '/nonexistent' },
    ],
    ['nothing', [], 'tcp', {}],
  ] as const)('authenticates with %s', async (_name, lines, over, options) => {
    const tor = await loneTor(
      lines.map((line) => line.replace('@', hashedPassword)),
      over,
    );
    const client = connect(tor.control, options);
    await client.ready(20_000);
    expect(await client.getInfo('version')).toMatch(/^\d+\.\d+\.\d+/);
    expect(client.version).toMatch(/^\d+\.\d+\.\d+/);
    await client.setConf([
      ['ContactInfo', 'a "b" \\ é'],
      ['Nickname', 'chimera'],
    ]);
    expect(await client.getConf('ContactInfo')).toEqual(['a "b" \\ é']);
    await client.setConf([['Nickname']]);
    expect(await client.getConf('Nickname')).toEqual([]);
  });

  test('a wrong password and a wrong cookie are told apart, and not told', async () => {
    let logged = '';
    const note = (message: string, fields?: unknown): void => {
      logged += `${message} ${String((fields as { error?: unknown } | undefined)?.error)}`;
    };
    const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
    const one = await loneTor([`HashedControlPassword ${hashedPassword}`]);
    const wrong = await failureOf(connect(one.control, { password: 'hunter2' }, log), 'TOR_AUTHENTICATION');
    expect(wrong).toMatchObject({ remedy: expect.stringContaining('HashedControlPassword') });
    expect(`${wrong.message}${logged}`).not.toContain('hunter2');
    await failureOf(connect(one.control), 'TOR_AUTHENTICATION');

    const two = await loneTor(['CookieAuthentication 1']);
    await runtime.store.write(`${two.directory}/other`, new Uint8Array(32).fill(1));
    const stale = await failureOf(connect(two.control, { cookiePath: `${two.directory}/other` }), 'TOR_AUTHENTICATION');
    expect(stale.message).toContain('does not know the authentication cookie');
    await failureOf(connect(two.control, { cookiePath: '/nonexistent' }), 'TOR_COOKIE');
  });

  test('its SOCKS port is no control port', async () => {
    const [socks = 0] = await freePorts(runtime, 1);
    const tor = await loneTor(['CookieAuthentication 1']);
    const client = connect(tor.control);
    await client.ready(20_000);
    await client.setConf([
      ['DisableNetwork', '0'],
      ['SocksPort', `127.0.0.1:${socks}`],
      ['UseBridges', '0'],
    ]);
    const error = await failureOf(connect({ host: '127.0.0.1', port: socks }), 'TOR_NOT_CONTROL_PORT');
    expect(error).toMatchObject({ remedy: expect.stringContaining('ControlPort') });
  });

  test('a tor that has no consensus, refuses a command, or does not know an event', async () => {
    const tor = await loneTor(['CookieAuthentication 1']);
    const client = connect(tor.control);
    client.onEvent('NO_SUCH_EVENT', () => undefined);
    const confChanged = new Promise((resolve) => client.onEvent('CONF_CHANGED', resolve));
    await client.ready(20_000);
    await expect(client.consensus()).rejects.toMatchObject({ code: 'TOR_CONSENSUS' });
    await expect(client.setConf([['NoSuchOption', '1']])).rejects.toThrow(/refused SETCONF NoSuchOption: 552/);
    await expect(client.getInfo('no/such/key')).rejects.toMatchObject({ code: 'TOR_REFUSED' });
    await client.setConf([['ContactInfo', 'x']]);
    expect(await confChanged).toMatchObject({ name: 'CONF_CHANGED', data: 'ContactInfo=x\n' });
    expect(await client.command('GETINFO version config-file')).toHaveLength(3);
  });

  test('killed with -9 under the client and started again', async () => {
    const tor = await loneTor(['CookieAuthentication 1']);
    const client = connect(tor.control);
    const changes: unknown[] = [];
    client.onEvent('CONF_CHANGED', (event) => changes.push(event));
    await client.ready(20_000);
    const waiting = Array.from({ length: 50 }, () => client.getInfo('config-text').catch((error: unknown) => error));
    tor.process.kill('SIGKILL');
    await tor.process.ended;
    for (const outcome of await Promise.all(waiting))
      expect(typeof outcome === 'string' || (outcome as { code?: string }).code === 'TOR_LOST').toBe(true);
    await failureOf(client, 'TOR_CONNECT');
    expect(client.state).toBe('connecting');
    await tor.start();
    await client.ready(20_000);
    await client.setConf([['ContactInfo', 'again']]);
    await expect.poll(() => changes).toHaveLength(1);
  });

  test('stopped with SIGSTOP: the deadline is told; SIGCONT: it is met again', async () => {
    const tor = await loneTor(['CookieAuthentication 1']);
    const client = connect(tor.control, { commandTimeoutMs: 500 });
    await client.ready(20_000);
    tor.process.kill('SIGSTOP');
    await expect(client.getInfo('version')).rejects.toMatchObject({
      code: 'TOR_TIMEOUT',
      message: expect.stringMatching(/GETINFO within 500 ms$/),
    });
    // The kernel still takes connections for a process that is stopped.
    expect((await failureOf(client, 'TOR_TIMEOUT')).message).toBeTruthy();
    tor.process.kill('SIGCONT');
    await client.ready(20_000);
    expect(await client.getInfo('version')).toBeTruthy();
  });
});

describeReal('the tor client on a private network', ['tor'], () => {
  let network: PrivateNetwork;
  let site: TorClientSite;

  beforeAll(async () => {
    network = await startPrivateNetwork(runtime);
    site = await createTorClientSite(runtime, network);
  }, 300_000);
  afterAll(async () => {
    await site?.close();
    await network?.stop();
  }, 60_000);

  test.each(torClientChecks.map(({ name, run }) => [name, run] as const))(
    '%s',
    { timeout: 180_000 },
    async (_name, run) => {
      await expect(run(site)).resolves.toBeUndefined();
    },
  );

  test('a MetricsPort is found, opened where there is none, read, and taken back', { timeout: 60_000 }, async () => {
    await expect(checkMetricsPort(runtime, site.head, site.service)).resolves.toBeUndefined();
  });
});
