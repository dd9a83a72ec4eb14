/**
 * Sockets in memory, on any clock: latency, refusal, partitions, frozen hosts. Every host has a view of its own
 * (`host('alice')`), so that the net knows between whom a stream runs; addresses are one space for all of them.
 * Data on a stream that a cut or a freeze holds back is not lost, as with TCP: it arrives after the repair. Datagrams are
 * lost as the faults have it, and by every cut (memory-datagrams.ts).
 */
import { Duplex } from 'node:stream';
import type { Clock } from '../../../core/runtime/clock.ts';
import { formatEndpoint, type Endpoint, type Listener, type Net } from '../../../core/runtime/net.ts';
import type { Random } from '../../../core/runtime/random.ts';
import { createMemoryDatagrams, type DatagramFaults } from './memory-datagrams.ts';
import { createSeededRandom } from './seeded-random.ts';

export interface MemoryNet extends Net {
  /** The net as `name` sees it. The net itself is the view of a host called `''`. */
  host(name: string): Net;
  /** Holds back all that `from` sends to `to`, and, unless one-way, the other direction too. */
  cut(from: string, to: string, oneWay?: boolean): void;
  /** Undoes `cut` in both directions; what was held back arrives. */
  heal(from: string, to: string): void;
  /** Freezes a host: it neither sends nor receives, its sockets stay open. */
  pause(name: string): void;
  resume(name: string): void;
  /** The host loses power: its listeners are gone, and its streams break with ECONNRESET after the latency. */
  fail(name: string): void;
  /** Breaks every stream between two hosts with ECONNRESET, once. */
  reset(a: string, b: string): void;
  /** Streams open now. */
  readonly streams: number;
  /** What befalls datagrams sent from now on. Set it to change the weather. */
  datagramFaults: DatagramFaults;
}

export interface MemoryNetOptions {
  readonly clock: Clock;
  /** One-way delay from a host to another, milliseconds. Default 0: in the same turn of the event loop. */
  readonly latencyMs?: number | ((from: string, to: string) => number);
  /** Decides which datagrams meet a fault. Default: a seed of the net's own. */
  readonly random?: Random;
  /** Default: datagrams meet no fault. */
  readonly datagramFaults?: DatagramFaults;
}

const bufferBytes = 65_536;
const firstEphemeralPort = 49_152;

function netError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}

interface ListenerEntry {
  readonly host: string;
  readonly accept: (stream: Duplex) => void;
  readonly accepted: Set<MemorySocket>;
}

type Parcel = { readonly kind: 'data'; readonly chunk: Buffer } | { readonly kind: 'end' } | { readonly kind: 'reset' };

/** One end of a stream. `send` carries parcels to the other end, in order. */
class MemorySocket extends Duplex {
  readonly localHost: string;
  readonly remoteHost: string;
  peer: MemorySocket | undefined;
  send: (parcel: Parcel) => void = () => undefined;
  /** Written here and not yet taken by the other end's reader. */
  #unread = 0;
  #waiting: (() => void) | undefined;
  #incoming: Parcel[] = [];
  #wanted = false;
  #ended = false;

  constructor(localHost: string, remoteHost: string) {
    super({ allowHalfOpen: false });
    this.localHost = localHost;
    this.remoteHost = remoteHost;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#unread += chunk.length;
    this.send({ kind: 'data', chunk: Buffer.from(chunk) });
    if (this.#unread < bufferBytes) done();
    else this.#waiting = done;
  }

  override _final(done: (error?: Error) => void): void {
    this.#endOnce();
    done();
  }

  override _read(): void {
    this.#wanted = true;
    this.#drain();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#endOnce();
    this.#incoming = [];
    done(error);
  }

  #endOnce(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.send({ kind: 'end' });
  }

  receive(parcel: Parcel): void {
    if (this.destroyed) return;
    if (parcel.kind === 'reset') {
      this.destroy(netError('ECONNRESET', 'connection reset by peer'));
      return;
    }
    this.#incoming.push(parcel);
    this.#drain();
  }

  #drain(): void {
    while (this.#wanted && this.#incoming.length > 0) {
      const parcel = this.#incoming.shift() as Parcel;
      if (parcel.kind === 'data') {
        this.#wanted = this.push(parcel.chunk);
        this.peer?.taken(parcel.chunk.length);
      } else {
        this.push(null);
      }
    }
  }

  /** The other end's reader took bytes written here. */
  taken(bytes: number): void {
    this.#unread -= bytes;
    if (this.#waiting === undefined || this.#unread >= bufferBytes) return;
    const done = this.#waiting;
    this.#waiting = undefined;
    process.nextTick(done);
  }

  breakOff(): void {
    this.#ended = true;
    this.destroy(netError('ECONNRESET', 'connection reset by peer'));
  }

  /** Vanishes without a word to the other end. */
  vanish(): void {
    this.#ended = true;
    this.destroy();
  }
}

export function createMemoryNet(options: MemoryNetOptions): MemoryNet {
  const { clock } = options;
  const listeners = new Map<string, ListenerEntry>();
  const sockets = new Set<MemorySocket>();
  const cuts = new Set<string>();
  const paused = new Set<string>();
  /** What cuts and pauses hold back, in order: tried again at every repair. */
  let held: { readonly from: string; readonly to: string; readonly deliver: () => void }[] = [];
  let nextPort = firstEphemeralPort;

  const latency = (from: string, to: string): number =>
    typeof options.latencyMs === 'function' ? options.latencyMs(from, to) : (options.latencyMs ?? 0);
  const blocked = (from: string, to: string): boolean =>
    paused.has(from) || paused.has(to) || (from !== to && cuts.has(`${from}\n${to}`));

  /** Delivers now, or keeps it, behind what is kept already for the same way. */
  const arrive = (from: string, to: string, deliver: () => void): void => {
    if (blocked(from, to)) held.push({ from, to, deliver });
    else deliver();
  };
  const release = (): void => {
    const waiting = held;
    held = [];
    for (const parcel of waiting) arrive(parcel.from, parcel.to, parcel.deliver);
  };
  /** Runs `deliver` after the latency. Equal delays keep their order, because the clock keeps it. */
  const carry = (from: string, to: string, deliver: () => void): void => {
    const delayMs = latency(from, to);
    if (delayMs <= 0) process.nextTick(() => arrive(from, to, deliver));
    else clock.after(delayMs, () => arrive(from, to, deliver));
  };

  const datagrams = createMemoryDatagrams({
    clock,
    random: options.random ?? createSeededRandom('memory-net'),
    latencyMs: latency,
    cut: (from, to) => from !== to && cuts.has(`${from}\n${to}`),
    paused: (name) => paused.has(name),
    faults: () => net.datagramFaults,
  });

  /** One direction of a stream: a later parcel never overtakes an earlier one, whatever the latency function says. */
  function lane(from: MemorySocket, to: MemorySocket): (parcel: Parcel) => void {
    const queue: Parcel[] = [];
    return (parcel) => {
      queue.push(parcel);
      carry(from.localHost, to.localHost, () => {
        const next = queue.shift();
        if (next !== undefined) to.receive(next);
      });
    };
  }

  function openPair(clientHost: string, serverHost: string): [MemorySocket, MemorySocket] {
    const client = new MemorySocket(clientHost, serverHost);
    const server = new MemorySocket(serverHost, clientHost);
    client.peer = server;
    server.peer = client;
    client.send = lane(client, server);
    server.send = lane(server, client);
    for (const socket of [client, server]) {
      sockets.add(socket);
      // A socket that nobody listens to yet must not take the process down when its host fails.
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
    }
    return [client, server];
  }

  function connect(host: string, endpoint: Endpoint, signal?: AbortSignal): Promise<Duplex> {
    const address = formatEndpoint(endpoint);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => reject(signal?.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      const target = listeners.get(address)?.host ?? host;
      carry(host, target, () => {
        const entry = listeners.get(address);
        if (signal?.aborted) return;
        if (entry === undefined) {
          carry(target, host, () => {
            signal?.removeEventListener('abort', onAbort);
            reject(netError('ECONNREFUSED', `connection refused ${address}`));
          });
          return;
        }
        const [client, server] = openPair(host, entry.host);
        entry.accepted.add(server);
        server.once('close', () => entry.accepted.delete(server));
        entry.accept(server);
        carry(target, host, () => {
          signal?.removeEventListener('abort', onAbort);
          if (signal?.aborted) client.destroy();
          else resolve(client);
        });
      });
    });
  }

  async function listen(host: string, endpoint: Endpoint, accept: (stream: Duplex) => void): Promise<Listener> {
    let bound = endpoint;
    if ('port' in endpoint && endpoint.port === 0) {
      do bound = { host: endpoint.host, port: nextPort++ };
      while (listeners.has(formatEndpoint(bound)));
    }
    const address = formatEndpoint(bound);
    if (listeners.has(address)) throw netError('EADDRINUSE', `address already in use ${address}`);
    const entry: ListenerEntry = { host, accept, accepted: new Set() };
    listeners.set(address, entry);
    return {
      endpoint: bound,
      close: async () => {
        if (listeners.get(address) === entry) listeners.delete(address);
        for (const socket of entry.accepted) socket.destroy();
      },
    };
  }

  const view = (name: string): Net => ({
    connect: (endpoint, signal) => connect(name, endpoint, signal),
    listen: (endpoint, accept) => listen(name, endpoint, accept),
    bindUdp: (local, receive) => datagrams.bind(name, local, receive),
    addresses: () => [],
  });

  const net: MemoryNet = {
    ...view(''),
    datagramFaults: options.datagramFaults ?? {},
    host: view,
    cut: (from, to, oneWay = false) => {
      cuts.add(`${from}\n${to}`);
      if (!oneWay) cuts.add(`${to}\n${from}`);
    },
    heal: (from, to) => {
      cuts.delete(`${from}\n${to}`);
      cuts.delete(`${to}\n${from}`);
      release();
    },
    pause: (name) => void paused.add(name),
    resume: (name) => {
      paused.delete(name);
      release();
      datagrams.resume(name);
    },
    fail: (name) => {
      datagrams.fail(name);
      for (const [address, entry] of listeners) if (entry.host === name) listeners.delete(address);
      for (const socket of sockets) {
        if (socket.localHost !== name) continue;
        const { peer } = socket;
        socket.vanish();
        if (peer !== undefined && !peer.destroyed) carry(name, peer.localHost, () => peer.breakOff());
      }
    },
    reset: (a, b) => {
      for (const socket of sockets) {
        const { localHost, remoteHost } = socket;
        if ((localHost === a && remoteHost === b) || (localHost === b && remoteHost === a)) socket.breakOff();
      }
    },
    get streams() {
      return sockets.size / 2;
    },
  };
  return net;
}
