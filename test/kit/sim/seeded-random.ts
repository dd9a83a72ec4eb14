/**
 * Chance from a seed: xoshiro128** 1.1 (Blackman and Vigna, public domain), its state filled by splitmix32.
 * Good enough to drive a simulation, never for keys that leave it.
 */
import type { Random } from '../../../core/runtime/random.ts';

export interface SeededRandom extends Random {
  /** An independent source for one part of a simulation: what others draw does not change what it gives. */
  fork(label: string): SeededRandom;
}

/** FNV-1a over the text's UTF-16 units. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function rotateLeft(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

/** The same seed gives the same sequence on every machine. */
export function createSeededRandom(seed: number | string): SeededRandom {
  const text = String(seed);
  let mixed = hashText(text);
  const splitmix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let value = mixed ^ (mixed >>> 16);
    value = Math.imul(value, 0x21f0aaad);
    value ^= value >>> 15;
    value = Math.imul(value, 0x735a2d97);
    return (value ^ (value >>> 15)) >>> 0;
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let d = splitmix() | 1;

  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const float = (): number => ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 2 ** 53;

  return {
    bytes: (length) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += 4) {
        const word = next();
        for (let byte = 0; byte < 4 && at + byte < length; byte++) bytes[at + byte] = word >>> (8 * byte);
      }
      return bytes;
    },
    int: (below) => {
      if (!(below >= 1)) throw new RangeError(`int(${below}): there is no integer in [0, ${below})`);
      return Math.floor(float() * below);
    },
    float,
    fork: (label) => createSeededRandom(`${text}/${label}`),
  };
}
