import { afterEach, expect, test } from 'vitest';
import { messageOf } from '../../../core/errors.ts';
import type { TorClient } from '../../../core/engine/contracts/tor.ts';
import { addressOfKey, type OnionAddress } from '../../../core/onion/index.ts';
import { createTorClient } from '../../../plugins/tor/client.ts';
import { createClaims } from '../../../plugins/tor/claims.ts';
import { parts, startControlPort, until, type Answer, type ControlPort } from './control-port.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

const address: OnionAddress = addressOfKey(new Uint8Array(32).fill(9));
const other: OnionAddress = addressOfKey(new Uint8Array(32).fill(10));
const [one, two, three] = ['A', 'B', 'C'].map((letter) => letter.repeat(40)) as [string, string, string];
const relay = (fingerprint: string): string => `$${fingerprint}~relay`;

async function meet(answer?: Answer): Promise<{ port: ControlPort; client: TorClient; say: (text: string) => void }> {
  const port = await startControlPort(answer === undefined ? {} : { answer });
  const client = createTorClient(parts(), { control: port.endpoint });
  releases.push(
    () => port.close(),
    () => client.close(),
  );
  await client.ready(5000);
  return { port, client, say: (text) => port.sessions.at(-1)?.say(text) };
}

const received = (of: string, fingerprint: string, text: string): string =>
  `650 HS_DESC RECEIVED ${of} NO_AUTH ${relay(fingerprint)} id\r\n` +
  `650+HS_DESC_CONTENT ${of} id ${relay(fingerprint)}\r\n${text}\r\n.\r\n650 OK\r\n`;
const failed = (of: string, fingerprint: string, reason: string): string =>
  `650 HS_DESC FAILED ${of} NO_AUTH ${relay(fingerprint)} id REASON=${reason}\r\n`;
const uploaded = (of: string, fingerprint: string): string =>
  `650 HS_DESC UPLOADED ${of} UNKNOWN ${relay(fingerprint)}\r\n`;
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
/** Lets what a client would send by now arrive: an exchange of its own goes behind it. */
const settled = (client: TorClient): Promise<unknown> => errorOf(client.signal('ACTIVE'));

test('fetches from the named HSDir, and from no other', async () => {
  const { client, port, say } = await meet();
  const fetching = client.fetchDescriptor(address, { server: `$${one.toLowerCase()}` });
  await until(() => port.commands('HSFETCH').length === 1);
  expect(port.commands('HSFETCH')).toEqual([`HSFETCH ${address} SERVER=${one}`]);
  expect(port.commands('SETEVENTS').at(-1)).toBe('SETEVENTS HS_DESC HS_DESC_CONTENT');
  say(
    received(other, one, 'wrong address') + received(address, two, 'wrong server') + failed(address, two, 'NOT_FOUND'),
  );
  say(received(address, one, 'hs-descriptor 3\r\n..x'));
  expect(await fetching).toEqual({ text: 'hs-descriptor 3\n.x\n', fingerprint: one });
});

test('fetches of one address from several HSDirs run together and are told apart', async () => {
  const { client, port, say } = await meet();
  const fetching = [one, two, three].map((server) => client.fetchDescriptor(address, { server }));
  const missing = errorOf(fetching[1] as Promise<unknown>);
  await until(() => port.commands('HSFETCH').length === 3);
  say(received(address, three, 'c') + failed(address, two, 'NOT_FOUND'));
  say(`650+HS_DESC_CONTENT ${address} id ${relay(two)}\r\n\r\n.\r\n650 OK\r\n${received(address, one, 'a')}`);
  expect((await fetching[0])?.text).toBe('a\n');
  expect((await fetching[2])?.text).toBe('c\n');
  const error = await missing;
  expect(error).toMatchObject({ code: 'TOR_FETCH_FAILED', remedy: expect.stringContaining('publishes') });
  expect(messageOf(error)).toContain(`from ${two}: NOT_FOUND`);
});

test('two fetches of the same address from the same HSDir go one after the other', async () => {
  const { client, port, say } = await meet();
  const first = client.fetchDescriptor(address, { server: one });
  const second = client.fetchDescriptor(address, { server: one });
  await settled(client);
  expect(port.commands('HSFETCH')).toHaveLength(1);
  say(received(address, one, 'old'));
  expect((await first).text).toBe('old\n');
  await until(() => port.commands('HSFETCH').length === 2);
  say(received(address, one, 'new'));
  expect((await second).text).toBe('new\n');
});

test('a fetch without a name takes what any HSDir gives, and ends when tor asks no other', async () => {
  const { client, port, say } = await meet();
  const requested = (fingerprint: string): string =>
    `650 HS_DESC REQUESTED ${address} NO_AUTH ${relay(fingerprint)} id HSDIR_INDEX=00\r\n`;
  const fetching = client.fetchDescriptor(address);
  await until(() => port.commands('HSFETCH').length === 1);
  expect(port.commands('HSFETCH')).toEqual([`HSFETCH ${address}`]);
  say(requested(one) + failed(address, one, 'NOT_FOUND') + requested(two) + received(address, two, 'b'));
  expect(await fetching).toEqual({ text: 'b\n', fingerprint: two });

  const hopeless = errorOf(client.fetchDescriptor(address));
  await until(() => port.commands('HSFETCH').length === 2);
  say(requested(one) + failed(address, one, 'NOT_FOUND'));
  expect(messageOf(await hopeless)).toContain('an HSDir of its choice: NOT_FOUND');
});

test('a fetch that is never answered ends with TIMEOUT, one whose tor is lost says so', async () => {
  const { client, port } = await meet();
  expect(messageOf(await errorOf(client.fetchDescriptor(address, { server: one, timeoutMs: 30 })))).toMatch(
    /: TIMEOUT$/,
  );
  const lost = errorOf(client.fetchDescriptor(address, { server: one }));
  await until(() => port.commands('HSFETCH').length === 2);
  port.sessions[0]?.drop();
  const error = await lost;
  expect(error).toMatchObject({ code: 'TOR_FETCH_FAILED' });
  expect(messageOf(error)).toContain('connection to tor was lost');
});

test('an unknown server is told, for fetches by an error', async () => {
  const { client } = await meet((line) =>
    line.startsWith('HSFETCH') ? `552 Server "${one}" not found\r\n` : undefined,
  );
  expect(await errorOf(client.fetchDescriptor(address, { server: one }))).toMatchObject({ code: 'TOR_UNKNOWN_SERVER' });
  expect(await errorOf(client.fetchDescriptor(address, { server: 'nickname' }))).toMatchObject({
    code: 'TOR_UNKNOWN_SERVER',
  });
  expect(await errorOf(client.postDescriptor(address, 'x', [`${one} SERVER=x`]))).toMatchObject({
    code: 'TOR_UNKNOWN_SERVER',
  });
});

test('posts to the named HSDirs and gives one result for each, in their order', async () => {
  let body: string | undefined;
  const { client, port, say } = await meet((line, data) => {
    if (line.startsWith('HSPOST')) body = data;
    return undefined;
  });
  const posting = client.postDescriptor(address, 'hs-descriptor 3\n.dot\nend\n', [one, two, three, one]);
  await until(() => port.commands('HSPOST').length === 1);
  expect(port.commands('HSPOST')).toEqual([`HSPOST SERVER=${one} SERVER=${two} SERVER=${three} HSADDRESS=${address}`]);
  expect(body).toBe('hs-descriptor 3\r\n..dot\r\nend\r\n');
  // What fetches and other services say is no answer to an upload.
  say(failed(address, one, 'NOT_FOUND') + uploaded(other, one));
  say(uploaded(address, three) + failed(address, two, 'UPLOAD_REJECTED') + uploaded(address, one));
  expect(await posting).toEqual([
    { fingerprint: one, accepted: true },
    { fingerprint: two, accepted: false, reason: 'UPLOAD_REJECTED' },
    { fingerprint: three, accepted: true },
  ]);
});

test('an HSDir that does not answer is TIMEOUT, the others keep their results', async () => {
  const { client, port, say } = await meet();
  const posting = client.postDescriptor(address, 'x\n', [one, two], { timeoutMs: 150 });
  await until(() => port.commands('HSPOST').length === 1);
  say(uploaded(address, two));
  expect(await posting).toEqual([
    { fingerprint: one, accepted: false, reason: 'TIMEOUT' },
    { fingerprint: two, accepted: true },
  ]);
});

test('a relay that tor does not know is left out, and the rest is posted', async () => {
  const { client, port, say } = await meet((line) =>
    line.startsWith('HSPOST') && line.includes(two) ? `552 Server "${two}" not found\r\n` : undefined,
  );
  const posting = client.postDescriptor(address, 'x\n', [one, two]);
  await until(() => port.commands('HSPOST').length === 2);
  say(uploaded(address, one));
  expect(await posting).toEqual([
    { fingerprint: one, accepted: true },
    { fingerprint: two, accepted: false, reason: 'UNKNOWN_SERVER' },
  ]);
  expect(await client.postDescriptor(address, 'x\n', [two])).toEqual([
    { fingerprint: two, accepted: false, reason: 'UNKNOWN_SERVER' },
  ]);
  expect(await client.postDescriptor(address, 'x\n', [])).toEqual([]);
});

test('a descriptor that tor refuses is an error; a connection lost on the way is LOST for each that is open', async () => {
  const { client, port, say } = await meet((line, data) =>
    line.startsWith('HSPOST') && data === 'bad\r\n' ? '554 Invalid descriptor\r\n' : undefined,
  );
  const refused = await errorOf(client.postDescriptor(address, 'bad\n', [one]));
  expect(refused).toMatchObject({ code: 'TOR_REFUSED' });
  expect(messageOf(refused)).toContain('refused HSPOST: 554 Invalid descriptor');
  const posting = client.postDescriptor(address, 'good\n', [one, two]);
  await until(() => port.commands('HSPOST').length === 2);
  say(uploaded(address, two));
  await settled(client);
  port.sessions[0]?.drop();
  expect(await posting).toEqual([
    { fingerprint: one, accepted: false, reason: 'LOST' },
    { fingerprint: two, accepted: true },
  ]);
});

test('two descriptors of one address never meet at one HSDir, and do not wait where they need not', async () => {
  const { client, port, say } = await meet();
  const first = client.postDescriptor(address, 'first\n', [one, two]);
  const second = client.postDescriptor(address, 'second\n', [two, three]);
  const elsewhere = client.postDescriptor(address, 'elsewhere\n', [three]);
  const foreign = client.postDescriptor(other, 'foreign\n', [one, two, three]);
  await until(() => port.commands('HSPOST').length === 2);
  await settled(client);
  expect(port.commands('HSPOST').map((line) => line.slice(-56))).toEqual([address, other]);
  say(uploaded(address, one) + uploaded(address, two));
  expect((await first).every(({ accepted }) => accepted)).toBe(true);
  await until(() => port.commands('HSPOST').length === 3);
  say(uploaded(address, two) + failed(address, three, 'UPLOAD_REJECTED'));
  expect((await second).map(({ accepted }) => accepted)).toEqual([true, false]);
  await until(() => port.commands('HSPOST').length === 4);
  say(uploaded(address, three) + [one, two, three].map((fingerprint) => uploaded(other, fingerprint)).join(''));
  expect((await elsewhere)[0]?.accepted).toBe(true);
  expect(await foreign).toHaveLength(3);
});

test('a service without a descriptor has none', async () => {
  const { client } = await meet((line) => {
    if (line === `GETINFO hs/service/desc/id/${address}`)
      return `250+hs/service/desc/id/${address}=\r\nhs-descriptor 3\r\n.\r\n250 OK\r\n`;
    return line.startsWith('GETINFO hs/') ? '551 Not found in cache\r\n' : undefined;
  });
  expect(await client.serviceDescriptor(address)).toBe('hs-descriptor 3\n');
  expect(await client.serviceDescriptor(other)).toBeUndefined();
});

test('only so many requests wait', async () => {
  const claims = createClaims(2);
  let release: () => void = () => undefined;
  const held = claims.run('t', ['a'], () => new Promise<void>((resolve) => (release = resolve)));
  const next = claims.run('t', undefined, () => Promise.resolve('next'));
  expect(await errorOf(claims.run('t', ['b'], () => Promise.resolve()))).toMatchObject({ code: 'TOR_BUSY' });
  release();
  await held;
  expect(await next).toBe('next');
  expect(await claims.run('t', ['b'], () => Promise.resolve('free again'))).toBe('free again');
});
