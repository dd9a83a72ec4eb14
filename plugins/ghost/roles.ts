/**
 * What the publisher tells everybody of the descriptor that is out: which heads are in it. Kind `live` in the mesh; only the
 * record of the node that is elected counts. Total: whatever a record holds gives roles or nothing.
 */
import * as v from 'valibot';
import type { Json } from '../../core/engine/index.ts';

export const liveKind = 'live';
const mostHeads = 256;

export interface LiveHeads {
  readonly epoch: number;
  /** Heads with an introduction point in the descriptor that was published last. */
  readonly heads: readonly string[];
  /** Heads that are besieged beyond what may be replaced: their nodes shed. */
  readonly shed: readonly string[];
}

const names = v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(mostHeads));
const record = v.strictObject({ epoch: v.pipe(v.number(), v.integer(), v.minValue(0)), heads: names, shed: names });

export function readLiveHeads(value: Json): LiveHeads | undefined {
  const read = v.safeParse(record, value);
  return read.success ? read.output : undefined;
}

export function encodeLiveHeads({ epoch, heads, shed }: LiveHeads): Json {
  return { epoch, heads: heads.slice(0, mostHeads), shed: shed.slice(0, mostHeads) };
}
