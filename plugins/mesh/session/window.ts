/** Which counters of a session have been seen: each is taken once, in any order within the last 1,024 (RFC 6479's idea). */

export const windowEntries = 1_024;

export class ReplayWindow {
  readonly #seen = new Uint32Array(windowEntries / 32);
  #next = 0;

  /** True when the counter is not too old and has not been taken. */
  fresh(counter: number): boolean {
    if (counter >= this.#next) return true;
    return counter >= this.#next - windowEntries && !this.#has(counter);
  }

  /** Marks a counter as seen, once what it came with has proven genuine. False when it was not fresh. */
  take(counter: number): boolean {
    if (!this.fresh(counter)) return false;
    if (counter >= this.#next) {
      const passed = counter - this.#next;
      if (passed >= windowEntries) this.#seen.fill(0);
      else for (let between = this.#next; between < counter; between++) this.#clear(between);
      this.#next = counter + 1;
    }
    const place = counter % windowEntries;
    this.#seen[place >>> 5] = (this.#seen[place >>> 5] as number) | (1 << (place & 31));
    return true;
  }

  #has(counter: number): boolean {
    const place = counter % windowEntries;
    return ((this.#seen[place >>> 5] as number) & (1 << (place & 31))) !== 0;
  }

  #clear(counter: number): void {
    const place = counter % windowEntries;
    this.#seen[place >>> 5] = (this.#seen[place >>> 5] as number) & ~(1 << (place & 31));
  }
}
