/**
 * Panic mode as the cluster agrees on it. Pure: each node's record says a serial number, on or off, and for how long still; the
 * highest serial counts, and of two alike the one that is off. Total: records of another form say nothing.
 */
import * as v from 'valibot';
import type { Json } from '../../core/engine/index.ts';

export const panicKind = 'panic';

export interface Panic {
  /** Grows with each command in the cluster. */
  readonly serial: number;
  readonly on: boolean;
  /** On the monotonic clock of this node; 0 while it is off. */
  readonly untilMs: number;
}

export const calm: Panic = { serial: 0, on: false, untilMs: 0 };

/** What a record may jump ahead: nobody can use up all numbers. */
const widestJump = 1_000;

const record = v.strictObject({
  serial: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER)),
  on: v.boolean(),
  /** Milliseconds left when it was written: wall clocks need not agree. */
  leftMs: v.pipe(v.number(), v.minValue(0)),
});

export function encodePanic({ serial, on, untilMs }: Panic, nowMs: number): Json {
  return { serial, on, leftMs: Math.max(0, Math.round(untilMs - nowMs)) };
}

/** The command on this node. */
export function commanded(known: Panic, on: boolean, nowMs: number, forMs: number): Panic {
  return { serial: known.serial + 1, on, untilMs: on ? nowMs + forMs : 0 };
}

/** What is known after a peer's record; `longestMs` bounds what a peer may ask for. */
export function heard(known: Panic, value: Json, nowMs: number, longestMs: number): Panic {
  const read = v.safeParse(record, value);
  if (!read.success) return known;
  const { serial, on, leftMs } = read.output;
  if (serial > known.serial + widestJump) return known;
  const later = serial > known.serial || (serial === known.serial && known.on && !on);
  if (!later) return known;
  return { serial, on: on && leftMs > 0, untilMs: on ? nowMs + Math.min(leftMs, longestMs) : 0 };
}

/** What is known when time has passed: panic ends by itself, under the same number everywhere. */
export function passed(known: Panic, nowMs: number): Panic {
  return known.on && nowMs >= known.untilMs ? { serial: known.serial, on: false, untilMs: 0 } : known;
}
