/** What clients and services tell each other through an introduction point, without the cells' encryption. */
import type { SimulatedRelay } from './relay.ts';
import type { Rendezvous } from './rendezvous.ts';

/** An INTRODUCE1: what it was encrypted to decides who can read it. */
export interface Introduction {
  readonly authKey: Uint8Array;
  /** The encryption key that the client took from the descriptor. */
  readonly encKey: Uint8Array;
  /** The subcredential of the descriptor that the client fetched. */
  readonly subcredential: Uint8Array;
  readonly rendezvous: Rendezvous;
}

/** A service's circuit to its introduction point, as the relay sees it. */
export interface IntroductionCircuit {
  /** False when the relay drops this one: the service has asked it for a limit. */
  admits?(): boolean;
  deliver(introduction: Introduction): void;
}

export type IntroductionAnswer =
  /** INTRODUCE_ACK: handed on, whatever the service makes of it. */
  | 'ack'
  /** No such circuit here, or too many introductions for it. */
  | 'nack'
  /** The client's circuit could not be extended to the relay. */
  | 'unreachable';

export function introduce(relay: SimulatedRelay, introduction: Introduction): IntroductionAnswer {
  if (!relay.up) return 'unreachable';
  const circuit = relay.introductions.get(Buffer.from(introduction.authKey).toString('hex'));
  if (circuit === undefined || circuit.admits?.() === false) return 'nack';
  circuit.deliver(introduction);
  return 'ack';
}
