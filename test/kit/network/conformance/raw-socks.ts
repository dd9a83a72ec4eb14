/** One stream through a SOCKS5 port, with the reply code that the port gave. For suites that check the port itself. */
import type { Duplex } from 'node:stream';
import type { Endpoint, Net } from '../../../../core/runtime/index.ts';

export interface SocksResult {
  /** The reply field of RFC 1928: 0 when open; -1 when the port hung up without one. */
  readonly code: number;
  readonly stream: Duplex;
  /** What came after the reply already. */
  readonly early: Buffer;
}

/** Asks for `host:port`. Streams of different `isolation` never share a circuit. */
export async function socksConnect(
  net: Net,
  socks: Endpoint,
  host: string,
  port: number,
  isolation = '',
): Promise<SocksResult> {
  const stream = await net.connect(socks);
  stream.on('error', () => undefined);
  const name = Buffer.from(host, 'latin1');
  const user = Buffer.from(isolation, 'latin1');
  const messages =
    isolation === ''
      ? [Buffer.from([5, 1, 0])]
      : [Buffer.from([5, 1, 2]), Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([1, 0x78])])];
  messages.push(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([port >> 8, port & 255])]));
  // One by one: tor swallows answers when it gets the handshake in one piece.
  for (const message of messages.slice(0, -1)) {
    stream.write(message);
    await read(stream, 2);
  }
  stream.write(messages.at(-1) as Buffer);
  const received = await read(stream, 10);
  return { code: received[1] ?? -1, stream, early: received.subarray(10) };
}

/** At least `length` bytes, or fewer when the stream ends. The stream is paused after it. */
function read(stream: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const finish = (): void => {
      stream.off('data', onData);
      stream.off('close', finish);
      stream.pause();
      resolve(received);
    };
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= length) finish();
    };
    stream.on('data', onData);
    stream.once('close', finish);
    stream.resume();
  });
}
