/**
 * Connections through a SOCKS5 port, tor's above all: host names and onion addresses are resolved at its other end.
 * Works over any Net, so over the in-memory one of a simulation too. Enter at `connectThroughSocks`.
 */
import type { Duplex } from 'node:stream';
import { SocksClient } from 'socks';
import { ChimeraError, messageOf } from '../errors.ts';
import { withDeadline, type Clock } from './clock.ts';
import { formatEndpoint, type Endpoint, type Net } from './net.ts';

export interface SocksOptions {
  /** The SOCKS port: tor's SocksPort. */
  readonly socks: Endpoint;
  /** A host name, an IP address, or an onion address with ".onion". */
  readonly host: string;
  readonly port: number;
  /** For everything together: reaching the SOCKS port, circuits, the connection at the other end. */
  readonly timeoutMs: number;
  /** Streams with different texts here never share a circuit (torrc's IsolateSOCKSAuth, on by default). */
  readonly isolation?: string;
  readonly signal?: AbortSignal;
}

/** The library's own time limit, in milliseconds; the clock's comes first. */
const noTimeLimit = 0x7fff_ffff;
const largestReply = 1024;

/** Reply codes of RFC 1928, and those that tor adds for onion services where the SocksPort has ExtendedErrors. */
const replies: Readonly<Record<number, string>> = {
  0x01: 'general failure',
  0x02: 'not allowed',
  0x03: 'network unreachable',
  0x04: 'host unreachable',
  0x05: 'connection refused: nothing listens at that port, or the onion service has no such port',
  0x06: 'timed out: no rendezvous or no circuit in time',
  0x07: 'command not supported',
  0x08: 'address type not supported: not an address that tor takes',
  0xf0: 'the descriptor cannot be found at any HSDir',
  0xf1: 'the descriptor is invalid',
  0xf2: 'the introduction failed at every introduction point',
  0xf3: 'the rendezvous failed',
  0xf4: 'the service requires client authorization and tor has no key for it',
  0xf5: 'the client authorization key that tor has is not among the authorized ones',
  0xf6: 'the address is not a valid onion address',
  0xf7: 'the introduction timed out at every introduction point',
};

/** The reply code in all that a SOCKS5 server has sent; undefined before it has answered the request. */
function replyCode(received: Uint8Array): number | undefined {
  if (received[0] !== 5) return undefined;
  // With a user name there is one more answer of two bytes in between.
  const at = received[1] === 2 ? 4 : 2;
  return received[at] === 5 ? received[at + 1] : undefined;
}

/** What the library reads ahead is emitted as data in a later turn; this puts it back into the stream. */
async function withoutLoss(stream: Duplex): Promise<Duplex> {
  const early: Uint8Array[] = [];
  const keep = (chunk: Uint8Array): void => void early.push(chunk);
  stream.on('data', keep);
  await new Promise((resolve) => setImmediate(resolve));
  stream.off('data', keep);
  stream.pause();
  if (early.length > 0) stream.unshift(Buffer.concat(early));
  return stream;
}

async function shakeHands(stream: Duplex, options: SocksOptions): Promise<Duplex> {
  const { host, port, isolation } = options;
  let received: Uint8Array = new Uint8Array();
  const listen = (chunk: Uint8Array): void => {
    if (received.length < largestReply) received = Buffer.concat([received, chunk]);
  };
  stream.on('data', listen);
  try {
    await SocksClient.createConnection({
      command: 'connect',
      // Asked for by the library and not used: the stream is open already.
      proxy: {
        host: 'localhost',
        port: 1080,
        type: 5,
        ...(isolation === undefined ? {} : { userId: isolation, password: 'isolate' }),
      },
      destination: { host, port },
      existing_socket: stream,
      timeout: noTimeLimit,
    });
  } catch (error) {
    const code = replyCode(received);
    const where = formatEndpoint(options.socks);
    if (code === undefined) {
      throw new ChimeraError('SOCKS_CONNECT', `${where} does not answer as a SOCKS5 port: ${messageOf(error)}`, {
        remedy: "check that the address is tor's SocksPort; ControlPort and others are something else",
        cause: error,
      });
    }
    const why = replies[code] ?? `reply ${code}`;
    throw new ChimeraError('SOCKS_TARGET', `tor at ${where} could not connect to ${host}:${port}: ${why}`, {
      remedy: host.endsWith('.onion')
        ? 'see what its HSDirs hold by "chimera debug fetch", and that its backends run'
        : 'check the address, and that tor has bootstrapped by "chimera debug tor"',
      cause: error,
    });
  } finally {
    stream.off('data', listen);
  }
  return withoutLoss(stream);
}

/**
 * A stream to `host:port` through a SOCKS5 port. Rejects with SOCKS_CONNECT (the port itself) or SOCKS_TARGET (what lies
 * beyond it), or with the signal's reason. The caller destroys the stream.
 */
export async function connectThroughSocks(
  runtime: { readonly net: Net; readonly clock: Clock },
  options: SocksOptions,
): Promise<Duplex> {
  const { socks, host, port, timeoutMs } = options;
  const where = formatEndpoint(socks);
  let stream: Duplex | undefined;
  const late = (): ChimeraError =>
    new ChimeraError('SOCKS_TARGET', `no connection to ${host}:${port} through ${where} within ${timeoutMs / 1000} s`, {
      remedy: 'wait longer, and check by "chimera debug tor" that tor has bootstrapped',
    });
  try {
    return await withDeadline(
      runtime.clock,
      timeoutMs,
      late,
      async (signal) => {
        try {
          stream = await runtime.net.connect(socks, signal);
        } catch (error) {
          if (signal.aborted) throw error;
          throw new ChimeraError('SOCKS_CONNECT', `no SOCKS port at ${where}: ${messageOf(error)}`, {
            remedy: "check that tor runs and that the address is its SocksPort (torrc's default: 127.0.0.1:9050)",
            cause: error,
          });
        }
        // From here on somebody always listens, so that a reset does not end the process.
        stream.on('error', () => undefined);
        return shakeHands(stream, options);
      },
      options.signal,
    );
  } catch (error) {
    stream?.destroy();
    throw error;
  }
}
