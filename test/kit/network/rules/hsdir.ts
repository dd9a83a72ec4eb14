/**
 * What an HSDir keeps (hs_cache.c): one descriptor for each blinded key, a higher revision only, until its lifetime is over.
 * Pure, whatever a descriptor is: the embedded network and the attack simulator share it. Times are unix seconds.
 */

export interface Keepable {
  readonly revision: bigint | number;
  readonly lifetimeSeconds: number;
}

export class DescriptorShelf<Kept extends Keepable> {
  readonly #kept = new Map<string, { readonly item: Kept; readonly storedAt: number }>();

  /** False when what is there has the same or a higher revision. */
  store(blindedKey: string, item: Kept, now: number): boolean {
    const known = this.get(blindedKey, now);
    if (known !== undefined && known.revision >= item.revision) return false;
    this.#kept.set(blindedKey, { item, storedAt: now });
    return true;
  }

  get(blindedKey: string, now: number): Kept | undefined {
    const found = this.#kept.get(blindedKey);
    if (found === undefined || now - found.storedAt < found.item.lifetimeSeconds) return found?.item;
    this.#kept.delete(blindedKey);
    return undefined;
  }

  clear(): void {
    this.#kept.clear();
  }

  get size(): number {
    return this.#kept.size;
  }
}
