/**
 * Receive buffers of their own for senders that are expected, on one UDP port. The kernel gives a datagram to the socket that
 * fits it best: one that is connected to its sender, before the one for everybody. What comes from an expected sender waits
 * there, and a flood from others fills only the buffer of the others. These sockets only hear; sending is the general one’s.
 *
 * Several sockets on a port must share it (udp(7), ip(7)): with SO_REUSEPORT, which the kernel lets only the same user join, where this
 * Node.js has it; else with SO_REUSEADDR, which lets in whoever asks for it. Enter at `createExpectedSenders`.
 */
import type { Socket } from 'node:dgram';
import type { DatagramListener, InternetEndpoint } from './datagrams.ts';

/** Whether sockets connected to one sender are preferred in the way described above. */
export const canExpectSenders = process.platform === 'linux';

/** How a socket on a shared port is made. `reusePort` came with Node.js 22.12 and 23.1. */
export function sharing(version: string): { readonly reusePort: true } | { readonly reuseAddr: true } {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const hasReusePort = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
  return hasReusePort ? { reusePort: true } : { reuseAddr: true };
}

/** As the kernel doubles it, some hundreds of full datagrams: a peer’s burst while this process is busy. */
const bufferBytes = 1_048_576;

interface Expected {
  readonly socket: Socket;
  /** Whether anything came since it was last expected. */
  heard: boolean;
}

export interface ExpectedSenders {
  expect(from: InternetEndpoint): void;
  close(): void;
}

export function createExpectedSenders(options: {
  /** Of the port that is shared, as the general socket has it. */
  readonly local: InternetEndpoint;
  /** Beyond that one gives way: expected longest ago, of those not heard since if there are any. 0: nobody is expected, and the port is not shared. */
  readonly most: number;
  readonly make: (receiveBufferBytes: number) => Socket;
  readonly receive: DatagramListener;
}): ExpectedSenders {
  const { local, most, make, receive } = options;
  const all = new Map<string, Expected>();
  let closed = false;

  const drop = (name: string, expected: Expected): void => {
    // A failure may be told after the close: that socket is no longer here.
    if (all.get(name) !== expected) return;
    all.delete(name);
    expected.socket.removeAllListeners('message');
    expected.socket.close();
  };

  const open = (name: string, from: InternetEndpoint): void => {
    const expected: Expected = { socket: make(bufferBytes), heard: false };
    const { socket } = expected;
    const fail = (): void => drop(name, expected);
    all.set(name, expected);
    socket.once('error', fail);
    // Later, that the other end refuses is no news: it may be lost anyway.
    socket.on('error', () => undefined);
    socket.once('connect', () => socket.off('error', fail));
    // Between the two calls the kernel may put others’ datagrams here: they are heard as if they had come to the general socket.
    socket.on('message', (bytes, { address, port }) => {
      if (address === from.host && port === from.port) expected.heard = true;
      receive({ host: address, port }, bytes);
    });
    socket.bind({ address: local.host, port: local.port, exclusive: true }, () => socket.connect(from.port, from.host));
  };

  return {
    expect: (from) => {
      if (closed || most === 0) return;
      const name = `${from.host} ${from.port}`;
      const known = all.get(name);
      if (known?.heard === true) {
        known.heard = false;
        all.delete(name);
        all.set(name, known);
        return;
      }
      // Nothing came here since: perhaps this machine’s own address is another now, which a connected socket does not follow.
      if (known !== undefined) drop(name, known);
      // Who was not heard is perhaps not there, and may be asked for often: it does not push out who is.
      const leaving = all.size < most ? undefined : ([...all].find(([, { heard }]) => !heard) ?? [...all][0]);
      if (leaving !== undefined) drop(...leaving);
      open(name, from);
    },
    close: () => {
      closed = true;
      for (const [name, expected] of all) drop(name, expected);
    },
  };
}
