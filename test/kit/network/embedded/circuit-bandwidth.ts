/**
 * What the circuits of one tor have carried, told once a second as CIRC_BW (control_events.c). Only while a controller listens,
 * and only circuits that carried something: a network in which nobody asks has no timer for it. Cells are counted that build a
 * circuit, and introductions; what streams carry, and clients' own cells, are not.
 */
import type { EventBus } from './event-bus.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { microsecondTime } from './tor-time.ts';

/** CELL_PAYLOAD_SIZE: what READ and WRITTEN count of a cell. */
const payloadBytes = 509;
/** RELAY_PAYLOAD_SIZE: the body of a relay cell with what pads it. */
const relayPayloadBytes = 498;

/** Relay cells, by the length of their bodies in bytes. */
const cellBodies = {
  extend2: 153,
  extended2: 66,
  establishIntro: 134,
  introEstablished: 1,
  /** Clients pad to this (HS_CELL_INTRODUCE1_MIN_SIZE). */
  introduce2: 246,
} as const;
export type CellName = keyof typeof cellBodies;

interface Counts {
  cells: number;
  delivered: number;
}
const nothing = (): Counts => ({ cells: 0, delivered: 0 });
const overhead = ({ cells, delivered }: Counts): number => cells * relayPayloadBytes - delivered;

export class CircuitBandwidth {
  readonly #process: SimulatedProcess;
  readonly #events: EventBus;
  readonly #now: () => number;
  readonly #carried = new Map<number, { readonly read: Counts; readonly written: Counts }>();
  #waiting = false;

  /** `now`: wall clock, milliseconds. */
  constructor(process: SimulatedProcess, events: EventBus, now: () => number) {
    this.#process = process;
    this.#events = events;
    this.#now = now;
  }

  count(circuit: number, way: 'read' | 'written', cell: CellName): void {
    if (!this.#events.wanted('CIRC_BW')) return;
    let counts = this.#carried.get(circuit);
    if (counts === undefined) {
      counts = { read: nothing(), written: nothing() };
      this.#carried.set(circuit, counts);
    }
    counts[way].cells += 1;
    counts[way].delivered += cellBodies[cell];
    if (this.#waiting) return;
    this.#waiting = true;
    this.#process.after(1_000 - (Math.floor(this.#now()) % 1_000), () => this.#tell());
  }

  /** The circuit has ended: nothing more is told of it. */
  forget(circuit: number): void {
    this.#carried.delete(circuit);
  }

  #tell(): void {
    this.#waiting = false;
    const time = microsecondTime(this.#now());
    for (const [id, { read, written }] of this.#carried) {
      this.#events.emit(
        'CIRC_BW',
        () =>
          `650 CIRC_BW ID=${id} READ=${read.cells * payloadBytes} WRITTEN=${written.cells * payloadBytes} TIME=${time} ` +
          `DELIVERED_READ=${read.delivered} OVERHEAD_READ=${overhead(read)} ` +
          `DELIVERED_WRITTEN=${written.delivered} OVERHEAD_WRITTEN=${overhead(written)}`,
      );
    }
    this.#carried.clear();
  }
}
