/**
 * The mesh's messages, as JSON. Reading is total: any bytes give a message or undefined.
 *
 *   beacon  everyone, every beacon interval: who I am, which life this is, and the versions of my records
 *   want    to one: send me these kinds of your records
 *   record  to one: a record of mine
 *   leave   everyone: I stop
 */
import * as v from 'valibot';
import type { Json } from '../../core/engine/index.ts';

const kind = v.pipe(v.string(), v.regex(/^[a-z][a-z-]{0,31}$/));
const version = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
export const maximumKinds = 8;

const message = v.variant('type', [
  v.strictObject({
    type: v.literal('beacon'),
    incarnation: version,
    versions: v.pipe(v.record(kind, version), v.maxEntries(maximumKinds)),
  }),
  v.strictObject({ type: v.literal('want'), kinds: v.pipe(v.array(kind), v.maxLength(maximumKinds)) }),
  v.strictObject({ type: v.literal('record'), incarnation: version, kind, version, value: v.unknown() }),
  v.strictObject({ type: v.literal('leave'), incarnation: version }),
]);

export type Message =
  | Exclude<v.InferOutput<typeof message>, { type: 'record' }>
  | { type: 'record'; incarnation: number; kind: string; version: number; value: Json };

export function encodeMessage(value: Message): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** Undefined when the bytes are no message, or larger than `maximumBytes`. */
export function decodeMessage(bytes: Uint8Array, maximumBytes: number): Message | undefined {
  if (bytes.length > maximumBytes) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const result = v.safeParse(message, value);
  return result.success ? (result.output as Message) : undefined;
}
