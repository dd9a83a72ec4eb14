/** One stream through a SOCKS5 port, with the reply code that the port gave. For suites that check the port itself. */
import type { Duplex } from 'node:stream';
import type { Endpoint, Net } from '../../../core/runtime/index.ts';

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
  const name = Buffer.from(host, 'latin1');
  const user = Buffer.from(isolation, 'latin1');
  const hello =
    isolation === ''
      ? Buffer.from([5, 1, 0])
      : Buffer.concat([Buffer.from([5, 1, 2, 1, user.length]), user, Buffer.from([1, 0x78])]);
  const prefix = isolation === '' ? 2 : 4;
  const request = Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([port >> 8, port & 255])]);
  stream.write(Buffer.concat([hello, request]));
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const finish = (code: number): void => {
      stream.off('data', onData);
      stream.off('close', onClose);
      stream.pause();
      resolve({ code, stream, early: received.subarray(prefix + 10) });
    };
    const onClose = (): void => finish(-1);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= prefix + 10) finish(received[prefix + 1] ?? -1);
    };
    stream.on('error', () => undefined);
    stream.on('data', onData);
    stream.once('close', onClose);
  });
}
