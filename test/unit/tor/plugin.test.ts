import * as v from 'valibot';
import { afterEach, expect, test } from 'vitest';
import { torContract, type Tor } from '../../../core/engine/contracts/tor.ts';
import type { Host } from '../../../core/engine/plugin.ts';
import { createHooks } from '../../../core/pipeline/index.ts';
import { systemRuntime, type Endpoint } from '../../../core/runtime/index.ts';
import { torOptions, torPlugin } from '../../../plugins/tor/index.ts';
import { parts, startControlPort, type ControlPort, type ControlPortOptions } from './control-port.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

/** The plugin against bare hooks. */
async function apply(
  options: Record<string, unknown>,
  behind: ControlPortOptions = {},
): Promise<{ port: ControlPort; host: Host; tor: Tor }> {
  const port = await startControlPort(behind);
  releases.push(() => port.close());
  const given = new Map<string, unknown>();
  const host = {
    runtime: systemRuntime(),
    log: parts().log,
    node: 'one',
    stateDirectory: undefined,
    hooks: createHooks(),
    give: ({ name }: { name: string }, service: unknown) => given.set(name, service),
    defer: (release: () => unknown) => releases.push(release),
  } as unknown as Host;
  const endpoint = port.endpoint as { host: string; port: number };
  torPlugin.apply(host, v.parse(torOptions, { control: `${endpoint.host}:${endpoint.port}`, ...options }));
  return { port, host, tor: given.get(torContract.name) as Tor };
}

test('opens nothing before the start, and is ready after it', async () => {
  const { port, host, tor } = await apply({});
  const second = await startControlPort();
  releases.push(() => second.close());
  const other = tor.connect({ control: second.endpoint });
  expect(tor.primary.state).toBe('connecting');
  expect(port.sessions).toHaveLength(0);
  await host.hooks.start.promise();
  expect(tor.primary.state).toBe('ready');
  await other.ready(5000);
  expect(port.sessions).toHaveLength(1);
});

test('the same endpoint gives the same client, until that is closed', async () => {
  const { host, tor, port } = await apply({});
  await host.hooks.start.promise();
  expect(tor.connect({ control: port.endpoint })).toBe(tor.primary);
  const second = await startControlPort();
  releases.push(() => second.close());
  const other = tor.connect({ control: second.endpoint });
  await other.ready(5000);
  await other.close();
  const again = tor.connect({ control: second.endpoint });
  expect(again).not.toBe(other);
  await again.ready(5000);
});

test('the start fails with what is wrong when tor does not come', async () => {
  const { host, port } = await apply({ start_timeout_ms: 300 });
  await port.close();
  await expect(host.hooks.start.promise()).rejects.toMatchObject({ code: 'TOR_CONNECT' });
});

const endless = { start_timeout_ms: 600_000 };
test.each<[string, ControlPortOptions, Record<string, unknown>, string]>([
  ['a wrong password', { methods: 'HASHEDPASSWORD', password: 'right' }, { password: 'wrong' }, 'TOR_AUTHENTICATION'],
  ['no password', { methods: 'HASHEDPASSWORD', password: 'right' }, {}, 'TOR_AUTHENTICATION'],
  ['no cookie', { methods: 'COOKIE', cookiePath: '/nonexistent/cookie' }, {}, 'TOR_COOKIE'],
  ['a mail server', { answer: () => '220 mail ESMTP\r\n' }, {}, 'TOR_NOT_CONTROL_PORT'],
])('the start does not wait for what waiting does not heal: %s', async (_name, behind, options, code) => {
  const { host, port } = await apply({ ...endless, ...options }, behind);
  await expect(host.hooks.start.promise()).rejects.toMatchObject({ code });
  // Once could have been chance.
  expect(port.sessions).toHaveLength(2);
});

test('a refusal that does not come again is forgiven: tor was just starting', async () => {
  let refusals = 1;
  const { host, tor } = await apply(endless, {
    answer: (line) => (line === 'AUTHENTICATE' && refusals-- > 0 ? '515 not yet\r\n' : undefined),
  });
  await host.hooks.start.promise();
  expect(tor.primary.state).toBe('ready');
});

test('a control port that takes the connection and says nothing is called that', async () => {
  const { host } = await apply({ start_timeout_ms: 200 }, { answer: () => '' });
  await expect(host.hooks.start.promise()).rejects.toMatchObject({
    code: 'TOR_TIMEOUT',
    message: expect.stringMatching(/took the connection and did not answer within 200 ms$/) as string,
  });
});

test('other tors are asked with the same password, unless they have their own', async () => {
  const { host, tor } = await apply({ password: 'common' }, { methods: 'HASHEDPASSWORD', password: 'common' });
  await host.hooks.start.promise();
  const [alike, different] = await Promise.all(
    ['common', 'own'].map((password) => startControlPort({ methods: 'HASHEDPASSWORD', password })),
  );
  releases.push(() => Promise.all([alike?.close(), different?.close()]));
  await tor.connect({ control: alike?.endpoint as Endpoint }).ready(5000);
  await tor.connect({ control: different?.endpoint as Endpoint, password: 'own' }).ready(5000);
  expect([alike, different].map((other) => other?.sessions.length)).toEqual([1, 1]);
});

test('options have defaults, take every form of an address, and refuse the rest', () => {
  expect(v.parse(torOptions, {})).toEqual({
    control: { host: '127.0.0.1', port: 9051 },
    command_timeout_ms: 10_000,
    start_timeout_ms: 10_000,
  });
  expect(v.parse(torOptions, { control: 'unix:/run/tor/control' }).control).toEqual({ path: '/run/tor/control' });
  expect(v.safeParse(torOptions, { control: 'nine' }).issues?.[0]?.message).toContain('must be host:port');
  expect(v.safeParse(torOptions, { contrl: '127.0.0.1:9051' }).success).toBe(false);
});
