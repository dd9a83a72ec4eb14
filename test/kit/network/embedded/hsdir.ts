/**
 * What a relay does as a hidden service directory (C tor's hs_cache.c): it keeps one descriptor for each blinded key,
 * after checking certificate, signature and size; takes only a higher revision; forgets by the descriptor's lifetime.
 */
import { checkOuter, readOuter, type OuterDescriptor } from '../../../../core/onion/descriptor/outer.ts';
import { maxDescriptorBytes } from '../../../../core/onion/index.ts';
import { remember } from '../../../../core/onion/remembered.ts';
import { DescriptorShelf, type Keepable } from '../rules/hsdir.ts';

/** HTTP status of an upload: taken, refused, not answered as it should be. */
export type UploadStatus = 200 | 400 | 503;

export interface FetchAnswer {
  readonly status: 200 | 404 | 503;
  readonly text?: string;
}

interface Stored extends Keepable {
  readonly text: string;
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

const readLast = new Map<string, OuterDescriptor>();
const mostRead = 16;

/** Throws for what is no descriptor. One text goes to many directories: what was read last is not read again. */
export function outerOf(text: string): OuterDescriptor {
  const known = readLast.get(text);
  if (known !== undefined) return known;
  return remember(readLast, text, readOuter(text, maxDescriptorBytes), mostRead);
}

export class HsdirStore {
  readonly faults: HsdirFaults = {
    rejectsUploads: false,
    deniesFetches: false,
    overloaded: false,
    silent: false,
    delayMs: 0,
  };
  readonly #stored = new DescriptorShelf<Stored>();

  /** `now` in unix seconds. */
  store(text: string, now: number): UploadStatus {
    if (this.faults.overloaded) return 503;
    if (this.faults.rejectsUploads) return 400;
    try {
      const outer = outerOf(text);
      checkOuter(outer, now);
      const key = Buffer.from(outer.blindedKey).toString('hex');
      const { revision, lifetimeMinutes } = outer;
      const stored = this.#stored.store(key, { text, revision, lifetimeSeconds: lifetimeMinutes * 60 }, now);
      return stored ? 200 : 400;
    } catch {
      return 400;
    }
  }

  fetch(blindedKey: Uint8Array, now: number): FetchAnswer {
    if (this.faults.overloaded) return { status: 503 };
    const found = this.#stored.get(Buffer.from(blindedKey).toString('hex'), now);
    return found === undefined || this.faults.deniesFetches ? { status: 404 } : { status: 200, text: found.text };
  }

  /** A restart of the relay: descriptors live in memory only. */
  forget(): void {
    this.#stored.clear();
  }

  get size(): number {
    return this.#stored.size;
  }
}
