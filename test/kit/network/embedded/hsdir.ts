/**
 * What a relay does as a hidden service directory (C tor's hs_cache.c): it keeps one descriptor for each blinded key,
 * after checking certificate, signature and size; takes only a higher revision; forgets by the descriptor's lifetime.
 */
import { maxDescriptorBytes, verifyOuter } from '../../../../core/onion/index.ts';

/** HTTP status of an upload: taken, refused, not answered as it should be. */
export type UploadStatus = 200 | 400 | 503;

export interface FetchAnswer {
  readonly status: 200 | 404 | 503;
  readonly text?: string;
}

interface Stored {
  readonly text: string;
  readonly revision: bigint;
  readonly storedAt: number;
  readonly lifetimeSeconds: number;
}

/** Faults that a test can give to a directory. */
export interface HsdirFaults {
  /** Answers every upload with 400. */
  rejectsUploads: boolean;
  /** Answers every fetch with 404 although it has the descriptor. */
  deniesFetches: boolean;
  /** Answers everything with 503. */
  overloaded: boolean;
  /** Never answers. */
  silent: boolean;
  /** Added to every answer, milliseconds. */
  delayMs: number;
}

export class HsdirStore {
  readonly faults: HsdirFaults = {
    rejectsUploads: false,
    deniesFetches: false,
    overloaded: false,
    silent: false,
    delayMs: 0,
  };
  readonly #stored = new Map<string, Stored>();

  /** `now` in unix seconds. */
  store(text: string, now: number): UploadStatus {
    if (this.faults.overloaded) return 503;
    if (this.faults.rejectsUploads) return 400;
    try {
      const outer = verifyOuter(text, { now, maxBytes: maxDescriptorBytes });
      const key = Buffer.from(outer.blindedKey).toString('hex');
      const known = this.#current(key, now);
      if (known !== undefined && known.revision >= outer.revision) return 400;
      this.#stored.set(key, {
        text,
        revision: outer.revision,
        storedAt: now,
        lifetimeSeconds: outer.lifetimeMinutes * 60,
      });
      return 200;
    } catch {
      return 400;
    }
  }

  fetch(blindedKey: Uint8Array, now: number): FetchAnswer {
    if (this.faults.overloaded) return { status: 503 };
    const found = this.#current(Buffer.from(blindedKey).toString('hex'), now);
    return found === undefined || this.faults.deniesFetches ? { status: 404 } : { status: 200, text: found.text };
  }

  /** A restart of the relay: descriptors live in memory only. */
  forget(): void {
    this.#stored.clear();
  }

  get size(): number {
    return this.#stored.size;
  }

  #current(key: string, now: number): Stored | undefined {
    const found = this.#stored.get(key);
    if (found === undefined || now - found.storedAt < found.lifetimeSeconds) return found;
    this.#stored.delete(key);
    return undefined;
  }
}
