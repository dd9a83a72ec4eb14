/**
 * What this node says of itself: its records, its presence (where it is, which records it has, that it leaves), its leases while it
 * leads. It alone signs them, each time with a later version; a word that it were dead or an older self is answered so.
 */
import type { Json, NodeIdentity } from '../../core/engine/index.ts';
import { ChimeraError } from '../../core/errors.ts';
import type { Clock, Log, Random, Timer } from '../../core/runtime/index.ts';
import type { Book } from './book.ts';
import { createCopies } from './copies.ts';
import { carriedForMs } from './leads.ts';
import { maximumInlineBytes, type EntryKey, type Message } from './message.ts';
import {
  isEndpoint,
  isKind,
  maximumKinds,
  maximumRecordBytes,
  presenceKind,
  signLease,
  verifyRecord,
  type Lease,
  type SignedRecord,
} from './record.ts';

/** A change is told this much later, so that several go out together. */
const soonMs = 5;
/**
 * So far above a later life that it hears of a life goes at most, milliseconds as all incarnations: two that hear of the same one, of
 * which neither knows the other, would otherwise say different things under the same version, and nobody could tell which is the later.
 */
const riseMs = 65_536;
/** A leader that is asked says so by a fresh lease, unless it has a moment ago. */
const freshLeaseMs = 100;

export interface Voice {
  /** Takes a record of this node; false when it is what was said already. Throws MESH_RECORD or MESH_TOO_LARGE. */
  publish(kind: string, value: Json): boolean;
  /** Signs what has changed and says it; from the start on. */
  say(): void;
  /** The last words. */
  leave(): void;
  /** A later life than this one's is known: perhaps the clock was set back, perhaps somebody runs a copy of this node. */
  outlived(incarnation: number): void;
  /** True when the word is about this node: it answers with a later presence. */
  refuted(key: Pick<EntryKey, 'node' | 'incarnation' | 'version'>): boolean;
  /** Looks at a record that names this node as its owner. */
  own(record: SignedRecord): void;
  leading: boolean;
  /** A new lease. */
  lease(): Lease;
  /** The lease to show when asked, fresh while it leads; undefined when it has not led for long. */
  shown(): Message | undefined;
  close(): void;
}

export function createVoice(options: {
  readonly book: Book;
  readonly identity: NodeIdentity;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly endpoints: () => readonly string[];
  /** Says it to all who should hear it first. */
  readonly tell: (messages: readonly Message[]) => void;
  readonly spread: (key: string, message: Message) => void;
}): Voice {
  const { book, identity, clock, random, log, endpoints, tell, spread } = options;
  const self = identity.node;
  const said = new Map<string, { readonly version: number; readonly text: string; readonly bytes: Uint8Array }>();
  const fresh = new Set<string>();
  let presenceVersion = 0;
  let leaving = false;
  let leading = false;
  let sequence = 0;
  let issued: { readonly lease: Lease; readonly atMs: number } | undefined;
  let timer: Timer | undefined;
  const copies = createCopies({ clock, log, node: self });

  const presence = (): Buffer => {
    const value = {
      endpoints: endpoints().filter(isEndpoint),
      kinds: [...said.keys()],
      ...(leaving ? { left: true } : {}),
    };
    return Buffer.from(JSON.stringify(value), 'utf8');
  };

  const say = (): void => {
    timer?.cancel();
    timer = undefined;
    const messages: Message[] = [];
    for (const kind of fresh) {
      const record = said.get(kind);
      if (kind === presenceKind) book.publish(presenceKind, ++presenceVersion, presence());
      else if (record !== undefined) book.publish(kind, record.version, record.bytes);
      const message = book.messageOf({ node: self, kind });
      if (message === undefined) continue;
      messages.push(message);
      spread(`${self} ${kind}`, message);
    }
    fresh.clear();
    if (messages.length > 0) tell(messages);
  };
  const soon = (...kinds: readonly string[]): void => {
    for (const kind of kinds) fresh.add(kind);
    timer ??= clock.after(soonMs, say);
  };

  let latest = -1;
  const rise = (): void => {
    if (latest < book.incarnation) return;
    book.incarnation = latest + 1 + random.int(riseMs);
    log.warn('the others remember a later life of this node', { node: self });
    sequence = 0;
    soon(presenceKind, ...said.keys());
  };
  const outlived = (incarnation: number): void => {
    if (incarnation < book.incarnation) return;
    latest = Math.max(latest, incarnation);
    copies.heardOf(rise);
  };

  const lease = (): Lease => {
    const fields = { node: self, incarnation: book.incarnation, sequence: ++sequence, leading };
    issued = { lease: signLease(identity, book.roster.cluster, fields), atMs: clock.monotonic() };
    return issued.lease;
  };

  return {
    publish: (kind, value) => {
      const text = JSON.stringify(value);
      const known = said.get(kind);
      if (known?.text === text) return false;
      const bytes = Buffer.from(text, 'utf8');
      if (!isKind(kind) || kind === presenceKind) {
        throw new ChimeraError('MESH_RECORD', `${JSON.stringify(kind)} is no kind of record`);
      }
      if (known === undefined && said.size >= maximumKinds) {
        throw new ChimeraError('MESH_RECORD', `the record ${kind} is one kind too many; ${maximumKinds} are the most`);
      }
      if (bytes.length > maximumRecordBytes) {
        throw new ChimeraError(
          'MESH_TOO_LARGE',
          `the record ${kind} has ${bytes.length} bytes; ${maximumRecordBytes} are the most`,
        );
      }
      const version = (known?.version ?? 0) + 1;
      said.set(kind, { version, text, bytes });
      if (known === undefined) fresh.add(presenceKind);
      // Here it counts at once.
      book.publish(kind, version, bytes);
      soon(kind);
      return true;
    },
    say: () => {
      fresh.add(presenceKind);
      say();
    },
    leave: () => {
      leaving = true;
      // All that is small, whether it is known or not, the smallest next to the presence: of datagrams on their way the last may
      // arrive first, and what is said of a node that has left is no longer listened to.
      const small = [...said].filter(([, { bytes }]) => bytes.length <= maximumInlineBytes);
      fresh.clear();
      for (const [kind] of small.sort(([, a], [, b]) => b.bytes.length - a.bytes.length)) fresh.add(kind);
      fresh.delete(presenceKind);
      fresh.add(presenceKind);
      say();
    },
    outlived,
    refuted: ({ node, incarnation, version }) => {
      if (node !== self) return false;
      if (incarnation > book.incarnation) {
        // Anybody can say so, and nobody has to prove it: it is refuted at once.
        latest = Math.max(latest, incarnation);
        rise();
      } else if (incarnation === book.incarnation && version >= presenceVersion) {
        presenceVersion = version;
        soon(presenceKind);
      }
      return true;
    },
    own: (record) => {
      const { kind, incarnation, version } = record;
      const mine = kind === presenceKind ? presenceVersion : (said.get(kind)?.version ?? 0);
      const later = incarnation === book.incarnation && version > mine;
      if (incarnation <= book.incarnation && !later) return;
      if (verifyRecord(book.roster.cluster, identity.keys.signing, record)) outlived(incarnation);
    },
    get leading() {
      return leading;
    },
    set leading(now) {
      leading = now;
    },
    lease,
    shown: () => {
      if (issued === undefined) return undefined;
      if (!leading && clock.monotonic() - issued.atMs > carriedForMs) return undefined;
      if (leading && clock.monotonic() - issued.atMs > freshLeaseMs) lease();
      return { type: 'lease', lease: issued.lease, ageMs: clock.monotonic() - issued.atMs };
    },
    close: () => {
      timer?.cancel();
      copies.close();
    },
  };
}
