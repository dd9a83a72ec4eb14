/** The site behind a besieged head: answers at once with its name, or drips a download that is open for as long as asked. */
import type { Duplex } from 'node:stream';
import type { Listener, Runtime } from '../../../core/runtime/index.ts';

/** Answers `/` with `name`, and `/slow` with a line every half second for `slowMs`. */
export async function openSlowSite(runtime: Runtime, name: string, slowMs: number): Promise<Listener> {
  return runtime.net.listen({ host: '127.0.0.1', port: 0 }, (stream: Duplex) => {
    stream.on('error', () => stream.destroy());
    stream.once('data', (chunk: Buffer) => {
      stream.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n');
      if (!chunk.toString('latin1').startsWith('GET /slow')) {
        stream.end(`${name}\n`);
        return;
      }
      const end = runtime.clock.monotonic() + slowMs;
      const next = (): void => {
        if (stream.destroyed) return;
        if (runtime.clock.monotonic() >= end) {
          stream.end('the end\n');
          return;
        }
        stream.write(`${name}\n`);
        runtime.clock.after(500, next);
      };
      next();
    });
  });
}
