/** One request of an ordinary user: curl, through a stock tor's SOCKS port. */
import type { OnionAddress } from '../../../core/onion/index.ts';
import type { Runtime } from '../../../core/runtime/index.ts';
import type { PrivateTor } from '../../kit/network/private/index.ts';

export interface Request {
  /** Seconds since the begin of the recording. */
  readonly at: number;
  readonly seconds: number;
  /** The head that served it; undefined when it failed. */
  readonly head: string | undefined;
}

/** A request that is not answered within this time has failed. */
const requestLimitSeconds = 10;

let serial = 0;

/**
 * Never rejects. Plain curl goes on using the circuits of its earlier requests, as Tor's default isolation has it; an
 * isolated request has SOCKS credentials of its own, and with them circuits and a draw of the head of its own.
 */
export async function request(
  runtime: Runtime,
  client: PrivateTor,
  address: OnionAddress,
  begunMs: number,
  isolated: boolean,
): Promise<Request> {
  const { clock, processes } = runtime;
  const { host, port } = client.socks as { host: string; port: number };
  const startMs = clock.monotonic();
  const credentials = isolated ? `request${serial++}:x@` : '';
  const proxy = `socks5h://${credentials}${host}:${port}`;
  const limit = String(requestLimitSeconds);
  const curl = await processes.start('curl', ['-sSf', '-m', limit, '-x', proxy, `http://${address}.onion/`]);
  const { code } = await curl.ended;
  return {
    at: (startMs - begunMs) / 1000,
    seconds: (clock.monotonic() - startMs) / 1000,
    head: code === 0 ? curl.output().trim() : undefined,
  };
}
