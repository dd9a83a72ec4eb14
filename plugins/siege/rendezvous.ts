/**
 * The rendezvous that a tor's services are drawn into, as its control port shows them. An INTRODUCE2 that the service can read
 * makes one circuit HS_SERVICE_REND: LAUNCHED says not yet of which service, EXTENDED and BUILT do (REND_QUERY), and
 * CIRC_MINOR with HSSR_JOINED follows BUILT. These events do not say through which introduction point it came:
 * points.ts has the rates of each point, from what its circuit reads.
 */
import type { TorClient, TorEvent } from '../../core/engine/index.ts';

export interface RendezvousListener {
  /** A new one, once; `head` is its service. */
  seen(head: string, circuit: string): void;
  /** It has been joined with the client's circuit. */
  joined?(head: string, circuit: string): void;
  closed?(head: string, circuit: string): void;
}

/** More circuits than any tor carries; beyond it the oldest are forgotten. */
const mostCircuits = 20_000;

/** Watches one tor. `headOf` names the head of an onion address, `only` the head when the tor carries exactly one. */
export function watchRendezvous(
  tor: TorClient,
  names: { headOf(address: string): string | undefined; only(): string | undefined },
  listener: RendezvousListener,
): () => void {
  const open = new Map<string, { head: string | undefined; joined: boolean }>();

  const onEvent = ({ words, fields }: TorEvent): void => {
    const [id, status] = words;
    if (id === undefined || fields.PURPOSE !== 'HS_SERVICE_REND') return;
    if (status === 'CLOSED' || status === 'FAILED') {
      const known = open.get(id);
      open.delete(id);
      if (known?.head !== undefined) listener.closed?.(known.head, id);
      return;
    }
    let circuit = open.get(id);
    if (circuit === undefined) {
      circuit = { head: undefined, joined: false };
      open.set(id, circuit);
      if (open.size > mostCircuits) open.delete(open.keys().next().value as string);
    }
    if (circuit.head === undefined) {
      const query = fields.REND_QUERY;
      circuit.head = query === undefined ? names.only() : names.headOf(query);
      if (circuit.head !== undefined) listener.seen(circuit.head, id);
    }
    if (circuit.head !== undefined && !circuit.joined && fields.HS_STATE === 'HSSR_JOINED') {
      circuit.joined = true;
      listener.joined?.(circuit.head, id);
    }
  };
  const releases = [
    tor.onEvent('CIRC', onEvent),
    tor.onEvent('CIRC_MINOR', onEvent),
    // A tor that went away comes back with other circuits, or with events that were missed.
    tor.onState((state) => {
      if (state !== 'ready') open.clear();
    }),
  ];
  return () => {
    for (const release of releases) release();
  };
}
