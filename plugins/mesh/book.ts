/**
 * What this node holds, and what it takes: every entry is verified against the roster before it counts. Nothing of a node that is not
 * admitted is taken, and nothing ever again of one that was removed.
 */
import * as v from 'valibot';
import type { ClusterRecord, Json, MeshChange, NodeIdentity } from '../../core/engine/index.ts';
import { Entries, later, replaces, type Entry } from './entries.ts';
import { maximumInlineBytes, type Death, type EntryKey, type Message } from './message.ts';
import type { Members } from './members.ts';
import {
  admittedNode,
  hashOf,
  isEndpoint,
  isKind,
  maximumEndpoints,
  maximumKinds,
  presenceKind,
  signRecord,
  verifyRecord,
  type Admission,
  type Removal,
  type SignedRecord,
} from './record.ts';
import type { MemberRoster, Taken } from './roster.ts';

const presenceValue = v.object({
  endpoints: v.fallback(v.pipe(v.array(v.pipe(v.string(), v.check(isEndpoint))), v.maxLength(maximumEndpoints)), []),
  kinds: v.fallback(v.pipe(v.array(v.pipe(v.string(), v.check(isKind))), v.maxLength(maximumKinds)), []),
  left: v.fallback(v.boolean(), false),
});
export type Presence = v.InferOutput<typeof presenceValue>;

const maximumLists = 16;
const nothing: Presence = { endpoints: [], kinds: [], left: false };

/** What became of a record: `wanted` when its value is still to be pulled. */
export type TakenRecord = Taken | 'wanted';

export function parseJson(bytes: Uint8Array): Json | undefined {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json;
  } catch {
    return undefined;
  }
}

export const blobOf = ({ node, kind, incarnation, version }: EntryKey): string =>
  `r:${node}:${kind}:${incarnation}:${version}`;

/** An admission or a removal: its key is the same whoever signed it. */
const rosterEntry = (node: string, kind: '+' | '-'): Entry => ({ node, kind, incarnation: 0, version: 1 });

/** The same entry for all who share a roster, as the nodes of a simulation do. */
const admitted = new WeakMap<Admission, Entry>();

function admissionEntry(admission: Admission): Entry {
  let entry = admitted.get(admission);
  if (entry === undefined) admitted.set(admission, (entry = rosterEntry(admittedNode(admission), '+')));
  return entry;
}

export class Book {
  readonly identity: NodeIdentity;
  readonly roster: MemberRoster;
  readonly members: Members;
  readonly entries = new Entries();
  readonly #lists = new Map<string, { readonly state: string; readonly records: readonly ClusterRecord[] }>();
  /** This node's life. */
  incarnation: number;

  constructor(identity: NodeIdentity, roster: MemberRoster, members: Members, incarnation: number) {
    this.identity = identity;
    this.roster = roster;
    this.members = members;
    this.incarnation = incarnation;
    this.rosterChanged();
  }

  get self(): string {
    return this.identity.node;
  }

  /** Puts the roster's entries among the others. */
  rosterChanged(): void {
    for (const admission of this.roster.admissions()) this.#keep(admissionEntry(admission));
    for (const { node } of this.roster.removals()) {
      for (const { kind } of this.entries.of(node)) if (kind !== '+') this.entries.delete(node, kind);
      this.#keep(rosterEntry(node, '-'));
    }
  }

  #keep(entry: Entry): void {
    if (this.entries.get(entry.node, entry.kind) === undefined) this.entries.put(entry);
  }

  presence(node: string): Presence | undefined {
    const entry = this.entries.get(node, presenceKind);
    if (entry?.value === undefined) return undefined;
    const result = v.safeParse(presenceValue, entry.value);
    return result.success ? result.output : nothing;
  }

  admit(admission: Admission): Taken {
    const taken = this.roster.admit(admission);
    if (taken === 'new') this.rosterChanged();
    return taken;
  }

  remove(removal: Removal, nowMs: number, changes: MeshChange[]): Taken {
    const taken = this.roster.remove(removal);
    if (taken !== 'new') return taken;
    this.members.remove(removal.node, changes, nowMs);
    this.rosterChanged();
    return taken;
  }

  /** Signs this node's own record and puts it in. */
  publish(kind: string, version: number, bytes: Uint8Array): Entry {
    const { self: node, incarnation } = this;
    const fields = { node, kind, incarnation, version, length: bytes.length, hash: hashOf(bytes) };
    const record = signRecord(this.identity, this.roster.cluster, fields);
    const entry: Entry = { node, kind, incarnation, version, record, bytes, value: parseJson(bytes) as Json };
    this.entries.put(entry);
    return entry;
  }

  /** Takes another's record. `value`: its bytes if they came along. */
  take(record: SignedRecord, value: Uint8Array | undefined, nowMs: number, changes: MeshChange[]): TakenRecord {
    const { node, kind, incarnation, version } = record;
    const keys = this.roster.get(node)?.keys;
    if (keys === undefined || node === this.self) return 'refused';
    const known = this.entries.get(node, kind);
    const entry: Entry = { node, kind, incarnation, version, record };
    if (!replaces(entry, known) || this.#isVoid(entry)) return 'known';
    const room =
      known !== undefined ||
      this.entries.of(node).filter(({ record: one }) => one !== undefined).length <= maximumKinds;
    if (!room || !this.entries.fits(entry, record.length)) return 'refused';
    if (!verifyRecord(this.roster.cluster, keys.signing, record)) return 'refused';
    if (value === undefined) return 'wanted';
    if (value.length !== record.length || !hashOf(value).equals(record.hash)) return 'refused';
    const json = parseJson(value);
    if (json === undefined) return 'refused';
    const own: SignedRecord = {
      ...record,
      hash: Uint8Array.from(record.hash),
      signature: Uint8Array.from(record.signature),
    };
    this.entries.put({ ...entry, record: own, bytes: Uint8Array.from(value), value: json });
    if (kind === presenceKind) this.#appeared(node, incarnation, version, nowMs, changes);
    changes.push({ node, what: 'record', kind });
    return 'new';
  }

  /** Takes another's record that is known to be genuine, later than what is here, and shared with whoever holds it. */
  adopt(entry: Entry, nowMs: number, changes: MeshChange[]): void {
    const { node, kind, incarnation, version } = entry;
    if (node === this.self || !this.roster.isMember(node) || !replaces(entry, this.entries.get(node, kind))) return;
    this.entries.put(entry);
    if (kind === presenceKind) {
      this.#appeared(node, incarnation, version, nowMs, changes);
      this.members.trust(node);
    }
    changes.push({ node, what: 'record', kind });
  }

  /** What a node does not have in its present life, by its own word, is not taken. */
  #isVoid({ node, kind, incarnation }: EntryKey): boolean {
    const life = this.entries.get(node, presenceKind);
    if (life === undefined || kind === presenceKind || life.incarnation <= incarnation) return false;
    return this.presence(node)?.kinds.includes(kind) !== true;
  }

  #appeared(node: string, incarnation: number, version: number, nowMs: number, changes: MeshChange[]): void {
    for (const entry of this.entries.of(node)) {
      if (entry.record === undefined || !this.#isVoid(entry)) continue;
      this.entries.delete(node, entry.kind);
      changes.push({ node, what: 'record', kind: entry.kind });
    }
    const left = this.presence(node)?.left ?? false;
    this.members.presence(node, incarnation, version, left, nowMs, changes);
    const death = this.entries.get(node, '!');
    if (death === undefined) return;
    if (later({ incarnation, version }, death)) this.entries.delete(node, '!');
    else this.members.die(node, `${node} is dead, as others found`, nowMs, changes);
  }

  /** A death that is about the life and version that this node knows, or a later one, and not known. */
  isNews(death: Death): boolean {
    const presence = this.entries.get(death.node, presenceKind);
    const known = this.entries.get(death.node, '!');
    if (!this.roster.isMember(death.node) || (known !== undefined && !later(death, known))) return false;
    return presence === undefined || !later(presence, death);
  }

  putDeath({ node, incarnation, version }: Death): void {
    this.entries.put({ node, kind: '!', incarnation, version });
  }

  /** The message that brings an entry to another; undefined when it is not here any more. */
  messageOf({ node, kind }: Pick<EntryKey, 'node' | 'kind'>): Message | undefined {
    if (kind === '+') {
      const admission = this.roster.admission(node);
      return admission === undefined ? undefined : { type: 'admission', admission };
    }
    if (kind === '-') {
      const removal = this.roster.removal(node);
      return removal === undefined ? undefined : { type: 'removal', removal };
    }
    const entry = this.entries.get(node, kind);
    if (entry === undefined) return undefined;
    if (kind === '!') return { type: 'death', death: { node, incarnation: entry.incarnation, version: entry.version } };
    const { record, bytes } = entry;
    if (record === undefined || bytes === undefined) return undefined;
    return { type: 'record', record, value: bytes.length <= maximumInlineBytes ? bytes : undefined };
  }

  /** What brings another all records of a node that are held here. */
  told(node: string): Message[] {
    return this.entries.of(node).flatMap((entry) => (entry.record && this.messageOf(entry)) ?? []);
  }

  /** True when another's entry is worth asking for. */
  lacks(key: EntryKey): boolean {
    const { node, kind } = key;
    if (node === this.self) return kind === '!' || (kind === presenceKind && key.incarnation > this.incarnation);
    if (kind === '+') return this.roster.admission(node) === undefined;
    if (kind === '-') return !this.roster.isRemoved(node);
    if (kind === '!') return this.isNews(key);
    const known = this.entries.get(node, kind);
    return (known === undefined || later(key, known)) && this.roster.isMember(node) && !this.#isVoid(key);
  }

  /** Of those that are not dead, sorted by node, and the same list as long as it is the same. */
  records(kind: string): readonly ClusterRecord[] {
    const state = `${this.entries.changesOf(kind)} ${this.members.changes}`;
    const known = this.#lists.get(kind);
    if (known?.state === state) return known.records;
    const found: ClusterRecord[] = [];
    for (const node of this.entries.nodes()) {
      const record = this.record(kind, node);
      if (record !== undefined) found.push(record);
    }
    const records = found.sort((a, b) => (a.node < b.node ? -1 : 1));
    // What is asked for is few kinds; of whatever else is asked nothing stays.
    if (this.#lists.size >= maximumLists) this.#lists.clear();
    this.#lists.set(kind, { state, records });
    return records;
  }

  /** One node's record, if that is not dead. */
  record(kind: string, node: string): ClusterRecord | undefined {
    const entry = this.entries.get(node, kind);
    if (entry?.value === undefined) return undefined;
    if (node !== this.self && (this.members.get(node)?.state ?? 'dead') === 'dead') return undefined;
    const { incarnation, version, value } = entry;
    return { node, kind, incarnation, version, value };
  }
}
