/**
 * One web site for all heads of one tor network, which answers each request with the name of the head it came through.
 * Heads on different machines each have a site of their own at the same port; here they share a machine, so the site
 * looks up which process holds the other end of the connection.
 */
import { readFile, readdir, readlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Endpoint } from '../../../core/runtime/index.ts';
import type { Head } from './publisher.ts';

export interface HeadSite {
  readonly endpoint: Endpoint;
  close(): void;
}

export async function openHeadSite(heads: readonly Head[]): Promise<HeadSite> {
  const server = createServer((request, response) => {
    const answer = (name: string): void => void response.end(`${name}\n`);
    headBehind(heads, request.socket).then(answer, () => answer('unknown'));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    endpoint: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The kernel's table may skip a line while others come and go, so a connection that is not found is looked for again. */
const looks = 3;

async function headBehind(heads: readonly Head[], accepted: Socket): Promise<string> {
  for (let look = 0; look < looks; look++) {
    const inode = await inodeOf(accepted);
    if (inode === undefined) continue;
    for (const { name, tor } of heads) {
      if (tor.pid !== undefined && (await holds(tor.pid, inode))) return name;
    }
  }
  return 'unknown';
}

/** The inode of the other end of an accepted loopback connection. */
async function inodeOf({ localPort = 0, remotePort = 0 }: Socket): Promise<string | undefined> {
  const end = (port: number): string => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n');
  const fields = lines.map((line) => line.trim().split(/\s+/));
  // Both ends count: a port may at the same time belong to a connection elsewhere.
  return fields.find(([, local, remote]) => local === end(remotePort) && remote === end(localPort))?.[9];
}

async function holds(pid: number, inode: string): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  for (const name of await readdir(directory)) {
    if ((await readlink(`${directory}/${name}`).catch(() => '')) === `socket:[${inode}]`) return true;
  }
  return false;
}
