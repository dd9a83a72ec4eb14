/**
 * What members say to each other inside a session: a datagram's content is a row of messages, each with its type and length.
 * Reading is total: any bytes give messages or undefined; a type that is not known is skipped.
 *
 *   ping, ack            are you there; the ack repeats the nonce
 *   probe, probed        ask another to look; it says when it heard that one last
 *   suspicion            somebody does not answer; whoever knows better says so
 *   lease                the leader's sign of life, passed on
 *   digest … listing     do we hold the same; which do you hold
 *   want, record, admission, removal, death   give me these; here they are
 *   pull, piece          the larger ones, piece by piece
 *   ask, answer          questions of PeerChannel
 */
import {
  encodeAdmission,
  encodeRemoval,
  putLease,
  putRecord,
  readAdmission,
  readLease,
  readNode,
  readRecord,
  readRemoval,
  type Admission,
  type Lease,
  type Removal,
  type SignedRecord,
} from './record.ts';
import { decoded, Reader, Writer } from './wire.ts';

export const messageTypes = {
  ping: 1,
  ack: 2,
  probe: 3,
  probed: 4,
  suspicion: 5,
  lease: 6,
  digest: 7,
  summary: 8,
  listing: 9,
  want: 10,
  record: 11,
  admission: 12,
  removal: 13,
  death: 14,
  pull: 15,
  piece: 16,
  ask: 17,
  answer: 18,
} as const;

export const messageHeaderBytes = 3;
export const digestBytes = 8;
export const bucketCount = 64;
export const bucketBytes = 4;
/** A piece's body, but for the last one. */
export const pieceBytes = 1_024;
/** Pieces asked for at a time. */
export const maximumPulled = 16;
/** Entries of one listing or want. */
export const maximumListed = 20;
/** Values up to this size travel with their record. */
export const maximumInlineBytes = 640;
/** What a question or an answer carries at once; the rest is pulled. */
export const maximumInlineQuestionBytes = 1_000;
export const maximumQuestionBytes = 65_536;
const maximumAgeMs = 2 ** 32 - 1;

/** Names an entry that every member should hold. Kinds beside those of records: `+` an admission, `-` a removal, `!` a death. */
export interface EntryKey {
  readonly node: string;
  readonly kind: string;
  readonly incarnation: number;
  readonly version: number;
}

/** `node` did not answer in this life, and did not refute it; a presence record of a later version does. */
export interface Death {
  readonly node: string;
  readonly incarnation: number;
  readonly version: number;
}

export interface Suspicion extends Death {
  /** How long ago the accuser heard it last. */
  readonly ageMs: number;
  readonly accuser: string;
}

export type Message =
  | { readonly type: 'ping'; readonly nonce: number }
  | { readonly type: 'ack'; readonly nonce: number; readonly wallMs: number }
  | { readonly type: 'probe'; readonly nonce: number; readonly node: string }
  | { readonly type: 'probed'; readonly nonce: number; readonly node: string; readonly ageMs: number }
  | { readonly type: 'suspicion'; readonly suspicion: Suspicion }
  | { readonly type: 'lease'; readonly lease: Lease; readonly ageMs: number }
  | { readonly type: 'digest'; readonly digest: Uint8Array }
  | { readonly type: 'summary'; readonly buckets: Uint8Array }
  | { readonly type: 'listing' | 'want'; readonly keys: readonly EntryKey[] }
  | { readonly type: 'record'; readonly record: SignedRecord; readonly value: Uint8Array | undefined }
  | { readonly type: 'admission'; readonly admission: Admission }
  | { readonly type: 'removal'; readonly removal: Removal }
  | { readonly type: 'death'; readonly death: Death }
  | { readonly type: 'pull'; readonly blob: string; readonly indexes: readonly number[] }
  | {
      readonly type: 'piece';
      readonly blob: string;
      readonly total: number;
      readonly index: number;
      readonly body: Uint8Array;
    }
  | {
      readonly type: 'ask';
      readonly id: number;
      readonly topic: string;
      readonly total: number;
      readonly start: Uint8Array;
    }
  | {
      readonly type: 'answer';
      readonly id: number;
      readonly refused: boolean;
      readonly total: number;
      readonly start: Uint8Array;
    };

export const topicPattern = /^[a-z][a-z-]{0,31}$/;
const blobPattern = /^[a-z0-9:-]{1,96}$/;
const entryKindPattern = /^(?:[a-z][a-z-]{0,31}|[+!-])$/;

const age = (ageMs: number): number => Math.min(maximumAgeMs, Math.max(0, Math.round(ageMs)));

function writeBody(writer: Writer, message: Message): Writer {
  switch (message.type) {
    case 'ping':
      return writer.u32(message.nonce);
    case 'ack':
      return writer.u32(message.nonce).u48(message.wallMs);
    case 'probe':
      return writer.u32(message.nonce).fixed(message.node);
    case 'probed':
      return writer.u32(message.nonce).fixed(message.node).u32(age(message.ageMs));
    case 'suspicion': {
      const { node, incarnation, version, ageMs, accuser } = message.suspicion;
      return writer.fixed(node).u48(incarnation).u48(version).u32(age(ageMs)).fixed(accuser);
    }
    case 'lease':
      return putLease(writer, message.lease).u32(age(message.ageMs));
    case 'digest':
      return writer.bytes(message.digest);
    case 'summary':
      return writer.bytes(message.buckets);
    case 'listing':
    case 'want':
      writer.u8(message.keys.length);
      for (const { node, kind, incarnation, version } of message.keys) {
        writer.fixed(node).text(kind).u48(incarnation).u48(version);
      }
      return writer;
    case 'record':
      putRecord(writer, message.record);
      return message.value === undefined ? writer : writer.bytes(message.value);
    case 'admission':
      return writer.bytes(encodeAdmission(message.admission));
    case 'removal':
      return writer.bytes(encodeRemoval(message.removal));
    case 'death':
      return writer.fixed(message.death.node).u48(message.death.incarnation).u48(message.death.version);
    case 'pull':
      writer.text(message.blob).u8(message.indexes.length);
      for (const index of message.indexes) writer.u16(index);
      return writer;
    case 'piece':
      return writer.text(message.blob).u32(message.total).u16(message.index).bytes(message.body);
    case 'ask':
      return writer.u32(message.id).text(message.topic).u32(message.total).bytes(message.start);
    default:
      return writer.u32(message.id).u8(Number(message.refused)).u32(message.total).bytes(message.start);
  }
}

/** One message with its header. */
export function writeMessage(writer: Writer, message: Message): void {
  writer.u8(messageTypes[message.type]).sized(() => writeBody(writer, message));
}

/** One message with its header. */
export function encodeMessage(message: Message): Buffer {
  const writer = new Writer();
  writeMessage(writer, message);
  return writer.done();
}

function readKeys(reader: Reader): EntryKey[] {
  const count = reader.u8();
  reader.require(count <= maximumListed, undefined);
  return Array.from({ length: count }, () => ({
    node: readNode(reader),
    kind: reader.text(entryKindPattern),
    incarnation: reader.u48(),
    version: reader.u48(),
  }));
}

function readValue(reader: Reader, { length }: SignedRecord): Uint8Array | undefined {
  if (reader.left === 0) return undefined;
  return reader.bytes(reader.require(length <= maximumInlineBytes, length));
}

function readTotal(reader: Reader, start: number): { total: number; start: Uint8Array } {
  const total = reader.u32();
  const rest = reader.rest();
  const expected = Math.min(total, start);
  return { total: reader.require(total <= maximumQuestionBytes && rest.length === expected, total), start: rest };
}

const readers: { readonly [Type in Message['type']]: (reader: Reader) => Message } = {
  ping: (reader) => ({ type: 'ping', nonce: reader.u32() }),
  ack: (reader) => ({ type: 'ack', nonce: reader.u32(), wallMs: reader.u48() }),
  probe: (reader) => ({ type: 'probe', nonce: reader.u32(), node: readNode(reader) }),
  probed: (reader) => ({ type: 'probed', nonce: reader.u32(), node: readNode(reader), ageMs: reader.u32() }),
  suspicion: (reader) => ({
    type: 'suspicion',
    suspicion: {
      node: readNode(reader),
      incarnation: reader.u48(),
      version: reader.u48(),
      ageMs: reader.u32(),
      accuser: readNode(reader),
    },
  }),
  lease: (reader) => ({ type: 'lease', lease: readLease(reader), ageMs: reader.u32() }),
  digest: (reader) => ({ type: 'digest', digest: reader.bytes(digestBytes) }),
  summary: (reader) => ({ type: 'summary', buckets: reader.bytes(bucketCount * bucketBytes) }),
  listing: (reader) => ({ type: 'listing', keys: readKeys(reader) }),
  want: (reader) => ({ type: 'want', keys: readKeys(reader) }),
  record: (reader) => {
    const record = readRecord(reader);
    return { type: 'record', record, value: readValue(reader, record) };
  },
  admission: (reader) => ({ type: 'admission', admission: readAdmission(reader) }),
  removal: (reader) => ({ type: 'removal', removal: readRemoval(reader) }),
  death: (reader) => ({
    type: 'death',
    death: { node: readNode(reader), incarnation: reader.u48(), version: reader.u48() },
  }),
  pull: (reader) => {
    const blob = reader.text(blobPattern);
    const count = reader.u8();
    reader.require(count <= maximumPulled, undefined);
    return { type: 'pull', blob, indexes: Array.from({ length: count }, () => reader.u16()) };
  },
  piece: (reader) => {
    const blob = reader.text(blobPattern);
    const total = reader.u32();
    const index = reader.u16();
    const bytes = reader.rest();
    const expected = Math.min(pieceBytes, total - index * pieceBytes);
    return {
      type: 'piece',
      blob,
      total,
      index,
      body: reader.require(bytes.length > 0 && bytes.length === expected, bytes),
    };
  },
  ask: (reader) => {
    const id = reader.u32();
    const topic = reader.text(topicPattern);
    return { type: 'ask', id, topic, ...readTotal(reader, maximumInlineQuestionBytes) };
  },
  answer: (reader) => {
    const id = reader.u32();
    const refused = reader.u8();
    reader.require(refused <= 1, undefined);
    return { type: 'answer', id, refused: refused === 1, ...readTotal(reader, maximumInlineQuestionBytes) };
  },
};

const typesByNumber = new Map<number, Message['type']>(
  Object.entries(messageTypes).map(([name, number]) => [number, name as Message['type']]),
);

/** The messages of a datagram's content; undefined when any of them is malformed. */
export function decodeContent(content: Uint8Array): Message[] | undefined {
  return decoded(content, (reader) => {
    const messages: Message[] = [];
    while (reader.left > 0) {
      const type = typesByNumber.get(reader.u8());
      const bytes = reader.bytes(reader.u16());
      const message = type === undefined ? undefined : decoded(bytes, readers[type]);
      if (type !== undefined) messages.push(reader.require(message !== undefined, message as Message));
    }
    return messages;
  });
}
