/**
 * The faulty network between the nodes: datagrams are lost, doubled, late, cut off, held back; anybody may inject one. It
 * knows every datagram, so that checkers can read the wire.
 */
import type { Clock, Random } from '../../../../core/runtime/index.ts';

export interface Datagram {
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
}

export interface BusFaults {
  lossShare: number;
  duplicateShare: number;
  reorderShare: number;
  reorderMs: number;
  delayMs: number;
}

/** True when it was read at once: a machine that stands still may read it later, or never. */
type Receive = (from: string, bytes: Uint8Array) => boolean;

export const maximumDatagram = 1_232;
const scheme = 'memory:';
/** The same text each time, whose hash is known: every datagram has one. */
const endpoints = new Map<string, string>();
const mostEndpoints = 4_096;

export function endpointOf(name: string): string {
  let endpoint = endpoints.get(name);
  if (endpoint === undefined) {
    if (endpoints.size >= mostEndpoints) endpoints.clear();
    endpoints.set(name, (endpoint = `${scheme}${name}`));
  }
  return endpoint;
}
const minimumDelayMs = 1;
/** Kept for replays. */
const remembered = 256;

export class SimulatedBus {
  readonly faults: BusFaults;
  /** Called with each datagram that is sent. */
  onSent: (datagram: Datagram) => void = () => undefined;
  readonly sent = { datagrams: 0, bytes: 0 };
  /** The last ones that were read as they arrived: sent again, they are replays. */
  readonly arrived: Datagram[] = [];
  down = false;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #receivers = new Map<string, Set<Receive>>();
  readonly #cuts = new Map<string, number>();
  readonly #held = new Map<string, Datagram[]>();

  constructor(clock: Clock, random: Random, faults: BusFaults) {
    this.#clock = clock;
    this.#random = random;
    this.faults = { ...faults };
  }

  /** `name` hears what is sent to it from now on. Two may have one name (a clone): both hear it. */
  join(name: string, receive: Receive): () => void {
    const both = this.#receivers.get(name) ?? new Set<Receive>();
    this.#receivers.set(name, both.add(receive));
    return () => {
      both.delete(receive);
      if (both.size === 0 && this.#receivers.get(name) === both) this.#receivers.delete(name);
    };
  }

  send(from: string, endpoint: string, bytes: Uint8Array): void {
    if (!endpoint.startsWith(scheme)) return;
    const to = endpoint.slice(scheme.length);
    if (to !== '*') this.#carry({ from, to, bytes: bytes.slice() });
    else
      for (const name of this.#receivers.keys())
        if (name !== from) this.#carry({ from, to: name, bytes: bytes.slice() });
  }

  /** Cuts add up: each is healed once. */
  cut(from: string, to: string): void {
    const way = `${from}\n${to}`;
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1);
  }

  heal(from: string, to: string): void {
    const way = `${from}\n${to}`;
    const left = (this.#cuts.get(way) ?? 0) - 1;
    if (left > 0) this.#cuts.set(way, left);
    else this.#cuts.delete(way);
  }

  #isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}\n${to}`);
  }

  isCut(from: string, to: string): boolean {
    return this.down || this.#isCut(from, to) || this.#held.has(from);
  }

  /** True while every way is open. */
  get whole(): boolean {
    return !this.down && this.#cuts.size === 0 && this.#held.size === 0;
  }

  /** Holds back what `name` sends, until released. */
  hold(name: string): void {
    if (!this.#held.has(name)) this.#held.set(name, []);
  }

  release(name: string): void {
    const held = this.#held.get(name) ?? [];
    this.#held.delete(name);
    for (const [index, datagram] of held.entries()) this.#clock.after(index / 100, () => this.#arrive(datagram));
  }

  /** Delivers a datagram that nobody of the cluster has sent. */
  inject({ from, to, bytes }: Datagram): void {
    this.#hand(from, to, bytes);
  }

  #carry(datagram: Datagram): void {
    const { from } = datagram;
    this.sent.datagrams++;
    this.sent.bytes += datagram.bytes.length;
    this.onSent(datagram);
    const held = this.#held.get(from);
    if (held !== undefined) {
      if (held.length < 4_096) held.push(datagram);
      return;
    }
    const { lossShare, duplicateShare, reorderShare, reorderMs, delayMs } = this.faults;
    if (lossShare > 0 && this.#random.float() < lossShare) return;
    const copies = duplicateShare > 0 && this.#random.float() < duplicateShare ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const late = reorderShare > 0 && this.#random.float() < reorderShare ? reorderMs * this.#random.float() : 0;
      const delay = minimumDelayMs + (delayMs - minimumDelayMs) * this.#random.float() + late;
      this.#clock.after(delay, () => this.#arrive(datagram));
    }
  }

  #arrive(datagram: Datagram): void {
    const { from, to, bytes } = datagram;
    if (this.down || this.#isCut(from, to)) return;
    if (!this.#hand(from, to, bytes)) return;
    if (this.arrived.push(datagram) > remembered) this.arrived.splice(0, remembered / 2);
  }

  /** True when everybody of that name, and at least one, has read it. */
  #hand(from: string, to: string, bytes: Uint8Array): boolean {
    const receivers = [...(this.#receivers.get(to) ?? [])];
    const read = receivers.map((receive) => receive(endpointOf(from), bytes.slice()));
    return read.length > 0 && read.every(Boolean);
  }
}
