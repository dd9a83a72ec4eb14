/**
 * transport/memory: carries datagrams between nodes of one process, as faultily as asked. For the lab and for simulations;
 * what arrives came from whom it names, because nobody else is in the process.
 */
import { definePlugin, transportContract, type AnyPlugin } from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import type { Clock, Random } from '../../../core/runtime/index.ts';

export interface MemoryBusOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** From sending to arrival, milliseconds; each datagram draws its own, so they overtake each other. */
  readonly delayMs?: { readonly minimum: number; readonly maximum: number };
  /** Probability that a datagram is lost. */
  readonly loss?: number;
}

type Listener = (from: string, bytes: Uint8Array) => void;

export interface MemoryBus {
  /** Cuts one direction between two nodes. */
  cut(from: string, to: string): void;
  heal(): void;
  /** Adds a node; its listener hears what is sent to it until it is removed. */
  join(node: string, listener: Listener): () => void;
  send(from: string, to: string, bytes: Uint8Array): void;
}

/** As large as a UDP datagram that is never fragmented on the way could not be: memory knows no such limit. */
const maximumBytes = 262_144;

export function createMemoryBus(options: MemoryBusOptions): MemoryBus {
  const { clock, random, loss = 0, delayMs = { minimum: 0, maximum: 1 } } = options;
  const nodes = new Map<string, Listener>();
  const cuts = new Set<string>();
  const carry = (from: string, to: string, bytes: Uint8Array): void => {
    if (cuts.has(`${from}\n${to}`) || (loss > 0 && random.float() < loss)) return;
    const copy = bytes.slice();
    const delay = delayMs.minimum + (delayMs.maximum - delayMs.minimum) * random.float();
    clock.after(delay, () => nodes.get(to)?.(from, copy));
  };
  return {
    cut: (from, to) => void cuts.add(`${from}\n${to}`),
    heal: () => cuts.clear(),
    join: (node, listener) => {
      nodes.set(node, listener);
      return () => {
        if (nodes.get(node) === listener) nodes.delete(node);
      };
    },
    send: (from, to, bytes) => {
      if (to !== '*') carry(from, to, bytes);
      else for (const node of nodes.keys()) if (node !== from) carry(from, node, bytes);
    },
  };
}

/** A plugin that puts its node on the bus. */
export function memoryTransport(bus: MemoryBus): AnyPlugin {
  return definePlugin({
    name: 'transport/memory',
    summary: 'Carries messages between nodes of one process.',
    gives: [transportContract],
    apply(host) {
      const listeners = new Set<Listener>();
      host.give(transportContract, {
        self: host.node,
        maximumBytes,
        send: (to, bytes) => {
          if (bytes.length > maximumBytes) {
            throw new ChimeraError(
              'MESH_TOO_LARGE',
              `a message of ${bytes.length} bytes; ${maximumBytes} are the most`,
            );
          }
          bus.send(host.node, to, bytes);
        },
        onMessage: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      });
      host.hooks.start.tap('transport/memory', () => {
        host.defer(
          bus.join(host.node, (from, bytes) => {
            for (const listener of listeners) listener(from, bytes);
          }),
        );
      });
    },
  });
}
