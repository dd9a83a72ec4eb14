import { EventEmitter } from 'node:events';
import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { openRedisWith, silentLog, type Log, type OpenRedis, type RedisOptions } from '../../../core/runtime/index.ts';
import { createRedisTransport, decodeFrame, encodeFrame, readSeen } from '../../../plugins/transport/redis/index.ts';
import { describeTransport } from '../../kit/laws/transport.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createVirtualClock } from '../../kit/sim/virtual-clock.ts';
import { siteOf } from './sites.ts';

/** A server in memory: who listens to which channel, and what is kept. */
function createServer() {
  const clock = createVirtualClock(0);
  const listening = new Map<string, Set<RedisOptions>>();
  const kept = new Map<string, string>();
  const publish = (channel: string, message: Uint8Array): void => {
    const copy = Uint8Array.from(message);
    clock.after(1, () => {
      for (const { receive } of listening.get(channel) ?? []) receive(Uint8Array.from(copy));
    });
  };
  const connect: OpenRedis = async (options) => {
    const set = listening.get(options.channel) ?? new Set();
    listening.set(options.channel, set.add(options));
    options.changed(true, 'connected');
    return {
      up: true,
      publish,
      keep: (key, value) => void kept.set(key, value),
      recall: async (keys) => keys.map((key) => kept.get(key)),
      close: async () => void set.delete(options),
    };
  };
  return { clock, kept, publish, connect, listening };
}
type Server = ReturnType<typeof createServer>;

const at = { host: '127.0.0.1', port: 6379 };
const make = (
  { clock, connect }: Pick<Server, 'clock' | 'connect'>,
  node: string,
  options: Partial<Parameters<typeof createRedisTransport>[1]> = {},
  log: Log = silentLog,
) =>
  createRedisTransport(
    { clock, store: createMemoryStore(), log },
    { node, server: at, prefix: 'chimera', ...options },
    connect,
  );

describeTransport('redis, over a server in memory', async () => {
  const server = createServer();
  const site = await siteOf([make(server, 'a'), make(server, 'b'), make(server, 'c')], {
    nowhere: ['redis:nobody', 'redis:a.b-c'],
    throwGarbage: async ({ endpoint }, bytes) => server.publish(`chimera:mesh:${endpoint.slice(6)}`, bytes),
  });
  return { ...site, wait: (durationMs) => server.clock.advance(durationMs) };
});

describe('frames', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

  test('what is encoded is decoded', () => {
    const law = fc.property(name, fc.uint8Array({ minLength: 1, maxLength: 1_232 }), (sender, bytes) => {
      expect(decodeFrame(encodeFrame(sender, bytes))).toEqual({ sender, bytes });
    });
    expect(() => fc.assert(law)).not.toThrow();
  });

  test('any bytes are a frame of somebody with a name, or none', () => {
    const law = fc.property(fc.uint8Array({ maxLength: 1_400 }), fc.nat(70), (bytes, length) => {
      const frame = decodeFrame(Uint8Array.of(1, length, ...bytes));
      return frame === undefined || (frame.bytes.length > 0 && frame.bytes.length <= 1_232 && frame.sender !== '');
    });
    expect(() => fc.assert(law, { numRuns: 1_000 })).not.toThrow();
  });
});

describe('the cache', () => {
  const peer = (node: string) => ({
    node,
    keys: { signing: new Uint8Array(32), agreement: new Uint8Array(32) },
    endpoints: [],
    admittedBy: node,
  });

  test('tells where the members were seen, and goes on telling it when Redis has forgotten', async () => {
    const server = createServer();
    const [a, b] = [
      make(server, 'a', { endpoints: () => ['udp:192.0.2.1:7', 'redis:a'] }),
      make(server, 'b', { endpoints: () => ['redis:b'] }),
    ];
    await a.open();
    await b.open();
    b.transport.admit?.([peer('a'), peer('b'), peer('stranger')]);
    await server.clock.advance(31_000);
    expect(b.transport.hints?.('a')).toEqual(['udp:192.0.2.1:7', 'redis:a']);
    expect(b.transport.hints?.('stranger')).toEqual([]);
    server.kept.clear();
    await server.clock.advance(31_000);
    expect(b.transport.hints?.('a')).toEqual(['udp:192.0.2.1:7', 'redis:a']);
    b.transport.admit?.([peer('b')]);
    expect(b.transport.hints?.('a')).toEqual([]);
    await a.close();
    await b.close();
    expect(server.clock.pending).toBe(0);
  });

  test.for([
    undefined,
    '',
    '{}',
    '[',
    'null',
    '[1,null,{}]',
    '["nonsense","udp:\\n","UDP:x"]',
    JSON.stringify(Array.from({ length: 9 }, () => 'udp:a')),
    JSON.stringify(['udp:' + 'x'.repeat(5_000)]),
  ])('%j is nobody’s endpoints', (text) => {
    expect(readSeen(text)).toEqual([]);
  });
});

describe('credentials', () => {
  test('come from files and reach no log; one that cannot be read ends the start', async () => {
    const said: unknown[] = [];
    const log: Log = { ...silentLog, info: (...line) => said.push(line), warn: (...line) => said.push(line) };
    const store = createMemoryStore();
    await store.write('/password', 'open sesame\n');
    let got: RedisOptions | undefined;
    const server = createServer();
    const connect: OpenRedis = (options) => {
      got = options;
      return server.connect(options);
    };
    const options = { node: 'a', server: at, prefix: 'p', username: 'chimera', passwordPath: '/password' };
    const runtime = { clock: server.clock, store, log };
    const transport = createRedisTransport(runtime, options, connect);
    await transport.open();
    expect(got).toMatchObject({ username: 'chimera', password: 'open sesame', channel: 'p:mesh:a' });
    got?.changed(false, 'WRONGPASS invalid username-password pair');
    expect(JSON.stringify(said)).toContain('WRONGPASS');
    expect(JSON.stringify(said)).not.toContain('sesame');
    await transport.close();
    const absent = createRedisTransport(runtime, { ...options, passwordPath: '/absent' }, connect);
    await expect(absent.open()).rejects.toMatchObject({ code: 'REDIS_CREDENTIALS' });
  });

  test('ups and downs are told once each', async () => {
    const warn = vi.fn<Log['warn']>();
    const server = createServer();
    let got: RedisOptions | undefined;
    const transport = make(
      {
        ...server,
        connect: (options) => {
          got = options;
          return server.connect(options);
        },
      },
      'a',
      {},
      { ...silentLog, warn },
    );
    await transport.open();
    for (let count = 0; count < 5; count++) got?.changed(false, 'ECONNREFUSED');
    expect(warn).toHaveBeenCalledTimes(1);
    await transport.close();
  });
});

test('without ioredis the error says what to install', async () => {
  const options = { server: at, channel: 'c', receive: () => undefined, changed: () => undefined };
  await expect(
    openRedisWith(() => Promise.reject(new Error("Cannot find package 'ioredis'")), options),
  ).rejects.toMatchObject({
    code: 'REDIS_MISSING',
    remedy: 'npm install ioredis',
  });
});

test('a password that the server says back is not in what is told', async () => {
  class Server extends EventEmitter {
    disconnect(): void {
      this.removeAllListeners();
    }
    subscribe(): Promise<void> {
      return Promise.reject(new Error('NOPERM sesame may not'));
    }
  }
  const made: Server[] = [];
  class Redis extends Server {
    constructor() {
      super();
      made.push(this);
    }
  }
  const whys: string[] = [];
  const link = await openRedisWith(async () => ({ Redis }), {
    server: at,
    password: 'sesame',
    channel: 'c',
    receive: () => undefined,
    changed: (_up, why) => whys.push(why),
  });
  made[0]?.emit('error', new Error('ERR unknown command AUTH sesame'));
  expect(whys).toEqual(['ERR unknown command AUTH [redacted]']);
  await link.close();
});

test('files with secrets that everybody may read are told, and no others', async () => {
  const warn = vi.fn<Log['warn']>();
  const store = createMemoryStore();
  await store.write('/password', 'sesame', 0o644);
  await store.write('/key', 'x', 0o600);
  await store.write('/ca', 'x', 0o644);
  const server = createServer();
  const transport = createRedisTransport(
    { clock: server.clock, store, log: { ...silentLog, warn } },
    { node: 'a', server: at, prefix: 'chimera', passwordPath: '/password', tls: { caPath: '/ca', keyPath: '/key' } },
    server.connect,
  );
  await transport.open();
  expect(warn.mock.calls.map(([, fields]) => fields?.['path'])).toEqual(['/password']);
  await transport.close();
});
