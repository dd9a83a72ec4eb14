/** Datagram sockets: UDP over IPv4 and IPv6. Reached through `Net.bindUdp`; simulations pass an in-memory, faulty one. */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { canExpectSenders, createExpectedSenders, sharing, type ExpectedSenders } from './expected-senders.ts';

/** An IP address, never a name, and a port. */
export interface InternetEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Called for each datagram. The bytes belong to the listener. */
export type DatagramListener = (from: InternetEndpoint, bytes: Uint8Array) => void;

export interface DatagramOptions {
  /**
   * How many senders `expect` keeps apart; 0, the default: none. Otherwise the port is shared, see expected-senders.ts for with whom.
   * Without effect elsewhere than on Linux.
   */
  readonly expectedSenders?: number;
}

export interface DatagramSocket {
  /** The endpoint in use: with port 0 asked for, the port that was given. */
  readonly endpoint: InternetEndpoint;
  /**
   * Sends, or loses it: there is no error, as there is no certainty. The bytes may be changed afterwards. Lost at once is what
   * goes to a name or to an address of the other family, and what comes while more than 4 MiB wait for the network.
   */
  send(to: InternetEndpoint, bytes: Uint8Array): void;
  /**
   * What comes from this sender waits in a buffer of its own from now on, which a flood from others does not fill. A hint: what is
   * heard is the same. Beyond `expectedSenders` one gives way.
   */
  expect?(from: InternetEndpoint): void;
  /** Nothing is heard or sent any more. May be called again. */
  close(): Promise<void>;
}

/** What the kernel keeps while this process is busy, so that a flood does not push out what came with it; it gives less where the system’s limit is lower. */
const receiveBufferBytes = 4_194_304;
const sendQueueBytes = 4_194_304;

/** The family of an IP address: 4 or 6; 0 for anything else, names included. */
export function ipFamily(host: string): 0 | 4 | 6 {
  return isIP(host) as 0 | 4 | 6;
}

function makeSocket(family: 4 | 6, bufferBytes: number, shared: boolean): Socket {
  return createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    // One socket a family, so that an IPv4 address never comes in the clothes of IPv6.
    ipv6Only: family === 6,
    recvBufferSize: bufferBytes,
    // Names are never looked up, whoever sends them.
    lookup: (host, _options, done) => done(null, host, family),
    ...(shared ? sharing(process.versions.node) : {}),
  });
}

function bindSocket(socket: Socket, local: InternetEndpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: local.host, port: local.port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Binds a UDP socket to an IP address. Rejects with the system's error: EADDRINUSE, EADDRNOTAVAIL, EACCES, EAFNOSUPPORT. */
export async function bindUdpSocket(
  local: InternetEndpoint,
  receive: DatagramListener,
  { expectedSenders = 0 }: DatagramOptions = {},
): Promise<DatagramSocket> {
  const family = ipFamily(local.host);
  if (family === 0) throw Object.assign(new Error(`EINVAL: ${local.host} is no IP address`), { code: 'EINVAL' });
  const shared = canExpectSenders && expectedSenders > 0;
  let socket = makeSocket(family, receiveBufferBytes, false);
  await bindSocket(socket, local);
  if (shared) {
    // Only a socket that does not share its port finds out that it is free: another daemon of the same kind would let this one in. Who
    // takes it between the two is found out as well, unless it shares.
    const { port } = socket.address();
    socket.close();
    socket = makeSocket(family, receiveBufferBytes, true);
    await bindSocket(socket, { host: local.host, port });
  }
  // What the network answers to a datagram (refused, unreachable) is no news: it may be lost anyway.
  socket.on('error', () => undefined);
  socket.on('message', (bytes, { address, port }) => receive({ host: address, port }, bytes));
  const { address, port } = socket.address();
  const senders = createExpectedSenders({
    local: { host: address, port },
    most: shared ? expectedSenders : 0,
    make: (bufferBytes) => makeSocket(family, bufferBytes, true),
    receive,
  });
  return wrap(socket, family, senders);
}

function wrap(socket: Socket, family: 4 | 6, senders: ExpectedSenders): DatagramSocket {
  const { address, port } = socket.address();
  let closed: Promise<void> | undefined;
  const isReachable = (to: InternetEndpoint): boolean =>
    ipFamily(to.host) === family && Number.isInteger(to.port) && to.port > 0 && to.port < 65_536;
  return {
    endpoint: { host: address, port },
    send: (to, bytes) => {
      if (closed !== undefined || !isReachable(to) || socket.getSendQueueSize() > sendQueueBytes) return;
      socket.send(Buffer.from(bytes), to.port, to.host, () => undefined);
    },
    expect: (from) => {
      if (closed === undefined && isReachable(from)) senders.expect(from);
    },
    close: () => {
      senders.close();
      closed ??= new Promise((resolve) => {
        socket.removeAllListeners('message');
        socket.close(() => resolve());
      });
      return closed;
    },
  };
}
