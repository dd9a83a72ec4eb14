/** A tor's way to its network, which DisableNetwork closes: circuits break, and what needs one waits for it. */
export class Uplink {
  #open: boolean;
  #waiting: (() => void)[] = [];

  constructor(open: boolean) {
    this.#open = open;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Does `work` now, or as soon as the way is open again. */
  when(work: () => void): void {
    if (this.#open) work();
    else this.#waiting.push(work);
  }

  /** True when that is a change. */
  set(open: boolean): boolean {
    if (open === this.#open) return false;
    this.#open = open;
    if (open) for (const work of this.#waiting.splice(0)) work();
    return true;
  }
}
