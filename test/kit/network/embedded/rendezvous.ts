/** A rendezvous point: where a client's circuit and a service's meet, and then carry streams. */
import type { Duplex } from 'node:stream';
import type { SimulatedRelay } from './relay.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export type BeginRefusal =
  /** The target does not take the connection. */
  | 'refused'
  /** The service has no such port, and has closed the circuit for it. */
  | 'no-port';

/** The service's end, once joined. */
export interface ServiceEnd {
  /** The tor that carries it. */
  readonly process: SimulatedProcess;
  /** A BEGIN cell: resolves with the stream to the service's target. */
  begin(virtualPort: number): Promise<Duplex | BeginRefusal>;
  /** The service's circuit has ended: its streams do too. */
  closed(): void;
  /** The client's circuit has ended. */
  clientGone(): void;
}

export interface ClientEnd {
  /** RENDEZVOUS2 has come. False when the client does not want it any more. */
  joined(service: ServiceEnd): boolean;
  /** The service's circuit has ended. */
  serviceGone(): void;
}

export class Rendezvous {
  readonly relay: SimulatedRelay;
  readonly #client: ClientEnd;
  #service: ServiceEnd | undefined;
  #over = false;

  constructor(relay: SimulatedRelay, client: ClientEnd) {
    this.relay = relay;
    this.#client = client;
  }

  /** RENDEZVOUS1 from a service. False when the client's circuit is not there, or has been joined already. */
  join(service: ServiceEnd): boolean {
    if (this.#over || this.#service !== undefined || !this.relay.up) return false;
    if (!this.#client.joined(service)) return false;
    this.#service = service;
    return true;
  }

  /** The client's circuit has ended, and so the service's does. */
  clientClosed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#service?.closed();
    this.#service?.clientGone();
  }

  /** The circuit of `service` has ended; nothing happens when it is not the one that was joined. */
  serviceClosed(service: ServiceEnd): void {
    if (this.#over || this.#service !== service) return;
    this.#over = true;
    service.closed();
    this.#client.serviceGone();
  }
}
