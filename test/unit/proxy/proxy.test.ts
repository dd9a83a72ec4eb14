import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { proxyContract, type Front, type Host, type Proxy } from '../../../core/engine/index.ts';
import { parseEndpoint, systemClock, systemNet, type Endpoint } from '../../../core/runtime/index.ts';
import proxy from '../../../plugins/proxy/index.ts';
import { createCircuitTable } from '../../../plugins/proxy/circuits.ts';
import { circuitIdOf } from '../../../plugins/proxy/proxy-line.ts';
import { notFound } from '../../../plugins/proxy/door.ts';
import { createBareHost } from '../plugins/support.ts';
import * as v from 'valibot';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A target that remembers what reached it, and answers with `say`. */
async function target(
  say = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
): Promise<{ port: number; heard: () => string }> {
  let heard = '';
  const server: Server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (heard.endsWith('\r\n\r\n') || heard.endsWith('END')) socket.write(say);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.address() as { port: number }).port, heard: () => heard };
}

async function start(
  port: number | string,
  options: object = {},
): Promise<{ service: Proxy; front: Front; at: Endpoint }> {
  const bare = createBareHost();
  const host: Host = { ...bare.host, runtime: { ...bare.host.runtime, clock: systemClock, net: systemNet } };
  proxy.apply(host, v.parse(proxy.options as never, options) as never);
  closing.push(() => bare.stop());
  const service = bare.given(proxyContract);
  const front = await service.front('one/1', String(port));
  return { service, front, at: parseEndpoint(front.target) as Endpoint };
}

const line = (id = '1:2a'): string => `PROXY TCP6 fc00:dead:beef:4dad::${id} ::1 42 80\r\n`;

async function open(at: Endpoint): Promise<Duplex> {
  const stream = await systemNet.connect(at);
  stream.on('error', () => undefined);
  closing.push(() => void stream.destroy());
  return stream;
}
async function all(stream: Duplex): Promise<string> {
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString('latin1');
  return text;
}
/** Resolves with the first `length` characters. */
function some(stream: Duplex, length: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length >= length) resolve(text);
    });
  });
}
const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const knock = (path = `/.rb/${'a'.repeat(24)}`, body = 'hello'): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe('the proxy', () => {
  test('passes requests and answers, without tor’s line, and counts them by circuit', async () => {
    const { port, heard } = await target();
    const { service, front, at } = await start(port);
    expect(front.settings).toEqual([['HiddenServiceExportCircuitID', 'haproxy']]);
    expect(await service.front('one/1', String(port))).toBe(front);
    const stream = await open(at);
    stream.write(line() + get);
    const answer = await some(stream, 10);
    expect(answer).toContain('200 OK');
    expect(heard()).toBe(get);
    expect(service.circuits()).toMatchObject([
      { circuit: 'one/1#65578', head: 'one/1', open: 1, streams: 1, bytesIn: get.length, bytesOut: answer.length },
    ]);
    expect(service.cut('one/1#65578')).toBe(1);
    expect(service.circuits()).toMatchObject([{ open: 0, streams: 1 }]);
  });

  test('tells of each stream, with its circuit; without one when it has no room', async () => {
    const { port } = await target();
    const { service, at } = await start(port, { max_streams: 16 });
    const told: (readonly [string, string | undefined])[] = [];
    const release = service.onStream((head, circuit) => told.push([head, circuit]));
    for (let number = 1; number <= 17; number++) (await open(at)).write(line(`1:${number}`));
    while (told.length < 17) await systemClock.sleep(5);
    expect(told.filter(([head]) => head === 'one/1')).toHaveLength(17);
    expect(told.filter(([, circuit]) => circuit === undefined)).toHaveLength(1);
    expect(told.map(([, circuit]) => circuit)).toContain('one/1#65537');
    release();
    await open(at);
    await systemClock.sleep(20);
    expect(told).toHaveLength(17);
    expect(service.cut('nobody')).toBe(0);
  });

  test('a head that is gone takes its front with it; a new one has another', async () => {
    const { port } = await target();
    const { service, front, at } = await start(port);
    await service.retire('one/2');
    const stream = await open(at);
    stream.write(line() + get);
    await some(stream, 10);
    await service.retire('one/1');
    await expect(systemNet.connect(at)).rejects.toThrow('ECONNREFUSED');
    expect((await service.front('one/1', String(port))).target).not.toBe(front.target);
  });

  test('what is not HTTP passes at once, and a target may speak first', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('SSH-2.0-x\r\n');
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    const { at } = await start((server.address() as { port: number }).port);
    const stream = await open(at);
    stream.write(line());
    expect(await some(stream, 11)).toBe('SSH-2.0-x\r\n');
    stream.write(Buffer.from([0x16, 3, 1, 0, 200]));
    expect(await some(stream, 5)).toBe('\x16\x03\x01\x00\xc8');
  });

  test('large bodies stream through, both ways', async () => {
    const size = 3_000_000;
    const { port, heard } = await target(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    const { at } = await start(port);
    const stream = await open(at);
    const answer = some(stream, size);
    stream.write(`${line()}POST / HTTP/1.1\r\nContent-Length: ${size + 3}\r\n\r\n${'y'.repeat(size)}END`);
    expect((await answer).length).toBeGreaterThan(size);
    expect(heard().length).toBeGreaterThan(size);
  });

  test.each([
    ['nobody joins here', knock()],
    ['another path', knock('/.rb/x')],
    ['another spelling', knock('/%2erb/x')],
    ['another method', 'GET /.rb/x HTTP/1.1\r\n\r\n'],
    ['too large', knock(undefined, 'x'.repeat(20_000))],
    ['no length', 'POST /.rb/x HTTP/1.1\r\n\r\n'],
  ])('a request for the door, %s: the same 404, and not a byte to the target', async (_name, request) => {
    const { port, heard } = await target();
    const { at } = await start(port);
    const stream = await open(at);
    stream.write(line() + request);
    expect(await all(stream)).toBe(notFound.toString('latin1'));
    expect(heard()).toBe('');
  });

  test('behind another request the stream is cut, and the target has heard only that', async () => {
    const { port, heard } = await target();
    const { at } = await start(port);
    const stream = await open(at);
    const everything = all(stream).catch(() => '');
    stream.write(line() + get);
    while (heard() !== get) await systemClock.sleep(5);
    stream.write(knock());
    await everything;
    expect(heard()).toBe(get);
  });

  test('the door answers, even where the target is down; a refusal and a failure look alike', async () => {
    const { service, at } = await start(1);
    const asked: string[] = [];
    service.door(async (selector, body) => {
      asked.push(`${selector} ${Buffer.from(body).toString()}`);
      if (body.length === 1) return undefined;
      if (body.length === 2) throw new Error('no');
      return Buffer.from('welcome');
    });
    const ask = async (body: string): Promise<string> => {
      const stream = await open(at);
      stream.write(line() + knock(undefined, body));
      return all(stream);
    };
    expect(await Promise.all(['hello', 'a', 'bb'].map(ask))).toEqual([
      'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 7\r\nConnection: close\r\n\r\nwelcome',
      notFound.toString('latin1'),
      notFound.toString('latin1'),
    ]);
    expect(asked.sort()).toEqual([`${'a'.repeat(24)} a`, `${'a'.repeat(24)} bb`, `${'a'.repeat(24)} hello`]);
    expect(() => service.door(async () => undefined)).toThrow('two plugins');
  });

  test('without tor’s line nothing is served; a bad request is told so', async () => {
    const { port, heard } = await target();
    const { at } = await start(port);
    const stranger = await open(at);
    stranger.write(get);
    expect(await all(stranger).catch(() => '')).toBe('');
    const bad = await open(at);
    bad.write(`${line()}GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n`);
    expect(await all(bad)).toContain('400 Bad Request');
    expect(heard()).not.toContain('Length: 2');
  });

  test('a bad request tells nothing of the door: a known path is the door’s whatever its headers, an unknown one is 400 for all', async () => {
    const { port } = await target();
    const { at } = await start(port);
    const ask = async (request: string): Promise<string> => {
      const stream = await open(at);
      stream.write(line() + request);
      return (await all(stream)).slice(9, 12);
    };
    const twoLengths = ' HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n';
    const paths = ['/.rb/x', `/.rb/${'a'.repeat(24)}`, '/x'];
    expect(await Promise.all(paths.map((path) => ask(`POST ${path}${twoLengths}`)))).toEqual(['404', '404', '400']);
    const endless = 'y'.repeat(20_000);
    expect(await Promise.all(paths.map((path) => ask(`POST ${path}${endless}`)))).toEqual(['400', '400', '400']);
  });

  test('raw passes everything, and tor’s line too when it is told so', async () => {
    const { port, heard } = await target();
    const { at } = await start(port, { protocol: 'raw', pass_proxy_line: true });
    const stream = await open(at);
    stream.write(`${line()}POST /.rb/x HTTP/1.1\r\n\r\n`);
    await some(stream, 10);
    expect(heard()).toBe(`${line()}POST /.rb/x HTTP/1.1\r\n\r\n`);
  });
});

describe('circuits', () => {
  test('tor’s line, and no other', () => {
    expect(circuitIdOf(Buffer.from(line('0:7')))).toBe('7');
    expect(circuitIdOf(Buffer.from(line('ABCD:12')))).toBe(String(0xabcd0012));
    for (const other of ['', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n', line().trim(), line('x:1'), 'PROXY UNKNOWN\r\n']) {
      expect(circuitIdOf(Buffer.from(other))).toBeUndefined();
    }
  });

  test('the table keeps the open ones and the last of the others', () => {
    let now = 0;
    const table = createCircuitTable(() => now, 3);
    const keep = table.open('h', 'keep', () => undefined);
    for (let id = 0; id < 100; id++) {
      now = id;
      table.open('h', String(id), () => undefined).end();
    }
    expect(table.all().map(({ circuit }) => circuit)).toEqual(['h#keep', 'h#98', 'h#99']);
    keep.end();
    table.open('h', 'new', () => undefined);
    expect(table.all()).toHaveLength(3);
  });
});
