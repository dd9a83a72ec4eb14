/** transport/redis on Debian's redis-server: the laws, and a server that is gone, hangs, lies, or asks for a password and TLS. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createLog, systemClock, systemNet, systemRuntime, type Endpoint } from '../../core/runtime/index.ts';
import { createRedisTransport, encodeFrame, type RedisTransportOptions } from '../../plugins/transport/redis/index.ts';
import { describeTransport } from '../kit/laws/transport.ts';
import { freePorts } from '../kit/network/private/index.ts';
import { siteOf } from '../unit/transport/sites.ts';
import { startRedisServer, type RedisServer } from './fixtures/redis-server.ts';
import { describeReal } from './require.ts';

/** A transport that keeps what it hears and logs. */
function make(node: string, server: Endpoint, options: Partial<RedisTransportOptions> = {}) {
  let said = '';
  const log = createLog({ write: (line: string) => (said += line) }, 'debug', () => 0);
  const open = createRedisTransport(systemRuntime(log), { node, server, prefix: 'test', ...options });
  const heard: string[] = [];
  open.transport.onMessage((_from, bytes) => heard.push(Buffer.from(bytes).toString()));
  return { ...open, heard, said: () => said };
}
type Made = ReturnType<typeof make>;

/** Sends a text from one to the other until it is there; fails after 20 s. */
async function carry(from: Made, to: Made, text: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    from.transport.send(to.transport.endpoint, Buffer.from(text));
    await systemClock.sleep(100);
    if (to.heard.includes(text)) return;
  }
  throw new Error(`"${text}" did not arrive; ${from.said()}${to.said()}`);
}

describeReal('transport/redis', ['redis-server', 'openssl'], () => {
  const releases: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    for (const release of releases.reverse()) await release();
  });
  const start = async (...options: Parameters<typeof startRedisServer>): Promise<RedisServer> => {
    const server = await startRedisServer(...options);
    releases.push(() => server.remove());
    return server;
  };
  const open = async (...options: Parameters<typeof make>): Promise<Made> => {
    const made = make(...options);
    releases.push(made.close);
    await made.open();
    return made;
  };

  describeTransport('redis', async () => {
    const server = await start();
    const site = await siteOf([make('a', server.endpoint), make('b', server.endpoint), make('c', server.endpoint)], {
      nowhere: ['redis:nobody'],
      throwGarbage: async ({ endpoint }, bytes) => {
        const words = ['-s', join(server.directory, 'redis.sock'), '-x', 'PUBLISH', `test:mesh:${endpoint.slice(6)}`];
        execFileSync('redis-cli', words, { input: bytes });
      },
    });
    return site;
  });

  describe('all goes on', () => {
    test('with a server that comes late, is killed, and comes again', async () => {
      const server = await start();
      await server.kill('SIGKILL');
      const [a, b] = [await open('a', server.endpoint), await open('b', server.endpoint)];
      for (let count = 0; count < 5_000; count++) a.transport.send('redis:b', new Uint8Array(1_232));
      await server.start();
      await carry(a, b, 'after it came');
      await server.kill('SIGKILL');
      for (let count = 0; count < 5_000; count++) a.transport.send('redis:b', new Uint8Array(1_232));
      await server.start();
      await carry(a, b, 'after it died');
      await carry(b, a, 'and back');
      expect(b.said().match(/no connection to Redis/g)?.length).toBeLessThanOrEqual(2);
    });

    test('with a server that hangs: nothing piles up, and what waits is bounded', async () => {
      const server = await start();
      const [a, b] = [await open('a', server.endpoint), await open('b', server.endpoint)];
      await carry(a, b, 'before');
      await server.kill('SIGSTOP');
      for (let count = 0; count < 20_000; count++) a.transport.send('redis:b', Buffer.from('meanwhile'));
      await systemClock.sleep(500);
      await server.kill('SIGCONT');
      await carry(a, b, 'afterwards');
      expect(b.heard.filter((text) => text === 'meanwhile').length).toBeLessThanOrEqual(1_024);
    });

    test('with a server that answers nonsense, or sends without an end', async () => {
      const endless = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
        stream.on('error', () => undefined);
        stream.write('$999999999\r\n');
        const more = (): void => {
          while (!stream.destroyed && stream.write(Buffer.alloc(65_536, 0x41))) continue;
          if (!stream.destroyed) stream.once('drain', more);
        };
        more();
      });
      const nonsense = await systemNet.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
        stream.on('error', () => undefined);
        stream.on('data', () => stream.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
      });
      releases.push(
        () => endless.close(),
        () => nonsense.close(),
      );
      const before = process.memoryUsage().rss;
      const victims = [await open('a', endless.endpoint), await open('b', nonsense.endpoint)];
      await systemClock.sleep(3_000);
      for (const victim of victims) {
        victim.transport.send('redis:c', Uint8Array.of(1));
        expect(victim.said()).toContain('no connection to Redis');
      }
      expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
      await Promise.all(victims.map((victim) => victim.close()));
    });

    test('with one that repeats, mixes up and makes up messages: each is a datagram of whoever it names', async () => {
      const server = await start();
      const [a, b] = [await open('a', server.endpoint), await open('b', server.endpoint)];
      await carry(a, b, 'honest');
      const from: string[] = [];
      b.transport.onMessage((endpoint) => from.push(endpoint));
      const words = ['-s', join(server.directory, 'redis.sock'), '-x', 'PUBLISH', 'test:mesh:b'];
      execFileSync('redis-cli', words, { input: encodeFrame('forged', Buffer.from('x')) });
      await carry(a, b, 'still honest');
      expect(from).toContain('redis:forged');
    });
  });

  test('the cache keeps endpoints for those who come later, and forgets them', async () => {
    const server = await start();
    const endpoints = (): string[] => ['udp:192.0.2.1:7411', 'redis:a'];
    const [a, b] = [await open('a', server.endpoint, { endpoints }), await open('b', server.endpoint)];
    const keys = { signing: new Uint8Array(32), agreement: new Uint8Array(32) };
    await carry(a, b, 'there');
    b.transport.admit?.([{ node: 'a', keys, endpoints: [], admittedBy: 'a' }]);
    for (let tries = 0; tries < 50 && b.transport.hints?.('a').length === 0; tries++) await systemClock.sleep(50);
    expect(b.transport.hints?.('a')).toEqual(endpoints());
    expect(Number(server.cli('PTTL', 'test:seen:a'))).toBeGreaterThan(60_000);
  });

  test('an access list with the commands of the README is enough, and the password is in no log', async () => {
    const server = await start();
    const commands = ['+publish', '+subscribe', '+set', '+mget', '+ping'];
    server.cli('ACL', 'SETUSER', 'chimera', 'on', '>open-sesame', '~test:*', '&test:*', ...commands);
    server.cli('ACL', 'SETUSER', 'default', '-@all');
    const passwordPath = join(server.directory, 'password');
    writeFileSync(passwordPath, 'open-sesame\n');
    const credentials = { username: 'chimera', passwordPath };
    const [a, b] = [await open('a', server.endpoint, credentials), await open('b', server.endpoint, credentials)];
    await carry(a, b, 'let in');
    const wrongPath = join(server.directory, 'wrong');
    writeFileSync(wrongPath, 'close-sesame');
    const wrong = await open('c', server.endpoint, { username: 'chimera', passwordPath: wrongPath });
    for (let tries = 0; tries < 100 && !wrong.said().includes('WRONGPASS'); tries++) await systemClock.sleep(50);
    expect(wrong.said()).toContain('WRONGPASS');
    expect(a.said() + b.said() + wrong.said()).not.toContain('sesame');
  });

  test('TLS: the server’s certificate is checked, and the client shows its own', async () => {
    const [port = 0] = await freePorts(systemRuntime(), 1);
    const plain = await start();
    const at = (name: string): string => join(plain.directory, name);
    const openssl = (...words: string[]): unknown => execFileSync('openssl', words, { stdio: 'ignore' });
    const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    openssl('req', '-x509', ...fresh, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=test authority');
    for (const name of ['server', 'client']) {
      openssl(
        'req',
        '-new',
        ...fresh.slice(0, 5),
        '-keyout',
        at(`${name}.key`),
        '-out',
        at(`${name}.csr`),
        '-subj',
        `/CN=${name}`,
        '-addext',
        'subjectAltName=DNS:redis.test',
      );
      openssl(
        'x509',
        '-req',
        '-in',
        at(`${name}.csr`),
        '-CA',
        at('ca.crt'),
        '-CAkey',
        at('ca.key'),
        '-days',
        '2',
        '-copy_extensions',
        'copy',
        '-out',
        at(`${name}.crt`),
      );
    }
    const files = [
      '--tls-cert-file',
      at('server.crt'),
      '--tls-key-file',
      at('server.key'),
      '--tls-ca-cert-file',
      at('ca.crt'),
    ];
    const server = await start(files, port);
    const tls = {
      caPath: at('ca.crt'),
      certificatePath: at('client.crt'),
      keyPath: at('client.key'),
      serverName: 'redis.test',
    };
    const [a, b] = [await open('a', server.endpoint, { tls }), await open('b', server.endpoint, { tls })];
    await carry(a, b, 'sealed');
    const elsewhere = await open('c', server.endpoint, { tls: { ...tls, serverName: 'other.test' } });
    const stranger = await open('d', server.endpoint, { tls: { serverName: 'redis.test' } });
    for (const one of [elsewhere, stranger]) {
      for (let tries = 0; tries < 100 && one.said() === ''; tries++) await systemClock.sleep(50);
      expect(one.said()).toMatch(/does not match certificate|self-signed certificate/);
    }
  });
});
