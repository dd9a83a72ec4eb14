/** A client of the service: a stock tor of its own, reached only through its SOCKS and control ports. */
import type { TorClient } from '../../../core/engine/index.ts';
import { openDescriptor, type Descriptor, type OnionAddress } from '../../../core/onion/index.ts';
import { usablePeriods } from '../../../core/pipeline/index.ts';
import { connectThroughSocks, withDeadline, type Clock, type Endpoint, type Net } from '../../../core/runtime/index.ts';

export interface Visit {
  /** What the site said: the name of the head. Undefined when the visit failed. */
  readonly head: string | undefined;
  readonly durationMs: number;
  /** Why it failed. */
  readonly reason?: string;
}

export interface Visitor {
  /** One HTTP request over a circuit of its own to an introduction point drawn anew, at most `limitMs`. Never rejects. */
  visit(limitMs: number): Promise<Visit>;
  /** Fetches the service's descriptor as a client does, and opens it with all checks. */
  descriptor(): Promise<Descriptor>;
}

export function createVisitor(options: {
  readonly net: Net;
  readonly clock: Clock;
  readonly tor: TorClient;
  readonly socks: Endpoint;
  readonly address: OnionAddress;
  readonly port: number;
}): Visitor {
  const { net, clock, tor, socks, address, port } = options;

  let visits = 0;
  const request = async (signal: AbortSignal, limitMs: number): Promise<string> => {
    const host = `${address}.onion`;
    const stream = await connectThroughSocks(
      { net, clock },
      { socks, host, port, timeoutMs: limitMs, isolation: `visit-${visits++}`, signal },
    );
    const onAbort = (): void => void stream.destroy(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      stream.write(`GET / HTTP/1.1\r\nHost: ${address}.onion\r\nConnection: close\r\n\r\n`);
      let answer = '';
      for await (const chunk of stream as AsyncIterable<Buffer>) answer += chunk.toString('latin1');
      const body = /^HTTP\/1\.1 200 [\s\S]*?\r\n\r\n([\s\S]*)$/.exec(answer)?.[1];
      if (body === undefined) throw new Error(`the answer is no page: ${JSON.stringify(answer.slice(0, 60))}`);
      return body.trim();
    } finally {
      signal.removeEventListener('abort', onAbort);
      stream.destroy();
    }
  };

  return {
    visit: async (limitMs) => {
      const begun = clock.monotonic();
      const durationMs = (): number => Math.round(clock.monotonic() - begun);
      try {
        const head = await withDeadline(
          clock,
          limitMs,
          () => new Error(`no answer within ${limitMs} ms`),
          (signal) => request(signal, limitMs),
        );
        return { head, durationMs: durationMs() };
      } catch (error) {
        return { head: undefined, durationMs: durationMs(), reason: (error as Error).message };
      }
    },
    descriptor: async () => {
      const consensus = await tor.consensus();
      const { text } = await tor.fetchDescriptor(address);
      const now = Math.floor(clock.now() / 1_000);
      return openDescriptor(text, { address, periods: usablePeriods(consensus), now });
    },
  };
}
