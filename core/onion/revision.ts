/**
 * Revision counters. Directories and clients keep the highest they saw, so the counter is also what fences off a
 * publisher that was deposed: see docs/decisions/revision-counter.md.
 *
 *   counter = epoch · 2^34 + OPE(seconds since the start of the shared-random run), and more than the last one seen
 *
 * In epoch 0 that is C tor's own counter, an order-preserving encryption that does not show the service's clock.
 */
import { createCipheriv } from 'node:crypto';
import { ChimeraError } from '../errors.ts';
import type { BlindedKey } from './blinding.ts';
import { ascii } from './bytes.ts';
import { sha3 } from './hash.ts';
import { remember } from './remembered.ts';

/** Every counter of tor's OPE is below this; one epoch spans as much. */
export const opeLimit: bigint = 2n ** 34n;
const largestInput = 2 ** 18;
export const largestEpoch = 2 ** 30 - 1;
const keyPrefix = ascii('rev-counter-generation\0');

/** The key stream is taken in chunks; what their words add up to is remembered, so that the next counter takes one chunk. */
const wordsPerChunk = 4096;
const wordsPerBlock = 8;
const zeros = Buffer.alloc(2 * wordsPerChunk);
const bigEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0;

/** Key → the sum of the first `words` words, whole chunks. Those of the two descriptors of now, and of a rollover. */
const rememberedSums = new Map<string, { readonly words: number; readonly sum: number }>();
const mostRemembered = 8;

function sumOf(words: Uint16Array): number {
  let sum = 0;
  for (let at = 0; at < words.length; at++) sum += words[at] ?? 0;
  return sum;
}

/** The sum of the little-endian 16-bit words `from` (a multiple of 8) to `to` of AES-256-CTR's key stream. */
function sumOfStream(key: Uint8Array, from: number, to: number): number {
  const counter = Buffer.alloc(16);
  counter.writeUInt32BE(from / wordsPerBlock, 12);
  const cipher = createCipheriv('aes-256-ctr', key, counter);
  let sum = 0;
  for (let at = from; at < to; at += wordsPerChunk) {
    const bytes = cipher.update(zeros.subarray(0, 2 * Math.min(wordsPerChunk, to - at)));
    if (bigEndian) bytes.swap16();
    sum += sumOf(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
  }
  return sum;
}

/** Tor's order-preserving encryption of `input` (1 to 2^18): the sum of as many little-endian 16-bit words of AES-256-CTR, plus 1 each. */
export function opeEncrypt(key: Uint8Array, input: number): bigint {
  const words = Math.min(largestInput, Math.max(1, Math.trunc(input)));
  const whole = words - (words % wordsPerChunk);
  const name = Buffer.from(key).toString('latin1');
  const known = rememberedSums.get(name);
  const start = known !== undefined && known.words <= whole ? known : { words: 0, sum: 0 };
  const sum = start.sum + sumOfStream(key, start.words, whole);
  remember(rememberedSums, name, { words: whole, sum }, mostRemembered);
  return BigInt(sum + sumOfStream(key, whole, words) + words);
}

/** The 32-byte key of a blinded key's counters. Secret: it opens the encryption, and says when descriptors were made. */
export function revisionKey(blinded: BlindedKey): Uint8Array {
  return Uint8Array.from(sha3(keyPrefix, blinded.expandedSecret));
}

/** Tor's own counter. `secondsSinceSrvStart` counts from the slot's `revisionStart`; outside 0 to 2^18 − 1 it is clamped, as in tor. */
export function opeRevision(blinded: BlindedKey, secondsSinceSrvStart: number): bigint {
  return opeOfSeconds(revisionKey(blinded), secondsSinceSrvStart);
}

function opeOfSeconds(key: Uint8Array, seconds: number): bigint {
  return opeEncrypt(key, Math.floor(seconds) + 1);
}

/** The epoch that a counter was made in. */
export function epochOfRevision(revision: bigint): number {
  return Number(revision / opeLimit);
}

/** The 32-byte key of the encryption, or the blinded key that it derives from. All publishers of a service share it. */
export type RevisionSecret = { readonly key: Uint8Array } | { readonly blinded: BlindedKey };

export type RevisionInput = RevisionSecret & {
  /** The publisher's term, 0 to 2^30 − 1. */
  readonly epoch: number;
  /** The slot's `revisionStart`, unix seconds. */
  readonly revisionStart: number;
  /** Unix seconds. */
  readonly now: number;
  /** The highest counter seen for this blinded key, own or fetched. */
  readonly lastSeen?: bigint | undefined;
};

/**
 * The counter of the next descriptor: above every earlier one of this epoch and of all earlier epochs.
 * Throws ONION_REVISION when `lastSeen` is of a later epoch: another publisher has taken over, and must not be overwritten.
 * `details.seenEpoch` is that epoch.
 */
export function revisionCounter(input: RevisionInput): bigint {
  const { epoch, revisionStart, now, lastSeen } = input;
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > largestEpoch) {
    throw new ChimeraError('ONION_REVISION', `the epoch ${epoch} is not a whole number from 0 to ${largestEpoch}`);
  }
  const base = BigInt(epoch) * opeLimit;
  const key = 'key' in input ? input.key : revisionKey(input.blinded);
  const fresh = base + opeOfSeconds(key, now - revisionStart);
  if (lastSeen === undefined || lastSeen < fresh) return fresh;
  if (lastSeen + 1n >= base + opeLimit) {
    throw new ChimeraError(
      'ONION_REVISION',
      `a descriptor of epoch ${epochOfRevision(lastSeen)} is out there; this publisher is of epoch ${epoch}`,
      {
        remedy: 'Step down, or take the office again with a later epoch.',
        details: { seenEpoch: epochOfRevision(lastSeen) },
      },
    );
  }
  return lastSeen + 1n;
}
