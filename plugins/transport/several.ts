/**
 * Several transports as one: a datagram goes to the one whose scheme its endpoint begins with. docs/decisions/several-transports.md
 * says why. Enter at `joinTransports`.
 */
import type { Transport } from '../../core/engine/index.ts';
import { refuseTooLarge } from './common.ts';

export interface Transports extends Transport {
  /** Of all of them, the first choice first. Known from `start` on. */
  readonly endpoints: readonly string[];
}

/** `scheme:` of an endpoint; empty for a text without one. */
const schemeOf = (endpoint: string): string => endpoint.slice(0, endpoint.indexOf(':') + 1);

/** At least one transport; the largest datagram is the smallest of theirs. */
export function joinTransports(transports: readonly Transport[]): Transports {
  const maximumBytes = Math.min(...transports.map((transport) => transport.maximumBytes));
  const transportOf = (endpoint: string): Transport | undefined => {
    const scheme = schemeOf(endpoint);
    return scheme === '' ? undefined : transports.find((transport) => schemeOf(transport.endpoint) === scheme);
  };
  const endpoints = (): string[] => transports.map(({ endpoint }) => endpoint).filter((endpoint) => endpoint !== '');
  return {
    get endpoint() {
      return endpoints()[0] ?? '';
    },
    get endpoints() {
      return endpoints();
    },
    maximumBytes,
    send: (endpoint, bytes) => {
      refuseTooLarge(bytes, maximumBytes);
      transportOf(endpoint)?.send(endpoint, bytes);
    },
    onMessage: (listener) => {
      const offs = transports.map((transport) => transport.onMessage(listener));
      return () => {
        for (const off of offs) off();
      };
    },
    admit: (peers) => {
      for (const transport of transports) transport.admit?.(peers);
    },
    expect: (endpoint) => transportOf(endpoint)?.expect?.(endpoint),
    hints: (node) => transports.flatMap((transport) => transport.hints?.(node) ?? []),
  };
}
