/**
 * The door: a small HTTP server for one request, `POST /.rb/<selector>` with a body of known length. Whatever else comes, and
 * whatever is refused, gets the same 404, byte for byte, at a time that tells nothing: answers leave at whole multiples of
 * `answerStepMs` after the request was there. Who sends too slowly is refused like everybody else, at the step after the limit.
 */
import type { Duplex } from 'node:stream';
import type { DoorAnswer } from '../../core/engine/index.ts';
import { withDeadline, type Clock, type Log } from '../../core/runtime/index.ts';
import { selectorOf } from './door-path.ts';

const longestDoorHead = 4_096;
export const longestDoorBody = 16_384;
const readLimitMs = 10_000;
const writeLimitMs = 30_000;
const answerLimitMs = 20_000;
export const answerStepMs = 250;
/**
 * Requests at once, and so many in a burst and a second. Beyond the first the one that has been coming longest is refused, or the
 * new one where all are there; beyond the others they are refused unread.
 */
export const maximumOpen = 32;
/** Streams in all, with those that wait for their 404. More, thousands a second, are closed at once. */
export const maximumStreams = 1_024;
const burst = 40;
const perSecond = 8;

export const notFound = Buffer.from(
  'HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\nNot Found\n',
);

function success(body: Uint8Array): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

export interface DoorRequest {
  readonly selector: string;
  readonly body: Uint8Array;
}

/**
 * The request in what has arrived so far: `undefined` while more must come, `null` when it is none that the door answers.
 * Total: any bytes.
 */
export function parseDoorRequest(bytes: Uint8Array): DoorRequest | null | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = all.indexOf('\r\n\r\n');
  if (end < 0) return bytes.length > longestDoorHead ? null : undefined;
  if (end > longestDoorHead) return null;
  const [start = '', ...headers] = all.subarray(0, end).toString('latin1').split('\r\n');
  const target = /^POST (\S+) HTTP\/1\.1$/.exec(start)?.[1];
  const selector = target === undefined ? undefined : selectorOf(target);
  const lengths = headers.flatMap((line) => /^content-length:[ \t]*(\d{1,6})[ \t]*$/i.exec(line)?.[1] ?? []);
  const length = lengths.length === 1 ? Number(lengths[0]) : 0;
  if (selector === undefined || length === 0 || length > longestDoorBody) return null;
  if (headers.some((line) => /^(?:transfer-encoding|expect|upgrade)[ \t]*:/i.test(line))) return null;
  const body = all.subarray(end + 4);
  if (body.length > length) return null;
  return body.length < length ? undefined : { selector, body: Uint8Array.from(body) };
}

interface Reading {
  /** `null` as parseDoorRequest says, and for who was given up. Rejects when the client goes away. */
  readonly request: Promise<DoorRequest | null>;
  /** Whatever comes now is not looked at. */
  readonly giveUp: () => void;
}

/** Reads on until the request is there, but no longer than the limit. */
function readRequest(clock: Clock, stream: Duplex, begun: Uint8Array): Reading {
  let giveUp = (): void => undefined;
  const request = new Promise<DoorRequest | null>((resolve, reject) => {
    let received = begun;
    const look = (): void => {
      const parsed = parseDoorRequest(received);
      if (parsed !== undefined) end(parsed);
    };
    const onData = (chunk: Uint8Array): void => {
      received = Buffer.concat([received, chunk]);
      look();
    };
    const end = (parsed: DoorRequest | null): void => {
      limit.cancel();
      stream.off('data', onData);
      resolve(parsed);
    };
    giveUp = () => end(null);
    const limit = clock.after(readLimitMs, giveUp);
    stream.once('close', () => {
      limit.cancel();
      reject(new Error('the client went away'));
    });
    stream.on('data', onData);
    look();
    stream.resume();
  });
  return { request, giveUp };
}

export interface Door {
  /** Serves one stream, of which `begun` has been read; the stream is closed at the end. Never rejects. */
  serve(stream: Duplex, begun: Uint8Array): Promise<void>;
}

export function createDoor(options: {
  readonly clock: Clock;
  readonly log: Log;
  /** Who decides; undefined while nobody does. */
  readonly answer: () => DoorAnswer | undefined;
}): Door {
  const { clock, log } = options;
  let streams = 0;
  /** Those whose requests are read or answered; who is refused without being asked about needs no place. */
  let open = 0;
  /** Those whose requests are not whole yet; the first has waited longest. */
  const reading = new Set<Reading>();
  let left = burst;
  let refilledAtMs = clock.monotonic();

  const takeTurn = (): boolean => {
    const now = clock.monotonic();
    left = Math.min(burst, left + ((now - refilledAtMs) / 1_000) * perSecond);
    refilledAtMs = now;
    if (left < 1) return false;
    left--;
    return true;
  };

  const decide = async ({ selector, body }: DoorRequest): Promise<Uint8Array | undefined> => {
    const answer = options.answer();
    if (answer === undefined || !takeTurn()) return undefined;
    try {
      const late = (): Error => new Error('no decision in time');
      return await withDeadline(clock, answerLimitMs, late, (signal) => answer(selector, body, signal));
    } catch (error) {
      log.warn('a request at the door failed', { error });
      return undefined;
    }
  };

  /** The steps are counted from before the work, part of which is done at once: what it takes shows only in whole steps. */
  const answer = async (stream: Duplex, request: DoorRequest | null): Promise<void> => {
    let step = clock.sleep(answerStepMs);
    let decided = false;
    const decision = (request === null ? Promise.resolve(undefined) : decide(request)).finally(() => (decided = true));
    const isDecided = (): boolean => decided;
    for (await step; !isDecided(); await step) step = clock.sleep(answerStepMs);
    const body = await decision;
    const late = (): Error => new Error('the client reads too slowly');
    await withDeadline(
      clock,
      writeLimitMs,
      late,
      () =>
        new Promise<void>((resolve) => {
          stream.once('close', resolve);
          stream.end(body === undefined ? notFound : success(body), () => resolve());
        }),
    );
  };

  const converse = async (stream: Duplex, begun: Uint8Array): Promise<void> => {
    if (open >= maximumOpen) {
      // Whoever drips its request gives way to others: an honest one is there at once.
      const [slowest] = reading;
      if (slowest === undefined) {
        stream.resume();
        return answer(stream, null);
      }
      reading.delete(slowest);
      slowest.giveUp();
    }
    open++;
    const mine = readRequest(clock, stream, begun);
    reading.add(mine);
    let request: DoorRequest | null = null;
    try {
      request = await mine.request.finally(() => reading.delete(mine));
      if (request !== null) await answer(stream, request);
    } finally {
      open--;
    }
    if (request === null) await answer(stream, null);
  };

  return {
    serve: async (stream, begun) => {
      if (streams >= maximumStreams) {
        stream.destroy();
        return;
      }
      streams++;
      try {
        await converse(stream, begun);
      } catch (error) {
        log.debug('a connection at the door was cut', { error });
      } finally {
        streams--;
        stream.destroy();
      }
    },
  };
}
