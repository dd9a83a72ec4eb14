/**
 * One stream from tor to the operator's target: first the line that names its circuit, then bytes both ways, untouched. The
 * requests among them are followed, and one for the door is never passed on.
 *
 *   PROXY line ─► scanning ─ pass ─► target          both ends are closed together
 *                    └─ door ─► the door, if it is the first request; else the stream is cut
 */
import type { Duplex } from 'node:stream';
import { withDeadline, type Clock, type Endpoint, type Net, type Timer } from '../../core/runtime/index.ts';
import type { StreamCount } from './circuits.ts';
import type { Door } from './door.ts';
import { circuitIdOf, longestProxyLine } from './proxy-line.ts';
import { RequestScanner, type Scan } from './scanner.ts';

const proxyLineLimitMs = 10_000;
const connectLimitMs = 10_000;
/** How long a line that is no whole one yet may be held back. */
const holdLimitMs = 30_000;
/** How long a target may take to close when the client has gone. */
const lingerMs = 10_000;
/** What may wait for the target's answer to a connection. */
const maximumPending = 65_536;

const badRequest = Buffer.from(
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Request\n',
);

export interface SpliceOptions {
  readonly runtime: { readonly clock: Clock; readonly net: Net };
  readonly target: Endpoint;
  readonly door: Door;
  /** False: nothing is read, everything passes. */
  readonly http: boolean;
  /** The target takes the PROXY line itself. */
  readonly passProxyLine: boolean;
  readonly count: (circuitId: string, cut: () => void) => StreamCount;
}

/** The PROXY line and what came behind it. Rejects when there is none in time. */
async function readProxyLine(
  clock: Clock,
  stream: Duplex,
): Promise<{ line: Uint8Array; id: string; rest: Uint8Array }> {
  const late = (): Error => new Error('no PROXY line in time');
  return withDeadline(
    clock,
    proxyLineLimitMs,
    late,
    () =>
      new Promise((resolve, reject) => {
        let received: Uint8Array = new Uint8Array(0);
        stream.once('close', () => reject(new Error('closed before its PROXY line')));
        stream.on('data', function take(chunk: Uint8Array) {
          received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
          const end = received.indexOf(10);
          if (end < 0 && received.length <= longestProxyLine) return;
          stream.off('data', take);
          stream.pause();
          const line = received.subarray(0, end + 1);
          const id = circuitIdOf(line);
          if (id === undefined) reject(new Error('something else than tor connects here'));
          else resolve({ line, id, rest: received.subarray(end + 1) });
        });
      }),
  );
}

/** Runs one stream to its end. Rejects when it could not begin; the caller destroys it. */
export async function splice(stream: Duplex, options: SpliceOptions): Promise<void> {
  const { clock, net } = options.runtime;
  const { line, id, rest } = await readProxyLine(clock, stream);
  const scanner = options.http ? new RequestScanner() : undefined;
  const connecting = new AbortController();
  let target: Duplex | undefined;
  let hold: Timer | undefined;
  let watched = 0;
  /** `door` and `over`: nothing goes to the target any more. */
  let phase: 'open' | 'targetless' | 'door' | 'over' = 'open';
  let pending: Uint8Array[] = options.passProxyLine ? [line] : [];
  let pendingBytes = 0;

  const end = (): void => {
    if (phase === 'over') return;
    phase = 'over';
    connecting.abort(new Error('the stream is over'));
    hold?.cancel();
    stream.destroy();
    target?.destroy();
    counted.end();
  };
  const counted = options.count(id, end);

  const toTarget = (bytes: Uint8Array): void => {
    if (target !== undefined) {
      if (!target.write(bytes)) stream.pause();
      return;
    }
    pending.push(bytes);
    pendingBytes += bytes.length;
    if (phase === 'targetless') end();
    else if (pendingBytes > maximumPending) stream.pause();
  };

  /** Gives the stream to the door and lets go of the target. */
  const toDoor = async (begun: Uint8Array): Promise<void> => {
    phase = 'door';
    stream.off('data', onData);
    hold?.cancel();
    connecting.abort(new Error('the request is for the door'));
    target?.destroy();
    await options.door.serve(stream, begun);
    end();
  };

  /** A line is whole within its time, however slowly its bytes drip. */
  const watchLine = (): void => {
    if (scanner === undefined || (scanner.holding && scanner.lines === watched && hold !== undefined)) return;
    hold?.cancel();
    watched = scanner.lines;
    hold = scanner.holding ? clock.after(holdLimitMs, end) : undefined;
  };

  const onData = (chunk: Uint8Array): void => {
    counted.read(chunk.length);
    const first = scanner?.undecided === true;
    const scan: Scan | undefined = scanner?.push(chunk);
    for (const part of scan === undefined ? [chunk] : scan.forward) toTarget(part);
    watchLine();
    if (scan === undefined || scan.verdict === 'pass') return;
    if (scan.verdict === 'door' && first) void toDoor(scan.rest);
    else if (scan.verdict === 'refused' && scanner !== undefined && scanner.requests < 2) stream.end(badRequest, end);
    else end();
  };

  const connect = async (): Promise<void> => {
    const late = (): Error => new Error('the target did not answer in time');
    const call = (signal: AbortSignal): Promise<Duplex> => net.connect(options.target, signal);
    const opened = await withDeadline(clock, connectLimitMs, late, call, connecting.signal);
    if (phase !== 'open') {
      opened.destroy();
      return;
    }
    target = opened;
    const closed = (): void => {
      if (phase !== 'door') end();
    };
    opened.on('error', closed).once('close', closed);
    opened.on('drain', () => stream.resume());
    stream.on('drain', () => opened.resume());
    opened.on('data', (chunk: Uint8Array) => {
      counted.wrote(chunk.length);
      if (phase === 'open' && !stream.write(chunk)) opened.pause();
    });
    opened.once('end', () => {
      if (phase === 'open') stream.end();
    });
    const waiting = pending;
    pending = [];
    for (const bytes of waiting) toTarget(bytes);
    if (!opened.writableNeedDrain) stream.resume();
  };

  stream.once('close', () => {
    if (target === undefined || phase !== 'open') end();
    else {
      // What was read before the end is the target's. What it still says reaches nobody.
      target.resume();
      target.end();
      clock.after(lingerMs, end);
    }
  });
  stream.on('data', onData);
  // The target is called at once: with some protocols it is the one that speaks first.
  connect().catch(() => {
    if (phase !== 'open') return;
    // A request for the door is served even where the target is down.
    phase = 'targetless';
    if (scanner?.undecided !== true || pendingBytes > 0) end();
  });
  if (rest.length > 0) onData(rest);
  if (stream.destroyed) end();
  else if (pendingBytes <= maximumPending) stream.resume();
}
