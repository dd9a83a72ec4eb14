/**
 * The introduction circuits of a tor's services, as its control port shows them: in CIRC and CIRC_MINOR events, and in the lines
 * of GETINFO circuit-status, which have the same form without the event's name. Pure and total: what is no such circuit is
 * left out.
 */
import type { TorEvent } from '../../core/engine/contracts/tor.ts';
import type { OnionAddress } from '../../core/onion/index.ts';
import { parseTokens } from './event.ts';

/** One that is established: clients reach the service over it. */
export interface IntroductionCircuit {
  readonly id: string;
  /** The introduction point as events name it: `$FINGERPRINT~nickname`. */
  readonly relay: string;
  /** Of the service. */
  readonly address: OnionAddress;
}

/** The introduction circuit that an event, or a line of circuit-status, tells of; undefined unless it is established. */
export function introductionCircuit({
  words: [id, , path],
  fields,
}: Pick<TorEvent, 'words' | 'fields'>): IntroductionCircuit | undefined {
  const { PURPOSE: purpose, HS_STATE: state, REND_QUERY: query = '' } = fields;
  if (purpose !== 'HS_SERVICE_INTRO' || state !== 'HSSI_ESTABLISHED' || !/^[a-z2-7]{56}$/.test(query)) return undefined;
  const relay = path?.split(',').at(-1);
  if (id === undefined || !/^\w{1,16}$/.test(id) || relay === undefined) return undefined;
  return { id, relay, address: query as OnionAddress };
}

/** The established introduction circuits of all services, from GETINFO circuit-status. */
export function introductionCircuits(circuitStatus: string): IntroductionCircuit[] {
  return circuitStatus.split(/\r?\n/).flatMap((line) => {
    // Most lines of a busy tor are of its rendezvous.
    if (!line.includes(' PURPOSE=HS_SERVICE_INTRO')) return [];
    const tokens = parseTokens(line);
    const circuit = tokens.words[1] === 'BUILT' ? introductionCircuit(tokens) : undefined;
    return circuit === undefined ? [] : [circuit];
  });
}
