/** Senders that are expected: a buffer of their own on real sockets, and what a socket that fails or is not connected yet does. */
import { execFileSync } from 'node:child_process';
import type { Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { systemNet, type DatagramSocket, type InternetEndpoint } from '../../../core/runtime/index.ts';
import { createExpectedSenders, sharing } from '../../../core/runtime/expected-senders.ts';

const open: DatagramSocket[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => socket.close()));
});

async function bind(local: InternetEndpoint, expectedSenders = 0) {
  const heard: { readonly port: number; readonly text: string }[] = [];
  const hear = (from: InternetEndpoint, bytes: Uint8Array): void => {
    heard.push({ port: from.port, text: Buffer.from(bytes).toString() });
  };
  const socket = await systemNet.bindUdp(local, hear, { expectedSenders });
  open.push(socket);
  /** Until that many came, or for ten seconds. */
  const until = async (count: number): Promise<string[]> => {
    for (let tries = 0; tries < 1_000 && heard.length < count; tries++) await sleep(10);
    return heard.map(({ text }) => text);
  };
  return { socket, port: socket.endpoint.port, heard, until };
}

/** The sockets at a port, as the kernel lists them: whom each is connected to (a port, 0 for nobody), and its inode. */
function socketsAt(port: number): { readonly peer: number; readonly inode: string }[] {
  const rows = ['udp', 'udp6'].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1),
  );
  const portOf = (address = ''): number => Number.parseInt(address.split(':')[1] ?? '', 16);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => portOf(fields[1]) === port)
    .map((fields) => ({ peer: portOf(fields[2]), inode: fields[9] as string }))
    .toSorted((a, b) => a.peer - b.peer);
}

const peersAt = (port: number): number[] => socketsAt(port).map(({ peer }) => peer);

/**
 * From another process, while this one stands still and reads nothing: more than any receive buffer holds from a stranger, and then ten
 * datagrams from the peer's port.
 */
function floodThenSpeak(target: InternetEndpoint, peer: InternetEndpoint): void {
  const script = `
    const { createSocket } = require('node:dgram');
    const type = ${JSON.stringify(peer.host.includes(':') ? 'udp6' : 'udp4')};
    const [stranger, peer] = [createSocket(type), createSocket(type)];
    const send = (socket, bytes) => new Promise((done) => socket.send(bytes, ${target.port}, ${JSON.stringify(peer.host)}, done));
    stranger.bind(0, ${JSON.stringify(peer.host)}, async () => {
      for (let sent = 0; sent < 12_000; sent += 100) {
        await Promise.all(Array.from({ length: 100 }, () => send(stranger, Buffer.alloc(1_200))));
      }
      peer.bind(${peer.port}, ${JSON.stringify(peer.host)}, async () => {
        for (let count = 0; count < 10; count++) await send(peer, 'peer ' + count);
        process.exit();
      });
    });`;
  execFileSync(process.execPath, ['-e', script], { timeout: 20_000 });
}

const spoken = Array.from({ length: 10 }, (_none, count) => `peer ${count}`);

describe.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])('expected at %s', (host, loopback) => {
  const at = (port: number): InternetEndpoint => ({ host: loopback, port });

  test('what comes from there outlives a flood of others, which it does not otherwise', async () => {
    const peer = await bind(at(0));
    const [with_, without] = [await bind({ host, port: 0 }, 4), await bind({ host, port: 0 })];
    with_.socket.expect?.(peer.socket.endpoint);
    without.socket.expect?.(peer.socket.endpoint);
    await peer.socket.close();
    const fromPeer = async (receiver: typeof with_): Promise<string[]> => {
      floodThenSpeak(receiver.socket.endpoint, peer.socket.endpoint);
      // What is sent now finds room again, once all before it was read.
      const last = await bind(at(0));
      while (!receiver.heard.some(({ text }) => text === 'last')) {
        last.socket.send(at(receiver.port), Buffer.from('last'));
        await sleep(20);
      }
      await sleep(50);
      return receiver.heard.filter(({ port }) => port === peer.port).map(({ text }) => text);
    };
    expect(await fromPeer(with_)).toEqual(spoken);
    expect(await fromPeer(without)).not.toEqual(spoken);
  });

  test('it and everybody else are heard, each once, and are answered from the same port', async () => {
    const receiver = await bind({ host, port: 0 }, 4);
    const [peer, other] = [await bind(at(0)), await bind(at(0))];
    receiver.socket.expect?.(peer.socket.endpoint);
    peer.socket.send(at(receiver.port), Buffer.from('peer'));
    other.socket.send(at(receiver.port), Buffer.from('other'));
    expect((await receiver.until(2)).toSorted()).toEqual(['other', 'peer']);
    for (const { socket, port, until, heard } of [peer, other]) {
      receiver.socket.send(at(port), Buffer.from('answer'));
      expect([await until(1), heard[0]?.port]).toEqual([['answer'], receiver.port]);
      expect(socket.endpoint.port).toBe(port);
    }
    expect(receiver.heard).toHaveLength(2);
  });

  test('whose machine says that nobody is there does no harm, and is heard later', async () => {
    const receiver = await bind({ host, port: 0 }, 4);
    const gone = await bind(at(0));
    await gone.socket.close();
    receiver.socket.expect?.(gone.socket.endpoint);
    for (let count = 0; count < 3; count++) {
      receiver.socket.send(gone.socket.endpoint, Buffer.from('refused'));
      await sleep(20);
    }
    const back = await bind(at(gone.port));
    back.socket.send(at(receiver.port), Buffer.from('back'));
    expect(await receiver.until(1)).toEqual(['back']);
  });

  test('a port that another daemon of the same kind has, or any program, is taken', async () => {
    for (const most of [0, 4]) {
      const { port } = await bind({ host, port: 0 }, most);
      for (const again of [0, 4]) {
        await expect(bind({ host, port }, again)).rejects.toMatchObject({ code: 'EADDRINUSE' });
        await expect(bind(at(port), again)).rejects.toMatchObject({ code: 'EADDRINUSE' });
      }
      const [only, ...rest] = peersAt(port);
      expect([only, rest]).toEqual([0, []]);
    }
  });
});

describe('how many sockets there are', () => {
  const at = (port: number): InternetEndpoint => ({ host: '127.0.0.1', port });
  /** Ports at which nobody is. */
  const nobody = [1, 2, 3, 4] as const;

  test('one for everybody, and one for each that is expected, the last few; none after the close', async () => {
    const { socket, port } = await bind(at(0), 3);
    expect(peersAt(port)).toEqual([0]);
    for (const peer of nobody) socket.expect?.(at(peer));
    expect(peersAt(port)).toEqual([0, 2, 3, 4]);
    socket.expect?.(at(2));
    socket.expect?.(at(1));
    expect(peersAt(port)).toEqual([0, 1, 2, 4]);
    for (const host of ['::1', 'localhost', '']) socket.expect?.({ host, port: 9 });
    for (const impossible of [0, -1, 65_536, Number.NaN]) socket.expect?.(at(impossible));
    expect(peersAt(port)).toEqual([0, 1, 2, 4]);
    await socket.close();
    socket.expect?.(at(1));
    expect(peersAt(port)).toEqual([]);
  });

  test('who is heard does not give way to who is not there, only to others that are heard', async () => {
    const { socket, port, until } = await bind(at(0), 3);
    const here = await Promise.all([bind(at(0)), bind(at(0)), bind(at(0)), bind(at(0))]);
    let said = 0;
    const meet = async ({ socket: peer }: (typeof here)[number]): Promise<void> => {
      socket.expect?.(peer.endpoint);
      peer.send(socket.endpoint, Buffer.from('here'));
      await until(++said);
    };
    const sorted = (...ports: readonly number[]): number[] => ports.toSorted((a, b) => a - b);
    const [a, b, c, d] = here;
    await meet(a);
    await meet(b);
    for (const peer of nobody) socket.expect?.(at(peer));
    expect(peersAt(port)).toEqual(sorted(0, 4, a.port, b.port));
    await meet(c);
    await meet(d);
    expect(peersAt(port)).toEqual(sorted(0, b.port, c.port, d.port));
  });

  test('an endpoint to which there is no way is expected in vain, as often as one likes', async () => {
    const { socket, port } = await bind(at(0), 3);
    // From a loopback address there is no way to another machine.
    for (let count = 0; count < 20; count++) socket.expect?.({ host: `192.0.2.${1 + (count % 5)}`, port: 9 });
    await expect.poll(() => peersAt(port)).toEqual([0]);
  });

  test('none where none was asked for', async () => {
    const { socket, port } = await bind(at(0));
    socket.expect?.(at(1));
    expect(peersAt(port)).toEqual([0]);
  });

  test('one that was heard stays the same; one that was not is made anew: this machine may have another address', async () => {
    const { socket, port, until } = await bind(at(0), 3);
    const peer = await bind(at(0));
    const inode = (): string | undefined => socketsAt(port).find((one) => one.peer === peer.port)?.inode;
    socket.expect?.(peer.socket.endpoint);
    const first = inode();
    socket.expect?.(peer.socket.endpoint);
    const second = inode();
    expect(second).not.toBe(first);
    peer.socket.send(socket.endpoint, Buffer.from('here'));
    await until(1);
    socket.expect?.(peer.socket.endpoint);
    expect(inode()).toBe(second);
    socket.expect?.(peer.socket.endpoint);
    expect(inode()).not.toBe(second);
  });
});

describe('a socket for one sender', () => {
  const local = { host: '127.0.0.1', port: 7 };
  const [peer, stranger] = [
    { host: '127.0.0.1', port: 1 },
    { host: '127.0.0.1', port: 2 },
  ];

  /** Sockets that do what the test says. */
  function play() {
    const sockets: (EventEmitter & { closed: boolean; bound: (() => void) | undefined; asked: string })[] = [];
    const heard: number[] = [];
    const senders = createExpectedSenders({
      local,
      most: 2,
      make: () => {
        const socket = Object.assign(new EventEmitter(), {
          closed: false,
          bound: undefined as (() => void) | undefined,
          asked: '',
          bind: (_where: unknown, done: () => void) => (socket.bound = done),
          connect: (port: number, host: string) => (socket.asked = `${host}:${port}`),
          close: () => {
            if (socket.closed) throw new Error('not running');
            socket.closed = true;
          },
        });
        sockets.push(socket);
        return socket as unknown as Socket;
      },
      receive: ({ port }) => heard.push(port),
    });
    const say = (at: number, { host, port }: InternetEndpoint): boolean | undefined =>
      sockets[at]?.emit('message', Buffer.of(1), { address: host, port });
    return { sockets, heard, senders, say };
  }

  test('hands on what it gets before it is connected, and that of a stranger is no sign of its own', () => {
    const { sockets, heard, senders, say } = play();
    senders.expect(peer);
    say(0, stranger);
    sockets[0]?.bound?.();
    expect(sockets[0]?.asked).toBe('127.0.0.1:1');
    sockets[0]?.emit('connect');
    senders.expect(peer);
    expect(sockets.map(({ closed }) => closed)).toEqual([true, false]);
    say(1, peer);
    senders.expect(peer);
    expect(sockets).toHaveLength(2);
    expect(heard).toEqual([2, 1]);
  });

  test('whose failure is told after it had to go is not closed twice, and harms nobody in its place', () => {
    const { sockets, senders } = play();
    senders.expect(peer);
    sockets[0]?.bound?.();
    senders.expect(peer);
    for (let count = 0; count < 2; count++) sockets[0]?.emit('error', new Error('ENETUNREACH'));
    expect(sockets.map(({ closed }) => closed)).toEqual([true, false]);
    senders.close();
    sockets[1]?.emit('error', new Error('ENETUNREACH'));
    expect(sockets.map(({ closed }) => closed)).toEqual([true, true]);
  });

  test('that cannot be bound or connected is closed: it would take what is for the general one', () => {
    const { sockets, senders } = play();
    senders.expect(peer);
    sockets[0]?.emit('error', new Error('EMFILE'));
    senders.expect(stranger);
    sockets[1]?.bound?.();
    sockets[1]?.emit('error', new Error('ENETUNREACH'));
    expect(sockets.map(({ closed }) => closed)).toEqual([true, true]);
    senders.expect(peer);
    sockets[2]?.bound?.();
    sockets[2]?.emit('connect');
    for (let count = 0; count < 3; count++) sockets[2]?.emit('error', new Error('ECONNREFUSED'));
    expect(sockets[2]?.closed).toBe(false);
    senders.close();
    senders.expect(peer);
    expect(sockets.map(({ closed }) => closed)).toEqual([true, true, true]);
  });
});

test.each([
  ['20.20.2', { reuseAddr: true }],
  ['22.11.0', { reuseAddr: true }],
  ['22.12.0', { reusePort: true }],
  ['23.0.0', { reuseAddr: true }],
  ['23.1.0', { reusePort: true }],
  ['24.0.0', { reusePort: true }],
])('Node.js %s shares a port by %o', (version, how) => {
  expect(sharing(version)).toEqual(how);
});
