/**
 * The circuits of one tor and the CIRC and CIRC_MINOR events about them. A circuit is built hop by hop; what it is for is
 * the business of whoever launched it.
 *
 *   launched → extended (once a hop) → built → closed;  or launched → … → failed
 */
import type { OnionAddress } from '../../../../core/onion/index.ts';
import type { Random } from '../../../../core/runtime/index.ts';
import { CircuitBandwidth, type CellName } from './circuit-bandwidth.ts';
import type { EventBus } from './event-bus.ts';
import { drawMs, type LatencyProfile } from './latency.ts';
import type { SimulatedRelay } from './relay.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { microsecondTime } from './tor-time.ts';
import type { Uplink } from './uplink.ts';

export type CircuitPurpose =
  'HS_SERVICE_INTRO' | 'HS_SERVICE_REND' | 'HS_CLIENT_INTRO' | 'HS_CLIENT_REND' | 'HS_VANGUARDS';

export interface CircuitPlan {
  readonly purpose: CircuitPurpose;
  readonly hsState: string;
  readonly flags: string;
  /** The last hop. */
  readonly target: SimulatedRelay;
  /** All hops, the last included. */
  readonly hops: number;
  readonly address: OnionAddress;
}

export interface CircuitHandlers {
  readonly built: (circuit: Circuit) => void;
  /** Called once, however the circuit ends; `built` may or may not have been called before. */
  readonly closed: (circuit: Circuit, reason: string) => void;
}

export class Circuit {
  readonly id: number;
  readonly target: SimulatedRelay;
  readonly createdAtMs: number;
  purpose: CircuitPurpose;
  hsState: string | undefined;
  status: 'LAUNCHED' | 'EXTENDED' | 'BUILT' | 'CLOSED' = 'LAUNCHED';
  readonly path: SimulatedRelay[] = [];
  readonly #plan: CircuitPlan;
  readonly #table: CircuitTable;

  constructor(id: number, createdAtMs: number, plan: CircuitPlan, table: CircuitTable) {
    this.id = id;
    this.createdAtMs = createdAtMs;
    this.purpose = plan.purpose;
    this.hsState = plan.hsState;
    this.target = plan.target;
    this.#plan = plan;
    this.#table = table;
  }

  get open(): boolean {
    return this.status === 'BUILT';
  }

  get closed(): boolean {
    return this.status === 'CLOSED';
  }

  /** As in CIRC events, after the status. */
  describe(): string {
    const parts: string[] = [];
    if (this.path.length > 0) parts.push(this.path.map((relay) => relay.longName).join(','));
    parts.push(`BUILD_FLAGS=${this.#plan.flags}`, `PURPOSE=${this.purpose}`);
    if (this.hsState !== undefined) parts.push(`HS_STATE=${this.hsState}`);
    if (this.path.length > 0 && this.hsState !== undefined) parts.push(`REND_QUERY=${this.#plan.address}`);
    parts.push(`TIME_CREATED=${microsecondTime(this.createdAtMs)}`);
    return parts.join(' ');
  }

  changePurpose(purpose: CircuitPurpose, hsState: string | undefined): void {
    if (this.closed) return;
    const { purpose: oldPurpose, hsState: oldState } = this;
    this.purpose = purpose;
    this.hsState = hsState;
    this.#table.purposeChanged(this, oldPurpose, oldState);
  }

  /** A cell has come over it, or gone. */
  carried(way: 'read' | 'written', cell: CellName): void {
    if (!this.closed) this.#table.bandwidth.count(this.id, way, cell);
  }

  close(reason: string, remoteReason?: string): void {
    this.#table.close(this, reason, remoteReason);
  }
}

export class CircuitTable {
  readonly bandwidth: CircuitBandwidth;
  readonly #process: SimulatedProcess;
  readonly #random: Random;
  readonly #latency: LatencyProfile;
  readonly #events: EventBus;
  readonly #uplink: Uplink;
  readonly #now: () => number;
  readonly #relays: () => readonly SimulatedRelay[];
  readonly #open = new Map<number, { readonly circuit: Circuit; readonly handlers: CircuitHandlers }>();
  #guard: SimulatedRelay | undefined;
  #nextId = 1;

  constructor(parts: {
    readonly process: SimulatedProcess;
    readonly random: Random;
    readonly latency: LatencyProfile;
    readonly events: EventBus;
    readonly uplink: Uplink;
    /** Wall clock, milliseconds. */
    readonly now: () => number;
    /** The relays of the consensus. */
    readonly relays: () => readonly SimulatedRelay[];
  }) {
    this.#process = parts.process;
    this.#random = parts.random;
    this.#latency = parts.latency;
    this.#events = parts.events;
    this.#uplink = parts.uplink;
    this.#now = parts.now;
    this.#relays = parts.relays;
    this.bandwidth = new CircuitBandwidth(parts.process, parts.events, parts.now);
    this.#process.atEnd(() => {
      // The relays see the connections break: whoever hangs on a circuit's other end hears of it.
      const open = [...this.#open.values()];
      this.#open.clear();
      for (const { circuit, handlers } of open) {
        circuit.status = 'CLOSED';
        handlers.closed(circuit, 'FINISHED');
      }
    });
  }

  get(id: number): Circuit | undefined {
    return this.#open.get(id)?.circuit;
  }

  list(): Circuit[] {
    return [...this.#open.values()].map((entry) => entry.circuit);
  }

  launch(plan: CircuitPlan, handlers: CircuitHandlers): Circuit {
    const circuit = new Circuit(this.#nextId++, this.#now(), plan, this);
    this.#open.set(circuit.id, { circuit, handlers });
    this.#tell('LAUNCHED', circuit);
    const hops = this.#choosePath(plan);
    const extend = (): void => {
      if (circuit.closed) return;
      const hop = hops[circuit.path.length] as SimulatedRelay;
      if (!hop.up || !this.#uplink.open) {
        this.close(circuit, 'DESTROYED', 'CONNECTFAILED');
        return;
      }
      if (circuit.path.length > 0) {
        circuit.carried('written', 'extend2');
        circuit.carried('read', 'extended2');
      }
      circuit.path.push(hop);
      circuit.status = 'EXTENDED';
      this.#tell('EXTENDED', circuit);
      if (circuit.path.length < hops.length) {
        this.#process.after(drawMs(this.#random, this.#latency.hopMs), extend);
        return;
      }
      circuit.status = 'BUILT';
      this.#tell('BUILT', circuit);
      handlers.built(circuit);
    };
    this.#process.after(drawMs(this.#random, this.#latency.hopMs), extend);
    return circuit;
  }

  close(circuit: Circuit, reason: string, remoteReason?: string): void {
    const entry = this.#open.get(circuit.id);
    if (entry === undefined) return;
    this.#open.delete(circuit.id);
    this.bandwidth.forget(circuit.id);
    const word = circuit.open ? 'CLOSED' : 'FAILED';
    const reasons =
      remoteReason === undefined ? ` REASON=${reason}` : ` REASON=${reason} REMOTE_REASON=${remoteReason}`;
    this.#events.emit('CIRC', () => `650 CIRC ${circuit.id} ${word} ${circuit.describe()}${reasons}`);
    circuit.status = 'CLOSED';
    entry.handlers.closed(circuit, reason);
  }

  purposeChanged(circuit: Circuit, oldPurpose: CircuitPurpose, oldState: string | undefined): void {
    this.#events.emit('CIRC_MINOR', () => {
      const old = oldState === undefined ? '' : ` OLD_HS_STATE=${oldState}`;
      return `650 CIRC_MINOR ${circuit.id} PURPOSE_CHANGED ${circuit.describe()} OLD_PURPOSE=${oldPurpose}${old}`;
    });
  }

  /** The way to the network is closed: every circuit breaks. */
  uplinkLost(): void {
    this.#guard = undefined;
    for (const { circuit } of this.#open.values()) this.close(circuit, 'DESTROYED', 'CHANNEL_CLOSED');
  }

  /** A relay went down: every circuit through it breaks. */
  relayLost(relay: SimulatedRelay): void {
    if (this.#guard === relay) this.#guard = undefined;
    for (const { circuit } of this.#open.values()) {
      if (circuit.path.includes(relay)) this.close(circuit, 'DESTROYED', 'CHANNEL_CLOSED');
    }
  }

  #tell(status: string, circuit: Circuit): void {
    this.#events.emit('CIRC', () => `650 CIRC ${circuit.id} ${status} ${circuit.describe()}`);
  }

  #choosePath(plan: CircuitPlan): SimulatedRelay[] {
    const known = this.#relays();
    const path: SimulatedRelay[] = [];
    while (path.length < plan.hops - 1) {
      const before = path.at(-1);
      const fit = known.filter((relay) => relay.up && relay !== before && relay !== plan.target);
      if (fit.length === 0) break;
      if (path.length === 0) {
        this.#guard ??= fit[this.#random.int(fit.length)] as SimulatedRelay;
        path.push(this.#guard);
      } else {
        path.push(fit[this.#random.int(fit.length)] as SimulatedRelay);
      }
    }
    return [...path, plan.target];
  }
}
