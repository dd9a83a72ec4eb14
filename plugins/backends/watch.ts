/**
 * Tells a dead backend from a living one, which its descriptor cannot: HSDirs keep that for hours after the backend's death.
 * An idle stream is held open to each backend through Tor, and replaced every few seconds by the next one on the same
 * circuit: one cell there and one back, which the service's port sees as a connection without a word. A backend that dies
 * breaks its circuits, or leaves them hanging; either way the next connect shows it.
 *
 *   unknown ─ connected ─► up ─ all of `failures` tries to connect failed ─► down ─ connected ─► up
 */
import type { Duplex } from 'node:stream';
import { messageOf } from '../../core/errors.ts';
import { connectThroughSocks, jittered, type Clock, type Endpoint, type Runtime } from '../../core/runtime/index.ts';

export interface WatchOptions {
  readonly host: string;
  readonly port: number;
  readonly socks: Endpoint;
  /** Between two connects. */
  readonly intervalMs: number;
  /** For all tries of one connect together. */
  readonly timeoutMs: number;
  /** How many tries must fail. */
  readonly failures: number;
  readonly runtime: Pick<Runtime, 'clock' | 'net' | 'random'>;
  readonly signal: AbortSignal;
  onChange(up: boolean, why: string): void;
}

/** How much later each further try begins while the ones before hang. */
const hedgeMs = 1_000;
/** One that is down, or has never answered, costs a rendezvous each time: it is asked less often. */
const downIntervals = 4;

/** Resolves when the stream has ended, or after `limitMs`. */
async function endedWithin(stream: Duplex, limitMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const finish = (): void => over.abort();
  // What the far end says is of no interest, but must be read for its end to be seen.
  stream.on('close', finish).on('end', finish).resume();
  signal.addEventListener('abort', finish, { once: true });
  if (stream.destroyed || stream.readableEnded || signal.aborted) finish();
  await clock.sleep(limitMs, over.signal).catch(() => undefined);
  signal.removeEventListener('abort', finish);
  stream.off('close', finish).off('end', finish);
}

/** Watches one backend until the signal aborts. Never rejects. */
export async function watchBackend(options: WatchOptions): Promise<void> {
  const { host, port, socks, runtime, signal, intervalMs, timeoutMs, failures } = options;
  const { clock, random } = runtime;
  /** Names the circuit: streams of one name share it, and one that hangs is not used again. */
  let circuit = 0;

  /**
   * Connects by up to `count` tries, the first on the circuit in use and each other on a new one, begun when the one before
   * has failed or hangs: the introduction points of a dead service may still acknowledge, and such a try hangs.
   */
  const connect = async (count: number): Promise<Duplex> => {
    const endMs = clock.monotonic() + timeoutMs;
    const decided = new AbortController();
    const stop = (): void => decided.abort();
    signal.addEventListener('abort', stop, { once: true });
    let won: Duplex | undefined;
    let lastError: unknown = new Error('there was no time for a try');
    const tries: Promise<void>[] = [];
    for (let index = 0; index < count && !decided.signal.aborted && clock.monotonic() < endMs; index++) {
      if (index > 0) circuit++;
      const name = circuit;
      const one = connectThroughSocks(runtime, {
        socks,
        host,
        port,
        timeoutMs: endMs - clock.monotonic(),
        isolation: `watch-${name}`,
        signal: decided.signal,
      })
        .then((stream) => {
          stream.on('error', () => undefined);
          if (won !== undefined) return void stream.destroy();
          won = stream;
          decided.abort();
          return undefined;
        })
        .catch((error: unknown) => void (lastError = error));
      tries.push(one);
      if (index + 1 < count) {
        await Promise.race([one, clock.sleep(hedgeMs, decided.signal).catch(() => undefined)]);
      }
    }
    await Promise.all(tries);
    signal.removeEventListener('abort', stop);
    if (won !== undefined) return won;
    circuit++;
    throw lastError;
  };

  let held: Duplex | undefined;
  let up: boolean | undefined;
  /** How many streams in a row ended early. */
  let short = 0;
  while (!signal.aborted) {
    const pauseMs = jittered(random, intervalMs, 0.2);
    try {
      const stream = await connect(up === true ? failures : 1);
      held?.destroy();
      held = stream;
      if (up === false) options.onChange(true, 'it answers again');
      up = true;
      const begunMs = clock.monotonic();
      await endedWithin(stream, pauseMs, clock, signal);
      const leftMs = pauseMs - (clock.monotonic() - begunMs);
      short = leftMs > 0 ? short + 1 : 0;
      // A stream that ends is looked into at once, but a service that ends each is not asked without a pause.
      if (short > 2) await clock.sleep(leftMs, signal).catch(() => undefined);
    } catch (error) {
      // One that never answered may have a port that is closed by intent: only what was up can go down.
      if (up === true && !signal.aborted) {
        up = false;
        options.onChange(false, `no connection: ${messageOf(error)}`);
      }
      await clock.sleep(pauseMs * downIntervals, signal).catch(() => undefined);
    }
  }
  held?.destroy();
}
