import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { messageOf } from '../../../core/errors.ts';
import type { TorClient, TorConnectOptions, TorEvent, TorState } from '../../../core/engine/contracts/tor.ts';
import { systemNet, type Endpoint, type Net } from '../../../core/runtime/index.ts';
import { createTorClient } from '../../../plugins/tor/client.ts';
import { encodeCommand, openConnection } from '../../../plugins/tor/connection.ts';
import { parts, startControlPort, until, type ControlPort, type ControlPortOptions } from './control-port.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

async function serve(options: ControlPortOptions = {}): Promise<ControlPort> {
  const port = await startControlPort(options);
  releases.push(() => port.close());
  return port;
}

function connect(control: Endpoint, options: Partial<TorConnectOptions> & { net?: Net } = {}): TorClient {
  const { net = systemNet, ...rest } = options;
  const client = createTorClient(parts({ net }), { control, ...rest });
  releases.push(() => client.close());
  return client;
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** What the first attempt to connect failed with. */
async function failureOf(client: TorClient): Promise<unknown> {
  await until(() => client.lastError !== undefined);
  return errorOf(client.ready(1));
}

async function unusedPort(): Promise<Endpoint> {
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => stream.destroy());
  await listener.close();
  return listener.endpoint;
}

/** Something that listens and is no tor. */
async function foreign(say: string | undefined): Promise<Endpoint> {
  const listener = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.on('error', () => undefined);
    stream.on('data', () => (say === undefined ? stream.end() : stream.write(say)));
  });
  releases.push(() => listener.close());
  return listener.endpoint;
}

test('asks, sets and signals, in the words of the control protocol', async () => {
  const port = await serve({
    answer: (line) => {
      if (line === 'GETINFO version') return '250-version=0.4.9.11\r\n250 OK\r\n';
      if (line === 'GETINFO md/all') return '250+md/all=\r\nonion-key\r\n..\r\n.\r\n250 OK\r\n';
      if (line === 'GETCONF HiddenServiceDir')
        return '250-HiddenServiceDir="/a \\"b\\""\r\n250 HiddenServiceDir=/c\r\n';
      if (line === 'GETCONF HiddenServiceOptions')
        return '250-HiddenServiceDir=/a\r\n250 HiddenServicePort=80 127.0.0.1:80\r\n';
      if (line === 'GETCONF Nickname') return '250 Nickname\r\n';
      if (/^(SETCONF|SIGNAL|CLOSECIRCUIT)/.test(line)) return '250 OK\r\n';
      return undefined;
    },
  });
  const client = connect(port.endpoint);
  await client.ready(5000);
  expect(client.version).toBe('0.4.9.11');
  expect(await client.getInfo('version')).toBe('0.4.9.11');
  expect(await client.getInfo('md/all')).toBe('onion-key\n.\n');
  expect(await client.getConf('HiddenServiceDir')).toEqual(['/a "b"', '/c']);
  expect(await client.getConf('HiddenServiceOptions')).toEqual([
    'HiddenServiceDir=/a',
    'HiddenServicePort=80 127.0.0.1:80',
  ]);
  expect(await client.getConf('Nickname')).toEqual([]);
  await client.setConf([['HiddenServiceDir', '/a "b"'], ['HiddenServicePort', '80 unix:/x'], ['Nickname']]);
  await client.signal('NEWNYM');
  await client.closeCircuit('30');
  expect(await client.command('GETINFO md/all')).toEqual(['md/all=\nonion-key\n.\n', 'OK']);
  expect(port.sessions[0]?.commands).toContain(
    String.raw`SETCONF HiddenServiceDir="/a \"b\"" HiddenServicePort="80 unix:/x" Nickname`,
  );
});

test("a refusal carries tor's code and words, and not the values sent", async () => {
  const port = await serve({ answer: (line) => (line.startsWith('SETCONF') ? '513 Unacceptable\r\n' : undefined) });
  const client = connect(port.endpoint);
  await client.ready(5000);
  const error = await errorOf(client.setConf([['HashedControlPassword', '16:SECRET']]));
  expect(error).toMatchObject({ code: 'TOR_REFUSED' });
  expect(messageOf(error)).toMatch(/refused SETCONF HashedControlPassword: 513 Unacceptable$/);
  expect(await errorOf(client.getInfo('nonsense'))).toMatchObject({ code: 'TOR_REFUSED' });
});

test.each<[string, (client: TorClient) => Promise<unknown>]>([
  ['a key', (client) => client.getInfo('a\r\nSIGNAL HALT')],
  ['an option', (client) => client.getConf('a b')],
  ['a value', (client) => client.setConf([['Nickname', 'a\r\nSIGNAL HALT']])],
  ['a signal', (client) => client.signal('A B')],
  ['a circuit', (client) => client.closeCircuit('1 IfUnused')],
  ['a raw line', (client) => client.command('GETINFO a\nSIGNAL HALT')],
  ['a line without a word', (client) => client.command('+X')],
  ['a line beyond 1 MiB', (client) => client.command(`X ${'y'.repeat(1 << 20)}`)],
])('nothing breaks out of %s', async (_name, ask) => {
  const port = await serve();
  const client = connect(port.endpoint);
  await client.ready(5000);
  const before = port.sessions[0]?.commands.length;
  expect(await errorOf(ask(client))).toMatchObject({ code: 'TOR_COMMAND' });
  expect(port.sessions[0]?.commands.length).toBe(before);
});

test('data is dot-stuffed, gets CR LF and no line more', () => {
  expect(encodeCommand('HSPOST A=b', 'a\n.\n..b\r\nc\n').toString()).toBe(
    '+HSPOST A=b\r\na\r\n..\r\n...b\r\nc\r\n.\r\n',
  );
  expect(encodeCommand('HSPOST', '').toString()).toBe('+HSPOST\r\n.\r\n');
  expect(encodeCommand('HSPOST', '\n').toString()).toBe('+HSPOST\r\n\r\n.\r\n');
});

test('works over a unix socket', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'chimera-tor-'));
  releases.push(() => rm(directory, { recursive: true }));
  const port = await serve({ endpoint: { path: join(directory, 'control') } });
  const client = connect(port.endpoint);
  await client.ready(5000);
  expect(client.state).toBe('ready');
});

test('replies find their commands when many are under way', async () => {
  const port = await serve({
    answer: (line) =>
      line.startsWith('GETINFO n') ? `250-${line.slice(8)}=${line.slice(9)}\r\n250 OK\r\n` : undefined,
  });
  const client = connect(port.endpoint);
  await client.ready(5000);
  const values = await Promise.all(Array.from({ length: 300 }, (_, index) => client.getInfo(`n${index}`)));
  expect(values).toEqual(values.map((_, index) => String(index)));
});

test('a bound on waiting commands', async () => {
  const port = await serve({ answer: () => '' });
  const connection = await openConnection(parts(), {
    endpoint: port.endpoint,
    timeoutMs: 5000,
    maximumPending: 3,
    onEvent: () => undefined,
  });
  releases.push(() => connection.end(new Error('done')));
  const waiting = [1, 2, 3].map(() => connection.send('X'));
  for (const one of waiting) one.catch(() => undefined);
  expect(await errorOf(connection.send('X'))).toMatchObject({ code: 'TOR_BUSY' });
  connection.end(new Error('done'));
  expect(await Promise.all(waiting.map(async (one) => messageOf(await errorOf(one))))).toEqual([
    'done',
    'done',
    'done',
  ]);
});

test('no tor: says where none listens and what to set', async () => {
  const error = await failureOf(connect(await unusedPort()));
  expect(error).toMatchObject({ code: 'TOR_CONNECT', remedy: expect.stringContaining('ControlPort') });
  expect(messageOf(error)).toMatch(/^no tor listens at 127\.0\.0\.1:\d+$/);
  expect(await failureOf(connect({ path: '/nonexistent/control' }))).toMatchObject({ code: 'TOR_CONNECT' });
});

test('no permission: names the group', async () => {
  const denied = Object.assign(new Error('connect EACCES /run/tor/control'), { code: 'EACCES' });
  const net: Net = { ...systemNet, connect: () => Promise.reject(denied) };
  expect(await failureOf(connect({ path: '/run/tor/control' }, { net }))).toMatchObject({
    code: 'TOR_PERMISSION',
    remedy: expect.stringContaining('debian-tor'),
  });
});

test.each([
  ['an HTTP server', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['a SOCKS server', '\x05\xff'],
  ['one that closes at once', undefined],
  ['one that answers another protocol with three digits', '220 mail ESMTP\r\n'],
])('not a control port: %s', async (_name, say) => {
  expect(await failureOf(connect(await foreign(say)))).toMatchObject({ code: 'TOR_NOT_CONTROL_PORT' });
});

test('a hanging control port is named with the deadline', async () => {
  const error = await failureOf(connect(await foreign(''), { commandTimeoutMs: 60 }));
  expect(error).toMatchObject({ code: 'TOR_TIMEOUT' });
  expect(messageOf(error)).toMatch(/did not answer PROTOCOLINFO within 60 ms$/);
});

test('a command without an answer ends the connection, and the next one is made', async () => {
  let silent = true;
  const port = await serve({
    answer: (line) => (/^(GETINFO|SIGNAL)/.test(line) ? (silent ? '' : '250-version=1\r\n250 OK\r\n') : undefined),
  });
  const client = connect(port.endpoint, { commandTimeoutMs: 200 });
  await client.ready(5000);
  const both = [errorOf(client.getInfo('version')), errorOf(client.signal('NEWNYM'))];
  expect(await Promise.all(both)).toEqual([
    expect.objectContaining({ code: 'TOR_TIMEOUT' }),
    expect.objectContaining({ code: 'TOR_TIMEOUT' }),
  ]);
  silent = false;
  await client.ready(5000);
  expect(await client.getInfo('version')).toBe('1');
});

test('a reply that nothing was asked for, or one beyond the limit, ends the connection', async () => {
  const port = await serve({ answer: (line) => (line === 'GETINFO version' ? '250 OK\r\n250 OK\r\n' : undefined) });
  const client = connect(port.endpoint);
  await client.ready(5000);
  expect(await errorOf(client.getInfo('version'))).toMatchObject({ code: 'TOR_REPLY' });
  await until(() => client.state === 'connecting');
  expect(client.lastError).toMatchObject({ code: 'TOR_REPLY' });

  const flood = await serve({
    answer: (line) => (line === 'GETINFO x' ? `250 ${'y'.repeat(1 << 20)}y\r\n` : undefined),
  });
  const other = connect(flood.endpoint);
  await other.ready(5000);
  expect(await errorOf(other.getInfo('x'))).toMatchObject({ code: 'TOR_REPLY_TOO_LARGE' });
});

test('connects again after a loss, and subscribes to the same events', async () => {
  const port = await serve();
  const client = connect(port.endpoint);
  const states: TorState[] = [];
  const events: TorEvent[] = [];
  client.onState((state) => states.push(state));
  client.onEvent('CIRC', (event) => events.push(event));
  await client.ready(5000);
  const stop = client.onEvent('HS_DESC', () => {
    throw new Error('a listener that fails does no harm');
  });
  await until(() => port.sessions[0]?.commands.at(-1) === 'SETEVENTS CIRC HS_DESC');
  port.sessions[0]?.say('650 HS_DESC CREATED a\r\n650 CIRC 1 BUILT\r\n');
  await until(() => events.length === 1);

  port.sessions[0]?.drop();
  await until(() => client.state === 'connecting');
  expect(await errorOf(client.getInfo('version'))).toMatchObject({ code: 'TOR_NOT_READY' });
  await client.ready(5000);
  expect(states).toEqual(['ready', 'connecting', 'ready']);
  expect(port.sessions[1]?.commands.at(-1)).toBe('SETEVENTS CIRC HS_DESC');
  port.sessions[1]?.say('650 CIRC 2 BUILT\r\n');
  await until(() => events.length === 2);
  stop();
  await until(() => port.sessions[1]?.commands.at(-1) === 'SETEVENTS CIRC');
});

test('an event that this tor does not know costs no other event', async () => {
  const port = await serve({
    answer: (line) => (/SETEVENTS.* NOVELTY/.test(line) ? '552 Unrecognized event "NOVELTY"\r\n' : undefined),
  });
  const client = connect(port.endpoint);
  client.onEvent('NOVELTY', () => undefined);
  client.onEvent('CIRC', () => undefined);
  await client.ready(5000);
  expect(port.commands('SETEVENTS')).toEqual(['SETEVENTS NOVELTY CIRC', 'SETEVENTS CIRC']);
  expect(() => client.onEvent('CIRC\r\nSIGNAL HALT', () => undefined)).toThrow('is no name of an event');
});

test('meets a tor that starts later', async () => {
  const endpoint = await unusedPort();
  const client = connect(endpoint);
  await until(() => client.lastError !== undefined);
  await serve({ endpoint });
  await client.ready(5000);
  expect(client.state).toBe('ready');
  expect(client.lastError).toBeUndefined();
});

test('waits longer after each failure, with jitter, and never above the limit', async () => {
  const waits: number[] = [];
  const runtime = parts({ net: { ...systemNet, connect: () => Promise.reject(new Error('no')) } });
  let passed: () => void = () => undefined;
  const clock: typeof runtime.clock = {
    ...runtime.clock,
    sleep: (delayMs) => {
      waits.push(delayMs);
      if (waits.length > 8) return new Promise((resolve) => (passed = resolve));
      return Promise.resolve();
    },
  };
  const client = createTorClient({ ...runtime, clock }, { control: { host: '127.0.0.1', port: 1 } });
  await until(() => waits.length > 8);
  [200, 400, 800, 1600, 3200, 5000, 5000, 5000].forEach((base, index) => {
    expect(waits[index]).toBeGreaterThanOrEqual(base * 0.75);
    expect(waits[index]).toBeLessThanOrEqual(base * 1.25);
  });
  const closing = client.close();
  passed();
  await closing;
});

test('a closed client stays closed and refuses what is asked', async () => {
  const port = await serve({ answer: (line) => (line === 'GETINFO version' ? '' : undefined) });
  const client = connect(port.endpoint);
  await client.ready(5000);
  const waiting = errorOf(client.getInfo('version'));
  await client.close();
  await client.close();
  expect(await waiting).toMatchObject({ code: 'TOR_NOT_READY' });
  expect(client.state).toBe('closed');
  expect(await errorOf(client.ready(1000))).toMatchObject({ code: 'TOR_NOT_READY' });
  expect(await errorOf(client.signal('NEWNYM'))).toMatchObject({ code: 'TOR_NOT_READY' });
});

test('can be closed while it connects to nothing', async () => {
  const client = connect(await unusedPort());
  await until(() => client.lastError !== undefined);
  await client.close();
  expect(client.state).toBe('closed');
});
