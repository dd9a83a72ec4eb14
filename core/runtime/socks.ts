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

/** Where the reply to the request begins: with a user name there is one more answer of two bytes before it. */
function replyAt(received: Uint8Array): number {
  return received[1] === 2 ? 4 : 2;
}

/** The reply code in all that a SOCKS5 server has sent; undefined before it has answered the request. */
function replyCode(received: Uint8Array): number | undefined {
  const at = replyAt(received);
  return received[0] === 5 && received[at] === 5 ? received[at + 1] : undefined;
}

/** What the server has sent behind its reply. */
function behindReply(received: Uint8Array): Uint8Array {
  const reply = received.subarray(replyAt(received));
  const addressLengths: Readonly<Record<number, number>> = { 1: 4, 3: 1 + (reply[4] ?? 0), 4: 16 };
  return reply.subarray(4 + (addressLengths[reply[3] ?? 0] ?? 0) + 2);
}

/** What a SOCKS5 server has sent so far. */
interface Answers {
  received: Uint8Array;
}

function noSocksPort({ socks }: SocksOptions, why: string, cause?: unknown): ChimeraError {
  return new ChimeraError('SOCKS_CONNECT', `${formatEndpoint(socks)} does not answer as a SOCKS5 port: ${why}`, {
    remedy: "check that the address is tor's SocksPort; ControlPort and others are something else",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Lets the library speak SOCKS5 over an open stream. */
async function negotiate(stream: Duplex, { host, port, isolation }: SocksOptions): Promise<void> {
  const client = new SocksClient({
    command: 'connect',
    // Asked for by the library and not used: the stream is open already.
    proxy: {
      host: 'localhost',
      port: 1080,
      type: 5,
      ...(isolation === undefined ? {} : { userId: isolation, password: 'isolate' }),
    },
    destination: { host, port },
    timeout: noTimeLimit,
  });
  await new Promise<void>((resolve, reject) => {
    client.once('error', reject);
    client.connect(stream);
    // In place of the library's own listener, which emits what it has read ahead in some later turn of the event loop.
    client.removeAllListeners('established');
    client.once('established', () => resolve());
  });
}

async function shakeHands(stream: Duplex, options: SocksOptions, answers: Answers): Promise<Duplex> {
  const { host, port } = options;
  const listen = (chunk: Uint8Array): void => {
    answers.received = Buffer.concat([answers.received, chunk]);
  };
  stream.on('data', listen);
  try {
    await negotiate(stream, options);
  } catch (error) {
    const code = replyCode(answers.received);
    if (code === undefined) throw noSocksPort(options, messageOf(error), error);
    const where = formatEndpoint(options.socks);
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
  const early = behindReply(answers.received);
  if (early.length > 0) stream.unshift(Buffer.from(early));
  return stream;
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
  const answers: Answers = { received: new Uint8Array() };
  const late = (): ChimeraError => {
    // A SOCKS port greets at once; only what lies beyond it takes its time.
    if (answers.received.length === 0) return noSocksPort(options, `it was silent for ${timeoutMs / 1000} s`);
    return new ChimeraError(
      'SOCKS_TARGET',
      `no connection to ${host}:${port} through ${where} within ${timeoutMs / 1000} s`,
      {
        remedy: 'wait longer, and check by "chimera debug tor" that tor has bootstrapped',
      },
    );
  };
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
        return shakeHands(stream, options, answers);
      },
      options.signal,
    );
  } catch (error) {
    stream?.destroy();
    throw error;
  }
}
