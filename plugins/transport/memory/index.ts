/**
 * transport/memory: carries datagrams between nodes of one process, as faultily as asked. For the lab and for simulations.
 * A node's endpoint is `memory:` and its name on the bus.
 */
import { definePlugin, transportContract, type AnyPlugin, type Transport } from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { silentLog, type Clock, type Log, type Random } from '../../../core/runtime/index.ts';
import { createListeners } from '../common.ts';

export interface MemoryBusOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** From sending to arrival, milliseconds; each datagram draws its own, so they overtake each other. */
  readonly delayMs?: { readonly minimum: number; readonly maximum: number };
  /** Probability that a datagram is lost. */
  readonly loss?: number;
  /** The largest datagram, bytes. Set it low to see how a real network would do. */
  readonly maximumBytes?: number;
}

type Listener = (from: string, bytes: Uint8Array) => void;

/** Names on the bus are those of nodes, without `memory:`; what listeners hear and datagrams are sent to are endpoints. */
export interface MemoryBus {
  readonly maximumBytes: number;
  /** Datagrams and bytes taken for sending so far, whether they arrived or not. */
  readonly sent: { readonly datagrams: number; readonly bytes: number };
  /** Loses what `from` sends to `to`, and, unless one-way, the other direction too; also what is on its way. */
  cut(from: string, to: string, oneWay?: boolean): void;
  /** Undoes the cuts between two nodes in both directions, or all cuts. */
  heal(a?: string, b?: string): void;
  /** Adds a node; its listener hears what is sent to it until it is removed. Throws MESH_NODE_TAKEN. */
  join(node: string, listener: Listener): () => void;
  /** The node is gone at once, as when its process is killed: it hears and sends nothing any more. */
  remove(node: string): void;
  /** Hears whatever is sent, by name, whether it arrives or not: somebody on the path. */
  tap(listener: (from: string, to: string, bytes: Uint8Array) => void): void;
  /** Sends from a node that has joined to an endpoint. Throws MESH_TOO_LARGE. */
  send(from: string, endpoint: string, bytes: Uint8Array): void;
}

const scheme = 'memory:';

export const memoryEndpoint = (node: string): string => `${scheme}${node}`;

export function createMemoryBus(options: MemoryBusOptions): MemoryBus {
  const { clock, random, loss = 0, delayMs = { minimum: 0, maximum: 1 }, maximumBytes = 65_507 } = options;
  const nodes = new Map<string, Listener>();
  const cuts = new Set<string>();
  const sent = { datagrams: 0, bytes: 0 };
  const taps: ((from: string, to: string, bytes: Uint8Array) => void)[] = [];
  const carry = (from: string, to: string, bytes: Uint8Array): void => {
    sent.datagrams++;
    sent.bytes += bytes.length;
    for (const tap of taps) tap(from, to, bytes);
    if (loss > 0 && random.float() < loss) return;
    const copy = bytes.slice();
    const delay = delayMs.minimum + (delayMs.maximum - delayMs.minimum) * random.float();
    clock.after(delay, () => {
      if (!cuts.has(`${from}\n${to}`)) nodes.get(to)?.(memoryEndpoint(from), copy);
    });
  };
  return {
    maximumBytes,
    sent,
    cut: (from, to, oneWay = false) => {
      cuts.add(`${from}\n${to}`);
      if (!oneWay) cuts.add(`${to}\n${from}`);
    },
    heal: (a, b) => {
      if (a === undefined || b === undefined) cuts.clear();
      cuts.delete(`${a}\n${b}`);
      cuts.delete(`${b}\n${a}`);
    },
    join: (node, listener) => {
      if (nodes.has(node)) {
        throw new ChimeraError('MESH_NODE_TAKEN', `another node of this process is called ${node} already`, {
          remedy: 'give each node an id of its own (node.id)',
        });
      }
      nodes.set(node, listener);
      return () => {
        if (nodes.get(node) === listener) nodes.delete(node);
      };
    },
    remove: (node) => void nodes.delete(node),
    tap: (listener) => void taps.push(listener),
    send: (from, endpoint, bytes) => {
      if (bytes.length > maximumBytes) {
        throw new ChimeraError('MESH_TOO_LARGE', `a datagram of ${bytes.length} bytes; ${maximumBytes} are the most`);
      }
      if (!nodes.has(from)) return;
      if (endpoint.startsWith(scheme)) carry(from, endpoint.slice(scheme.length), bytes);
    },
  };
}

/** A node's transport on the bus, and what joins and leaves the bus. `name` is the node's on the bus. */
export function joinMemoryBus(
  bus: MemoryBus,
  name: string,
  log: Log = silentLog,
): { transport: Transport; join: () => () => void } {
  const listeners = createListeners(log, bus.maximumBytes);
  return {
    transport: {
      endpoint: memoryEndpoint(name),
      maximumBytes: bus.maximumBytes,
      send: (endpoint, bytes) => bus.send(name, endpoint, bytes),
      onMessage: listeners.onMessage,
    },
    join: () => bus.join(name, (from, bytes) => listeners.tell(from, bytes)),
  };
}

/** A plugin that puts its node on the bus from the start to the stop, under `name` or the node's id. */
export function memoryTransport(bus: MemoryBus, name?: string): AnyPlugin {
  return definePlugin({
    name: 'transport/memory',
    summary: 'Carries messages between nodes of one process.',
    gives: [transportContract],
    apply(host) {
      const { transport, join } = joinMemoryBus(bus, name ?? host.node, host.log);
      host.give(transportContract, transport);
      host.hooks.start.tap('transport/memory', () => host.defer(join()));
    },
  });
}
