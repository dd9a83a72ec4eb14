/** The web site behind a head: says its name, so that a visitor can tell which head served it. */
import type { Duplex } from 'node:stream';
import type { Listener, Net } from '../../../core/runtime/index.ts';

const longestRequest = 8_192;

/** Listens on a free loopback port and answers every request with `name`. */
export async function openSite(net: Net, name: string): Promise<Listener> {
  return net.listen({ host: '127.0.0.1', port: 0 }, (stream: Duplex) => {
    let request = '';
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      request = (request + chunk.toString('latin1')).slice(-longestRequest);
      if (!request.includes('\r\n\r\n')) return;
      request = '';
      const body = `${name}\n`;
      stream.end(
        `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
  });
}
