/** The contract of what stands between the heads' virtual port and the operator's target: who comes, and the door for those who join. */
import { contract } from '../contract.ts';

/** What came over one client circuit of one head. Times are of the node's monotonic clock. */
export interface CircuitTraffic {
  /** `head#id`: the id is tor's, unique while that tor runs, in decimal as its control port has it. */
  readonly circuit: string;
  readonly head: string;
  /** Streams open now, and all so far. */
  readonly open: number;
  readonly streams: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/** Where a head's HiddenServicePort leads, and the HiddenService options that go with it, in torrc's words. */
export interface Front {
  readonly target: string;
  readonly settings: readonly (readonly [option: string, value: string])[];
}

/**
 * Answers `POST /.rb/<selector>`; undefined is a refusal, which leaves as the same 404 as any other. It does the same work
 * for every refusal: what it takes shows in no answer, but it should not show in the machine's load either.
 */
export type DoorAnswer = (selector: string, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array | undefined>;

export interface Proxy {
  /** Opens the front of a head's target; the same one again for the same two. Rejects with PROXY_LISTEN. */
  front(head: string, target: string): Promise<Front>;
  /** Closes the fronts of a head that is gone for good, and what still comes over them. */
  retire(head: string): Promise<void>;
  /** The circuits known: those with open streams, and lately others. Bounded. */
  circuits(): readonly CircuitTraffic[];
  /**
   * Called for each stream that a client opens, as soon as its circuit is known; without one when it was turned away unread,
   * because too many are open. Returns the unsubscriber.
   */
  onStream(listener: (head: string, circuit: string | undefined) => void): () => void;
  /** Ends every stream of a circuit; how many there were. tor itself still has the circuit. */
  cut(circuit: string): number;
  /** Who answers at the door; one, and before the start. Without it the door refuses everybody. */
  door(answer: DoorAnswer): void;
}
export const proxyContract = contract<Proxy>('proxy');
