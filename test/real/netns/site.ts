/** The web site behind each head: on a unix socket, which tor reaches from any machine. Says whose head it is; streams slowly if asked to. */
import { createServer } from 'node:http';
import { systemClock } from '../../../core/runtime/index.ts';

export interface Site {
  close(): void;
}

const pieceMs = 250;

/** `/` answers with the name; `/slow/SECONDS` with the name, then a piece of 1 KiB every quarter of a second, then `end`. */
export async function openSite(path: string, name: string): Promise<Site> {
  const server = createServer((request, response) => {
    const seconds = Number(/^\/slow\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0);
    const stream = async (): Promise<void> => {
      response.write(`${name}\n`);
      for (let passed = 0; passed < seconds * 1_000 && !response.destroyed; passed += pieceMs) {
        await systemClock.sleep(pieceMs);
        response.write(`${'.'.repeat(1_023)}\n`);
      }
      response.end('end\n');
    };
    if (seconds > 0) void stream();
    else response.end(`${name}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
