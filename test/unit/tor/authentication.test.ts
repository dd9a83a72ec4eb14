import { afterEach, expect, test } from 'vitest';
import { messageOf } from '../../../core/errors.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { parseProtocolInfo, safeCookieProofs } from '../../../plugins/tor/authentication.ts';
import { createTorClient } from '../../../plugins/tor/client.ts';
import { parts, startControlPort, until, type ControlPortOptions } from './control-port.ts';

const cookie = Uint8Array.from({ length: 32 }, (_, index) => index);
const hexCookie = Buffer.from(cookie).toString('hex');
const releases: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

async function connect(
  port: ControlPortOptions,
  credentials: { password?: string; cookiePath?: string } = {},
  files: Record<string, Uint8Array> = {},
): Promise<{ commands: string[]; error: unknown; version: string | undefined; logged: string }> {
  const store = createMemoryStore();
  await store.makeDirectory('/run');
  for (const [path, data] of Object.entries(files)) await store.write(path, data);
  const server = await startControlPort(port);
  let logged = '';
  const note = (message: string, fields?: unknown): void => {
    logged += `${message} ${JSON.stringify(fields)} ${messageOf((fields as { error?: unknown } | undefined)?.error)}\n`;
  };
  const log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const client = createTorClient(parts({ store, log }), { control: server.endpoint, ...credentials });
  releases.push(
    () => server.close(),
    () => client.close(),
  );
  await until(() => client.state === 'ready' || client.lastError !== undefined);
  return { commands: server.sessions[0]?.commands ?? [], error: client.lastError, version: client.version, logged };
}

test("SAFECOOKIE's proofs are those of Python's hmac over the same cookie and nonces", () => {
  const proofs = safeCookieProofs(cookie, new Uint8Array(32).fill(0x11), new Uint8Array(32).fill(0x22));
  expect(Buffer.from(proofs.server).toString('hex')).toBe(
    '2aecbf4d284befddbbacc3817b41959eda061ac7e156db0c734cb28aa5e903ed',
  );
  expect(Buffer.from(proofs.client).toString('hex')).toBe(
    'eea571786a3fd103b6aa1ffa46249c4c850c509d0c84c550ed9e41477511d2ba',
  );
});

test('reads PROTOCOLINFO with a quoted path', () => {
  const lines = [
    { text: 'PROTOCOLINFO 1' },
    { text: 'AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="/run/to\\\\r/a b"' },
    { text: 'VERSION Tor="0.4.9.11"' },
    { text: 'OK' },
  ];
  expect(parseProtocolInfo({ code: 250, lines })).toEqual({
    methods: ['COOKIE', 'SAFECOOKIE'],
    cookiePath: '/run/to\\r/a b',
    version: '0.4.9.11',
  });
  expect(parseProtocolInfo({ code: 510, lines })).toBeUndefined();
});

test('sends nothing when tor wants nothing', async () => {
  const { commands, error, version } = await connect({});
  expect(error).toBeUndefined();
  expect(version).toBe('0.4.9.11');
  expect(commands.slice(0, 3)).toEqual(['PROTOCOLINFO 1', 'AUTHENTICATE', 'SETEVENTS']);
});

test('prefers SAFECOOKIE, and the cookie never leaves', async () => {
  const { commands, error } = await connect(
    { methods: 'COOKIE,SAFECOOKIE,HASHEDPASSWORD', cookie, cookiePath: '/run/c', password: 'p' },
    { password: 'p' },
    { '/run/c': cookie },
  );
  expect(error).toBeUndefined();
  expect(commands[1]).toMatch(/^AUTHCHALLENGE SAFECOOKIE [0-9A-F]{64}$/);
  expect(commands.join().toLowerCase()).not.toContain(hexCookie);
});

test('uses COOKIE where there is no SAFECOOKIE, and a path of its own where one is given', async () => {
  const { error } = await connect(
    { methods: 'COOKIE', cookie, cookiePath: '/elsewhere' },
    { cookiePath: '/run/mine' },
    { '/run/mine': cookie },
  );
  expect(error).toBeUndefined();
});

test('uses the password when that is offered alone, or the cookie cannot be read', async () => {
  const odd = 'a "quote" \\ and é';
  expect((await connect({ methods: 'HASHEDPASSWORD', password: odd }, { password: odd })).error).toBeUndefined();
  const { error } = await connect(
    { methods: 'SAFECOOKIE,HASHEDPASSWORD', cookie, cookiePath: '/run/none', password: odd },
    { password: odd },
  );
  expect(error).toBeUndefined();
});

test('a missing cookie names the file and the remedy', async () => {
  const { error } = await connect({ methods: 'SAFECOOKIE', cookie, cookiePath: '/run/none' });
  expect(error).toMatchObject({ code: 'TOR_COOKIE', remedy: expect.stringContaining('debian-tor') });
  expect(messageOf(error)).toContain('/run/none');
});

test('a file that is no cookie is not sent', async () => {
  const { error, commands } = await connect(
    { methods: 'COOKIE', cookie, cookiePath: '/run/c' },
    {},
    { '/run/c': new Uint8Array(31) },
  );
  expect(error).toMatchObject({ code: 'TOR_COOKIE' });
  expect(commands).toEqual(['PROTOCOLINFO 1']);
});

test('the wrong cookie is found out before the proof is sent', async () => {
  const { error, commands } = await connect(
    { methods: 'SAFECOOKIE', cookie, cookiePath: '/run/c' },
    {},
    { '/run/c': new Uint8Array(32).fill(7) },
  );
  expect(error).toMatchObject({ code: 'TOR_AUTHENTICATION' });
  expect(messageOf(error)).toContain('does not know the authentication cookie');
  expect(commands).toHaveLength(2);
});

test('a wrong password is told without the password, also when the other side repeats it', async () => {
  const { error, logged } = await connect({ methods: 'HASHEDPASSWORD', password: 'right' }, { password: 'hunter2' });
  expect(error).toMatchObject({ code: 'TOR_AUTHENTICATION', remedy: expect.stringContaining('HashedControlPassword') });
  const told = `${messageOf(error)}${JSON.stringify(error)}${(error as Error).stack}${logged}`;
  expect(logged).not.toBe('');
  expect(told).not.toContain('hunter2');
  expect(told.toLowerCase()).not.toContain(Buffer.from('hunter2').toString('hex'));
});

test('a password that is wanted and not set is asked for', async () => {
  const { error } = await connect({ methods: 'HASHEDPASSWORD', password: 'x' });
  expect(error).toMatchObject({ code: 'TOR_AUTHENTICATION' });
  expect(messageOf(error)).toContain('wants a password');
});

test('methods that nobody knows are named', async () => {
  const { error } = await connect({ methods: 'TELEPATHY' });
  expect(error).toMatchObject({ code: 'TOR_AUTHENTICATION' });
  expect(messageOf(error)).toContain('TELEPATHY');
});
