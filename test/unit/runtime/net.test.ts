import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { formatEndpoint, parseEndpoint, systemNet, type Endpoint, type Listener } from '../../../core/runtime/index.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});
async function listen(endpoint: Endpoint, accept: (stream: Duplex) => void = () => undefined): Promise<Listener> {
  const listener = await systemNet.listen(endpoint, accept);
  releases.push(() => listener.close());
  return listener;
}
async function connect(endpoint: Endpoint, signal?: AbortSignal): Promise<Duplex> {
  const stream = await systemNet.connect(endpoint, signal);
  stream.on('error', () => undefined);
  releases.push(() => stream.destroy());
  return stream;
}
const echo = (stream: Duplex): void => {
  stream.on('error', () => undefined);
  stream.pipe(stream);
};

describe('endpoints', () => {
  test.each<[string, Endpoint | undefined]>([
    ['127.0.0.1:9051', { host: '127.0.0.1', port: 9051 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:9051', { host: '::1', port: 9051 }],
    ['unix:/run/tor/control', { path: '/run/tor/control' }],
    ['/run/tor/control', { path: '/run/tor/control' }],
    ['host.example:65535', { host: 'host.example', port: 65_535 }],
    ['host:65536', undefined],
    ['host:', undefined],
    [':9051', undefined],
    ['9051', undefined],
    ['::1:9051', undefined],
    ['[host]:80', undefined],
    ['a b:80', undefined],
    ['', undefined],
    ['unix:relative', undefined],
    ['host:80x', undefined],
    ['host:-1', undefined],
  ])('%s', (text, endpoint) => {
    expect(parseEndpoint(text)).toEqual(endpoint);
  });

  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  const endpoint: fc.Arbitrary<Endpoint> = fc.oneof(
    fc.record({ host, port: fc.integer({ min: 0, max: 65_535 }) }),
    fc.stringMatching(/^\/[^\n\r]+$/).map((path) => ({ path })),
  );

  test('what formatEndpoint writes, parseEndpoint reads back', () => {
    const law = fc.property(endpoint, (any) =>
      isDeepStrictEqual({ ...parseEndpoint(formatEndpoint(any)) }, { ...any }),
    );
    expect(() => fc.assert(law)).not.toThrow();
  });

  test('any text gives an endpoint that reads back, or nothing', () => {
    const law = fc.property(
      fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('[', ']', ':', '/', '.', 'a', '1', ' ') })),
      (text) => {
        const parsed = parseEndpoint(text);
        return parsed === undefined || JSON.stringify(parseEndpoint(formatEndpoint(parsed))) === JSON.stringify(parsed);
      },
    );
    expect(() => fc.assert(law, { numRuns: 2000 })).not.toThrow();
  });
});

describe('systemNet', () => {
  test('TCP: a port is given when 0 is asked for, and both ways carry', async () => {
    const { endpoint } = await listen({ host: '127.0.0.1', port: 0 }, echo);
    expect('port' in endpoint && endpoint.port).toBeGreaterThan(0);
    const stream = await connect(endpoint);
    stream.write('hello');
    expect(String((await once(stream, 'data'))[0])).toBe('hello');
  });

  test('a unix socket is for its owner alone, and gone after the close', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'chimera-net-'));
    releases.push(() => rm(directory, { recursive: true }));
    const path = join(directory, 'socket');
    const listener = await listen({ path }, echo);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const stream = await connect({ path });
    stream.write('hello');
    expect(String((await once(stream, 'data'))[0])).toBe('hello');
    await listener.close();
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('closing a listener destroys what it accepted', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0 }, echo);
    const stream = await connect(listener.endpoint);
    stream.resume();
    await listener.close();
    await once(stream, 'close');
    expect(stream.destroyed).toBe(true);
  });

  test('nobody there: the connection is refused', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0 });
    await listener.close();
    await expect(systemNet.connect(listener.endpoint)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(systemNet.connect({ path: '/nonexistent/socket' })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a port that is taken: listening is refused', async () => {
    const { endpoint } = await listen({ host: '127.0.0.1', port: 0 });
    await expect(systemNet.listen(endpoint, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('a signal that is aborted already, or meanwhile, ends the attempt with its reason', async () => {
    const { endpoint } = await listen({ host: '127.0.0.1', port: 0 });
    const reason = new Error('late');
    await expect(systemNet.connect(endpoint, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const attempt = systemNet.connect(endpoint, controller.signal);
    controller.abort(reason);
    await expect(attempt).rejects.toBe(reason);
  });

  test('an abort after the connection leaves the stream alone', async () => {
    const { endpoint } = await listen({ host: '127.0.0.1', port: 0 }, echo);
    const controller = new AbortController();
    const stream = await connect(endpoint, controller.signal);
    controller.abort(new Error('late'));
    stream.write('hello');
    expect(String((await once(stream, 'data'))[0])).toBe('hello');
  });
});
