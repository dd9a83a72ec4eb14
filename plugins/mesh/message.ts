/**
 * The mesh's messages: one line of JSON, and for a piece of a record its bytes after the line feed. Reading is total: any
 * bytes give a message or undefined.
 *
 *   beacon  to everyone, every beacon interval: this is me, these are my records, and this is whom I have heard of
 *   ping    to one that is silent: answer with a beacon
 *   pull    to one: send me a piece of this record, from this offset
 *   piece   to one: that piece
 */
import * as v from 'valibot';
import { nodeId } from '../../core/config/schema.ts';
import type { Json } from '../../core/engine/index.ts';

export const wireVersion = 1;
export const maximumKinds = 8;
export const maximumHeard = 16;
/** A record's JSON in UTF-8 has at most this many bytes. */
export const maximumRecordBytes = 262_144;
/** Records up to this size go out with every beacon: a claim arrives in one hop, and a leaving node's last word with its good-bye. */
export const maximumSmallBytes = 96;
/** No more of them together. */
export const maximumSmallTotalBytes = 384;
/** No header is larger; what is left of a datagram carries a piece. */
export const maximumHeaderBytes = 384;
/** Larger than any transport's datagram. */
const maximumMessageBytes = 1_048_576;

const kindPattern = /^[a-z][a-z-]{0,31}$/;
const kind = v.pipe(v.string(), v.regex(kindPattern));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const size = v.pipe(whole, v.maxValue(maximumRecordBytes));
const versions = v.pipe(v.record(kind, whole), v.maxEntries(maximumKinds));
/** Ages beyond an hour are as good as an hour, and a node has seldom been heard of in the future. */
const age = v.pipe(v.number(), v.minValue(0), v.maxValue(3_600_000));

const heard = v.strictObject({ node: nodeId, incarnation: whole, sequence: whole, ageMs: age, versions });
const record = { node: nodeId, kind, incarnation: whole, version: whole, offset: size };
const v1 = v.literal(wireVersion);

const header = v.variant('type', [
  v.strictObject({
    v: v1,
    type: v.literal('beacon'),
    incarnation: whole,
    sequence: whole,
    versions,
    heard: v.pipe(v.array(heard), v.maxLength(maximumHeard)),
    /** Its small records themselves. */
    small: v.pipe(v.record(kind, v.unknown()), v.maxEntries(maximumKinds)),
    /** In a node's last beacon. */
    leaving: v.exactOptional(v.literal(true)),
  }),
  v.strictObject({ v: v1, type: v.literal('ping') }),
  v.strictObject({ v: v1, type: v.literal('pull'), ...record }),
  v.strictObject({ v: v1, type: v.literal('piece'), ...record, total: v.pipe(size, v.minValue(1)) }),
]);

export type Heard = v.InferOutput<typeof heard>;
type Header = v.InferOutput<typeof header>;
export type Beacon = Omit<Extract<Header, { type: 'beacon' }>, 'v' | 'small'> & {
  readonly small: Readonly<Record<string, Json>>;
};
export type Pull = Omit<Extract<Header, { type: 'pull' }>, 'v'>;
export type Piece = Omit<Extract<Header, { type: 'piece' }>, 'v'> & { readonly body: Uint8Array };
export type Message = Beacon | { readonly type: 'ping' } | Pull | Piece;

export const isKind = (text: string): boolean => kindPattern.test(text);

export function encodeMessage(message: Message): Uint8Array {
  if (message.type !== 'piece') return Buffer.from(JSON.stringify({ v: wireVersion, ...message }), 'utf8');
  const { body, ...rest } = message;
  return Buffer.concat([Buffer.from(`${JSON.stringify({ v: wireVersion, ...rest })}\n`, 'utf8'), body]);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** The value of a record's bytes; undefined when they are no JSON. */
export function decodeValue(bytes: Uint8Array): Json | undefined {
  return parseJson(bytes) as Json | undefined;
}

/** Undefined when the bytes are no message of this version. */
export function decodeMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length > maximumMessageBytes) return undefined;
  const end = bytes.indexOf(0x0a);
  const result = v.safeParse(header, parseJson(end === -1 ? bytes : bytes.subarray(0, end)));
  if (!result.success) return undefined;
  const { v: _version, ...message } = result.output;
  // Only a piece has a body, and a body that would go beyond its record is none.
  if (message.type !== 'piece') return end === -1 ? (message as Message) : undefined;
  const body = end === -1 ? new Uint8Array() : bytes.subarray(end + 1);
  return body.length > 0 && message.offset + body.length <= message.total ? { ...message, body } : undefined;
}
