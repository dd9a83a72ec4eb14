/** Sockets, stream and datagram. The only place that opens one; simulations pass an in-memory net on a virtual clock. */
import { chmod, unlink } from 'node:fs/promises';
import { createServer, connect as connectSocket, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import {
  bindUdpSocket,
  type DatagramListener,
  type DatagramOptions,
  type DatagramSocket,
  type InternetEndpoint,
} from './datagrams.ts';

/** Where a stream socket listens: TCP, or a unix socket's path. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Listener {
  /** The endpoint in use: with port 0 asked for, the port that was given. */
  readonly endpoint: Endpoint;
  /** Stops listening and destroys what was accepted. */
  close(): Promise<void>;
}

export interface Net {
  connect(endpoint: Endpoint, signal?: AbortSignal): Promise<Duplex>;
  /** Listens; a unix socket is made with mode 0600. */
  listen(endpoint: Endpoint, accept: (stream: Duplex) => void): Promise<Listener>;
  /** Opens a UDP socket at an IP address of this machine (`0.0.0.0` and `::` for all of a family); port 0 for any port. */
  bindUdp(local: InternetEndpoint, receive: DatagramListener, options?: DatagramOptions): Promise<DatagramSocket>;
  /** This machine's own IP addresses by which others may reach it, IPv4 first; loopback and link-local ones are left out. */
  addresses(): readonly string[];
}

/**
 * Reads `host:port`, `[ipv6]:port`, `unix:/path` or `/path`, torrc's forms for ControlPort and SocksPort.
 * Returns undefined when it is none of them.
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  const path = /^(?:unix:)?(\/.+)$/.exec(text)?.[1];
  if (path !== undefined) return { path };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host !== undefined && port >= 0 && port <= 65_535 ? { host, port } : undefined;
}

/** The text form that parseEndpoint reads back. */
export function formatEndpoint(endpoint: Endpoint): string {
  if ('path' in endpoint) return `unix:${endpoint.path}`;
  return endpoint.host.includes(':') ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

/** Nobody else can open a unix socket before its mode is set: it is bound within the call. */
function withUmask(mask: number, bind: () => void): void {
  const before = process.umask(mask);
  try {
    bind();
  } finally {
    process.umask(before);
  }
}

export const systemNet: Net = {
  connect: (endpoint, signal) =>
    new Promise((resolve, reject) => {
      const socket = connectSocket({ ...endpoint, allowHalfOpen: false });
      const settle = (): void => {
        signal?.removeEventListener('abort', onAbort);
        socket.off('error', onError);
      };
      const onError = (error: Error): void => {
        settle();
        reject(error);
      };
      const onAbort = (): void => {
        settle();
        socket.destroy();
        reject(signal?.reason as Error);
      };
      if (signal?.aborted) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('error', onError);
      socket.once('connect', () => {
        settle();
        socket.setNoDelay(true);
        resolve(socket);
      });
    }),

  listen: async (endpoint, accept) => {
    const open = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      accept(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const bind = (): void =>
        void server.listen({ ...endpoint }, () => {
          server.off('error', reject);
          resolve();
        });
      if ('path' in endpoint) withUmask(0o177, bind);
      else bind();
    });
    if ('path' in endpoint) await chmod(endpoint.path, 0o600);
    const bound = server.address();
    return {
      endpoint: typeof bound === 'object' && bound ? { host: bound.address, port: bound.port } : endpoint,
      close: async () => {
        for (const socket of open) socket.destroy();
        await new Promise<void>((resolve) => server.close(() => resolve()));
        if ('path' in endpoint) await unlink(endpoint.path).catch(() => undefined);
      },
    };
  },

  bindUdp: bindUdpSocket,

  addresses: () => {
    const all = Object.values(networkInterfaces()).flatMap((list = []) => list);
    const reachable = all.filter(({ address, internal }) => !internal && !/^(?:fe80:|169\.254\.)/i.test(address));
    const of = (family: string): string[] =>
      reachable.filter((one) => one.family === family).map(({ address }) => address);
    return [...of('IPv4'), ...of('IPv6')];
  },
};
