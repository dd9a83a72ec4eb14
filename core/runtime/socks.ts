/** SOCKS5 over any Net: how a client reaches an onion address through a tor. The socks package speaks the protocol. */
import type { Duplex } from 'node:stream';
import { SocksClient } from 'socks';
import { ChimeraError, messageOf } from '../errors.ts';
import { formatEndpoint, type Endpoint, type Net } from './net.ts';

export interface SocksOptions {
  readonly signal?: AbortSignal;
  /** Streams with different names share no circuit (torrc IsolateSOCKSAuth). At most 255 bytes. */
  readonly isolation?: string;
}

/** The package's own limit; callers set the real one with a signal. Milliseconds. */
const libraryLimitMs = 600_000;

/** Connects to `host:port` through the SOCKS5 proxy. Rejects with SOCKS_FAILED, which says what the proxy answered. */
export async function connectThroughSocks(
  net: Net,
  proxy: Endpoint,
  destination: { readonly host: string; readonly port: number },
  { signal, isolation }: SocksOptions = {},
): Promise<Duplex> {
  const where = `${destination.host}:${destination.port} through ${formatEndpoint(proxy)}`;
  let stream: Duplex;
  try {
    stream = await net.connect(proxy, signal);
  } catch (error) {
    throw new ChimeraError('SOCKS_FAILED', `${where}: the proxy cannot be reached: ${messageOf(error)}`, {
      remedy: 'start tor, and see its SocksPort',
      cause: error,
    });
  }
  const onAbort = (): void => void stream.destroy(signal?.reason as Error);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const { socket } = await SocksClient.createConnection({
      // With an existing socket the proxy's address is not used, but must be there.
      proxy: {
        host: '127.0.0.1',
        port: 9050,
        type: 5,
        ...(isolation === undefined ? {} : { userId: isolation, password: isolation }),
      },
      command: 'connect',
      destination: { host: destination.host, port: destination.port },
      existing_socket: stream as never,
      timeout: libraryLimitMs,
    });
    return socket;
  } catch (error) {
    stream.destroy();
    throw new ChimeraError('SOCKS_FAILED', `${where}: ${messageOf(error)}`, {
      remedy: 'see that the address is right and its service is up; tor’s log tells more',
      cause: error,
    });
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
