/**
 * What every member should hold, and how two compare what they hold: records, admissions, removals, deaths, each under a key and a hash,
 * summed up in 64 buckets and one digest. The same entries give the same digest, in whatever order they came.
 */
import { createHash } from 'node:crypto';
import type { Json } from '../../core/engine/index.ts';
import { ascii } from '../../core/onion/bytes.ts';
import { bucketCount, digestBytes, type EntryKey } from './message.ts';
import type { SignedRecord } from './record.ts';

export interface Entry extends EntryKey {
  /** The record, for entries that are one; its bytes and value once they are here. */
  readonly record?: SignedRecord;
  readonly bytes?: Uint8Array;
  readonly value?: Json;
}

/** A member's records together may have so many bytes … */
const maximumMemberBytes = 1_048_576;
/** … and all of them so many. */
const maximumStoredBytes = 67_108_864;

function compareHash(a: Entry, b: Entry): number {
  return Buffer.compare(a.record?.hash ?? Buffer.alloc(0), b.record?.hash ?? Buffer.alloc(0));
}

type Version = Pick<EntryKey, 'incarnation' | 'version'>;

/** True when `a` comes after `b` in its owner's life. */
export function later(a: Version, b: Version): boolean {
  return a.incarnation > b.incarnation || (a.incarnation === b.incarnation && a.version > b.version);
}

/** True when `a` replaces `b`. Of two values under one version, which no honest owner makes, all settle on the same. */
export function replaces(a: Entry, b: Entry | undefined): boolean {
  if (b === undefined || later(a, b)) return true;
  return !later(b, a) && compareHash(a, b) > 0;
}

/** An entry's hash, its first two words. Counted in when it comes and out when it goes. */
const hashes = new WeakMap<Entry, readonly [number, number]>();

function hashOfEntry(entry: Entry): readonly [number, number] {
  let words = hashes.get(entry);
  if (words === undefined) {
    const { node, kind, incarnation, version, record } = entry;
    const sum = createHash('sha256').update(`${node} ${kind} ${incarnation} ${version} `);
    if (record !== undefined) sum.update(record.hash);
    const digest = sum.digest();
    words = [digest.readUInt32BE(0), digest.readUInt32BE(4)];
    hashes.set(entry, words);
  }
  return words;
}

export class Entries {
  readonly #byNode = new Map<string, Map<string, Entry>>();
  readonly #bucketOf = new Map<string, number>();
  /** Two words a bucket: the exclusive or of its entries' hashes. */
  readonly #sums = new Uint32Array(2 * bucketCount);
  /** The exclusive or of all entries' hashes. */
  readonly #all = new Uint32Array(2);
  readonly #bytesOf = new Map<string, number>();
  readonly #changes = new Map<string, number>();
  #stored = 0;
  /** Until the next change. */
  #digest: Buffer | undefined;

  get(node: string, kind: string): Entry | undefined {
    return this.#byNode.get(node)?.get(kind);
  }

  of(node: string): readonly Entry[] {
    return [...(this.#byNode.get(node)?.values() ?? [])];
  }

  nodes(): Iterable<string> {
    return this.#byNode.keys();
  }

  /** Grows whenever an entry of the kind comes or goes. */
  changesOf(kind: string): number {
    return this.#changes.get(kind) ?? 0;
  }

  get storedBytes(): number {
    return this.#stored;
  }

  /** True when it may be taken: a record must fit into its owner's share and into the whole. */
  fits(entry: Entry, length: number): boolean {
    const before = this.get(entry.node, entry.kind)?.bytes?.length ?? 0;
    const owned = (this.#bytesOf.get(entry.node) ?? 0) - before + length;
    return owned <= maximumMemberBytes && this.#stored - before + length <= maximumStoredBytes;
  }

  /** Puts it in the place of the one under its node and kind. */
  put(entry: Entry): void {
    this.delete(entry.node, entry.kind);
    let kinds = this.#byNode.get(entry.node);
    if (kinds === undefined) {
      kinds = new Map();
      this.#byNode.set(entry.node, kinds);
    }
    kinds.set(entry.kind, entry);
    this.#count(entry, entry.bytes?.length ?? 0);
  }

  delete(node: string, kind: string): void {
    const kinds = this.#byNode.get(node);
    const entry = kinds?.get(kind);
    if (kinds === undefined || entry === undefined) return;
    kinds.delete(kind);
    if (kinds.size === 0) this.#byNode.delete(node);
    this.#count(entry, -(entry.bytes?.length ?? 0));
  }

  #count(entry: Entry, bytes: number): void {
    this.#stored += bytes;
    this.#digest = undefined;
    this.#bytesOf.set(entry.node, (this.#bytesOf.get(entry.node) ?? 0) + bytes);
    const at = 2 * this.#bucket(entry.node);
    this.#changes.set(entry.kind, this.changesOf(entry.kind) + 1);
    const words = hashOfEntry(entry);
    for (const word of [0, 1] as const) {
      const part = words[word];
      this.#sums[at + word] = (this.#sums[at + word] as number) ^ part;
      this.#all[word] = (this.#all[word] as number) ^ part;
    }
  }

  #bucket(node: string): number {
    let bucket = this.#bucketOf.get(node);
    if (bucket === undefined) {
      bucket = (createHash('sha256').update(ascii(node)).digest()[0] as number) % bucketCount;
      this.#bucketOf.set(node, bucket);
    }
    return bucket;
  }

  /** Equal when the entries are. */
  digest(): Buffer {
    if (this.#digest === undefined) {
      this.#digest = Buffer.alloc(digestBytes);
      for (const word of [0, 1]) this.#digest.writeUInt32BE(this.#all[word] as number, 4 * word);
    }
    return this.#digest;
  }

  /** Four bytes a bucket. */
  summary(): Buffer {
    const summary = Buffer.alloc(4 * bucketCount);
    for (let bucket = 0; bucket < bucketCount; bucket++)
      summary.writeUInt32BE(this.#sums[2 * bucket] as number, 4 * bucket);
    return summary;
  }

  /** What is here in the buckets that differ from those of another's summary. */
  differing(summary: Uint8Array): EntryKey[] {
    const theirs = Buffer.from(summary.buffer, summary.byteOffset, summary.length);
    const wanted = new Set<number>();
    for (let bucket = 0; bucket < bucketCount; bucket++)
      if (theirs.readUInt32BE(4 * bucket) !== this.#sums[2 * bucket]) wanted.add(bucket);
    const found: EntryKey[] = [];
    for (const [node, kinds] of this.#byNode) {
      if (!wanted.has(this.#bucket(node))) continue;
      for (const { kind, incarnation, version } of kinds.values()) found.push({ node, kind, incarnation, version });
    }
    return found;
  }
}
