import { afterEach, describe, expect, test } from 'vitest';
import {
  ipFamily,
  systemNet,
  type DatagramOptions,
  type DatagramSocket,
  type InternetEndpoint,
} from '../../../core/runtime/index.ts';

const open: DatagramSocket[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => socket.close()));
});

interface Heard {
  readonly from: InternetEndpoint;
  readonly bytes: Uint8Array;
}

/** A socket with what it hears, and the wait for the next of it. */
async function bind(host: string, port = 0, options: DatagramOptions = {}) {
  const heard: Heard[] = [];
  const waiting: ((next: Heard) => void)[] = [];
  const receive = (from: InternetEndpoint, bytes: Uint8Array): void => {
    const next = { from, bytes };
    heard.push(next);
    waiting.shift()?.(next);
  };
  const socket = await systemNet.bindUdp({ host, port }, receive, options);
  open.push(socket);
  const next = (): Promise<Heard> =>
    new Promise((resolve) => {
      waiting.push(resolve);
    });
  return { socket, heard, next };
}

describe.each(['127.0.0.1', '::1'])('UDP at %s', (host) => {
  test('carries a datagram with its sender, to whom an answer finds back', async () => {
    const [a, b] = [await bind(host), await bind(host)];
    expect(a.socket.endpoint.port).toBeGreaterThan(0);
    const [atB, atA] = [b.next(), a.next()];
    const sent = Uint8Array.of(1, 2, 3);
    a.socket.send(b.socket.endpoint, sent);
    sent.fill(9);
    expect(await atB).toMatchObject({ from: a.socket.endpoint, bytes: Buffer.from([1, 2, 3]) });
    b.socket.send((await atB).from, Uint8Array.of(4));
    expect(await atA).toMatchObject({ from: b.socket.endpoint, bytes: Buffer.from([4]) });
  });

  test('nothing goes to a name, to the other family, to an impossible port or to nobody, and nothing throws', async () => {
    const [a, b] = [await bind(host), await bind(host)];
    const other = host === '::1' ? '127.0.0.1' : '::1';
    const { port } = b.socket.endpoint;
    const atB = b.next();
    for (const to of [
      { host: 'localhost', port },
      { host: other, port },
      { host, port: 0 },
      { host, port: 65_536 },
      { host, port: Number.NaN },
      { host, port: 9 },
      { host: '', port },
    ]) {
      expect(() => a.socket.send(to, Uint8Array.of(7))).not.toThrow();
    }
    // More than UDP carries is lost, not an error.
    a.socket.send(b.socket.endpoint, new Uint8Array(70_000));
    a.socket.send(b.socket.endpoint, Uint8Array.of(8));
    expect((await atB).bytes).toEqual(Buffer.from([8]));
    expect(b.heard).toHaveLength(1);
  });

  test('closed: silent and deaf, twice is fine, and the port is free', async () => {
    const [a, b] = [await bind(host), await bind(host)];
    await a.socket.close();
    await a.socket.close();
    a.socket.send(b.socket.endpoint, Uint8Array.of(1));
    const again = await bind(host, a.socket.endpoint.port);
    const atB = b.next();
    again.socket.send(b.socket.endpoint, Uint8Array.of(2));
    expect((await atB).bytes).toEqual(Buffer.from([2]));
  });

  test('a port that is taken is refused', async () => {
    const { socket } = await bind(host);
    await expect(systemNet.bindUdp(socket.endpoint, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

test('only an IP address can be bound, and only one of this machine', async () => {
  const nothing = (): void => undefined;
  await expect(systemNet.bindUdp({ host: 'localhost', port: 0 }, nothing)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(systemNet.bindUdp({ host: '192.0.2.1', port: 0 }, nothing)).rejects.toMatchObject({
    code: 'EADDRNOTAVAIL',
  });
});

test('the same port serves both families', async () => {
  const four = await bind('0.0.0.0');
  const six = await bind('::', four.socket.endpoint.port);
  const client = await bind('127.0.0.1');
  const atFour = four.next();
  client.socket.send({ host: '127.0.0.1', port: four.socket.endpoint.port }, Uint8Array.of(1));
  expect((await atFour).from).toEqual(client.socket.endpoint);
  expect(six.heard).toEqual([]);
});

test('own addresses are IP addresses, without loopback', () => {
  const own = systemNet.addresses();
  expect(own.filter((address) => ipFamily(address) === 0 || /^(127\.|::1$|fe80:)/.test(address))).toEqual([]);
  expect([...own]).toEqual([...own].sort((a, b) => ipFamily(a) - ipFamily(b)));
});
