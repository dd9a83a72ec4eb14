/**
 * The events of a simulation, earliest first; of one instant, in the order in which they came. A binary heap over typed arrays:
 * millions of events pass without an object each, which a general queue of objects cannot offer.
 */
const initialCapacity = 1_024;

export class EventQueue {
  #times = new Float64Array(initialCapacity);
  #orders = new Float64Array(initialCapacity);
  #kinds = new Uint8Array(initialCapacity);
  #subjects = new Int32Array(initialCapacity);
  #size = 0;
  #count = 0;
  /** Of the event that `next` gave last. */
  atMs = 0;
  kind = 0;
  subject = 0;

  get size(): number {
    return this.#size;
  }

  /** How many have been put in, ever. */
  get count(): number {
    return this.#count;
  }

  /** `kind` is 0–255, `subject` a 32-bit integer. */
  add(atMs: number, kind: number, subject = 0): void {
    if (this.#size === this.#times.length) this.#grow();
    const order = this.#count++;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentTime = this.#times[parent] as number;
      // Equal times keep their order: a newcomer is never before one that is there.
      if (parentTime <= atMs) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#times[at] = atMs;
    this.#orders[at] = order;
    this.#kinds[at] = kind;
    this.#subjects[at] = subject;
  }

  /** Takes the earliest one out, and shows it in `atMs`, `kind` and `subject`. False when there is none. */
  next(): boolean {
    if (this.#size === 0) return false;
    this.atMs = this.#times[0] as number;
    this.kind = this.#kinds[0] as number;
    this.subject = this.#subjects[0] as number;
    const last = --this.#size;
    const time = this.#times[last] as number;
    const order = this.#orders[last] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#before(child + 1, this.#times[child] as number, this.#orders[child] as number))
        child++;
      if (!this.#before(child, time, order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#move(last, at);
    return true;
  }

  #before(index: number, time: number, order: number): boolean {
    const own = this.#times[index] as number;
    return own < time || (own === time && (this.#orders[index] as number) < order);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#orders[to] = this.#orders[from] as number;
    this.#kinds[to] = this.#kinds[from] as number;
    this.#subjects[to] = this.#subjects[from] as number;
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const grown = <Kind extends Float64Array | Uint8Array | Int32Array>(fresh: Kind, old: Kind): Kind => {
      fresh.set(old);
      return fresh;
    };
    this.#times = grown(new Float64Array(capacity), this.#times);
    this.#orders = grown(new Float64Array(capacity), this.#orders);
    this.#kinds = grown(new Uint8Array(capacity), this.#kinds);
    this.#subjects = grown(new Int32Array(capacity), this.#subjects);
  }
}
