/**
 * Tells a dead backend from a living one, which its descriptor cannot: HSDirs keep that for hours after the backend's death.
 * One idle stream is held open to each backend through Tor. When the backend dies its circuits break, and the stream ends
 * at once; when the far end merely closes an idle connection, the next one is opened without more ado.
 *
 *   unknown ─ connected ─► up ─ stream ended, `failures` connects in a row fail ─► down ─ connected ─► up
 */
import type { Duplex } from 'node:stream';
import { connectThroughSocks, jittered, type Endpoint, type Runtime } from '../../core/runtime/index.ts';

export interface WatchOptions {
  readonly host: string;
  readonly port: number;
  readonly socks: Endpoint;
  /** Least time between two connections. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** How many connects in a row must fail. */
  readonly failures: number;
  readonly runtime: Pick<Runtime, 'clock' | 'net' | 'random'>;
  readonly signal: AbortSignal;
  onChange(up: boolean, why: string): void;
}

/** Resolves when the stream has ended, whoever ended it. */
function ended(stream: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      signal.removeEventListener('abort', finish);
      stream.destroy();
      resolve();
    };
    stream.on('error', finish).on('close', finish).on('end', finish);
    // What the far end says is of no interest, but must be read for its end to be seen.
    stream.resume();
    if (signal.aborted) finish();
    else signal.addEventListener('abort', finish, { once: true });
  });
}

/** Watches one backend until the signal aborts. Never rejects. */
export async function watchBackend(options: WatchOptions): Promise<void> {
  const { host, port, socks, runtime, signal, intervalMs, timeoutMs } = options;
  const { clock, random } = runtime;
  let failed = 0;
  let up: boolean | undefined;
  for (let round = 0; !signal.aborted; round++) {
    const begun = clock.monotonic();
    try {
      // A name of its own for each try: a circuit that hangs must not be used again.
      const isolation = `watch-${round}`;
      const stream = await connectThroughSocks(runtime, { socks, host, port, timeoutMs, isolation, signal });
      failed = 0;
      if (up === false) options.onChange(true, 'it answers again');
      up = true;
      await ended(stream, signal);
    } catch (error) {
      failed++;
      // One that never answered may have a port that is closed by intent: only what was up can go down.
      if (up === true && failed >= options.failures && !signal.aborted) {
        up = false;
        options.onChange(false, `${failed} connections failed: ${(error as Error).message}`);
      }
    }
    // A stream that lived long is opened again at once, and so is one in doubt; the rest waits its interval.
    const delayMs = up === true && failed > 0 ? 0 : jittered(random, intervalMs, 0.2) - (clock.monotonic() - begun);
    if (delayMs > 0) await clock.sleep(delayMs, signal).catch(() => undefined);
  }
}
