/**
 * Datagram sockets in memory, on any clock, as faulty as asked: lost, doubled, delayed, overtaken, far too late. Part of the
 * memory net, whose cuts, pauses and failures hold here too; a cut loses what it meets, as a real one does.
 */
import type { Clock } from '../../../core/runtime/clock.ts';
import type { DatagramListener, DatagramSocket, InternetEndpoint } from '../../../core/runtime/datagrams.ts';
import { formatEndpoint } from '../../../core/runtime/net.ts';
import type { Random } from '../../../core/runtime/random.ts';

/** Milliseconds, drawn uniformly. */
export interface DelayRange {
  readonly minimum: number;
  readonly maximum: number;
}

/** Probabilities from 0 to 1, each drawn for every datagram. What is left out does not happen. */
export interface DatagramFaults {
  readonly loss?: number;
  /** It arrives twice, each time with a delay of its own. */
  readonly duplicate?: number;
  /** Beside the net's latency; as each datagram draws its own, they overtake each other. */
  readonly delayMs?: DelayRange;
  /** It waits in some queue on the way, for `lateMs` more. */
  readonly late?: number;
  /** Default 10 to 60 seconds. */
  readonly lateMs?: DelayRange;
}

export interface MemoryDatagramsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly latencyMs: (from: string, to: string) => number;
  /** True while what `from` sends does not reach `to`. */
  readonly cut: (from: string, to: string) => boolean;
  /** True while the host is frozen. */
  readonly paused: (host: string) => boolean;
  readonly faults: () => DatagramFaults;
}

export interface MemoryDatagrams {
  bind(host: string, local: InternetEndpoint, receive: DatagramListener): Promise<DatagramSocket>;
  /** Gives a host what its sockets kept while it was frozen. */
  resume(host: string): void;
  /** Closes all sockets of a host. */
  fail(host: string): void;
}

interface Bound {
  readonly host: string;
  readonly receive: DatagramListener;
  /** What the kernel keeps for a frozen process. */
  readonly kept: (() => void)[];
}

const firstEphemeralPort = 49_152;
/** A datagram beyond these is lost: about what Linux keeps for a socket by default. */
const keptWhilePaused = 256;
const defaultLateMs: DelayRange = { minimum: 10_000, maximum: 60_000 };
const maximumBytes = 65_507;

export function createMemoryDatagrams(options: MemoryDatagramsOptions): MemoryDatagrams {
  const { clock, random, latencyMs, cut, paused, faults } = options;
  const sockets = new Map<string, Bound>();
  let nextPort = firstEphemeralPort;

  const happens = (probability = 0): boolean => probability > 0 && random.float() < probability;
  const draw = ({ minimum, maximum }: DelayRange): number => minimum + (maximum - minimum) * random.float();

  const arrive = (host: string, from: InternetEndpoint, to: string, bytes: Uint8Array): void => {
    const target = sockets.get(to);
    if (target === undefined || cut(host, target.host)) return;
    const deliver = (): void => {
      // Whatever was closed or taken by another in the meantime does not hear it.
      if (sockets.get(to) === target) target.receive(from, bytes.slice());
    };
    if (!paused(target.host)) deliver();
    else if (target.kept.length < keptWhilePaused) target.kept.push(deliver);
  };

  const send = (host: string, from: InternetEndpoint, to: InternetEndpoint, bytes: Uint8Array): void => {
    const { loss, duplicate, delayMs, late, lateMs = defaultLateMs } = faults();
    if (bytes.length > maximumBytes || paused(host) || happens(loss)) return;
    const copy = bytes.slice();
    const address = formatEndpoint(to);
    const there = sockets.get(address)?.host ?? host;
    for (let copies = happens(duplicate) ? 2 : 1; copies > 0; copies--) {
      const delay =
        latencyMs(host, there) + (delayMs === undefined ? 0 : draw(delayMs)) + (happens(late) ? draw(lateMs) : 0);
      clock.after(delay, () => arrive(host, from, address, copy));
    }
  };

  return {
    bind: async (host, local, receive) => {
      let endpoint = local;
      if (local.port === 0) {
        do endpoint = { host: local.host, port: nextPort++ };
        while (sockets.has(formatEndpoint(endpoint)));
      }
      const address = formatEndpoint(endpoint);
      if (sockets.has(address)) {
        throw Object.assign(new Error(`EADDRINUSE: address already in use ${address}`), { code: 'EADDRINUSE' });
      }
      const bound: Bound = { host, receive, kept: [] };
      sockets.set(address, bound);
      const open = (): boolean => sockets.get(address) === bound;
      return {
        endpoint,
        send: (to, bytes) => {
          if (open()) send(host, endpoint, to, bytes);
        },
        close: async () => {
          if (open()) sockets.delete(address);
        },
      };
    },
    resume: (host) => {
      for (const bound of sockets.values()) {
        if (bound.host === host) for (const deliver of bound.kept.splice(0)) deliver();
      }
    },
    fail: (host) => {
      for (const [address, bound] of sockets) if (bound.host === host) sockets.delete(address);
    },
  };
}
