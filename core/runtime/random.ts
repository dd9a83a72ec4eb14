/** Chance. The only place that draws randomness; simulations pass a seeded source. */
import { createHmac, randomBytes, randomInt } from 'node:crypto';

export interface Random {
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
  /** A uniform integer in [0, below). */
  int(below: number): number;
  /** A uniform number in [0, 1). */
  float(): number;
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  int: (below) => randomInt(below),
  float: () => randomInt(2 ** 47) / 2 ** 47,
};

/** A shuffled copy (Fisher–Yates). */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = random.int(last + 1);
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}

/** `base` plus or minus up to `share` of it (0.2 is ±20 %), uniformly. */
export function jittered(random: Random, base: number, share: number): number {
  return base * (1 + share * (2 * random.float() - 1));
}

/**
 * Chance that follows from a secret: the same seed and label give the same numbers on every node, and nobody without the seed
 * can tell them (HMAC-SHA256 of label and counter). For plans that several nodes must agree on without talking.
 */
export function derivedRandom(seed: string, label: string): Random {
  let counter = 0;
  const block = (): Buffer => createHmac('sha256', seed).update(`${label}\0${counter++}`).digest();
  const float = (): number => block().readUIntBE(0, 6) / 2 ** 48;
  return {
    bytes: (length) => {
      const blocks = Array.from({ length: Math.ceil(length / 32) }, block);
      return new Uint8Array(Buffer.concat(blocks).subarray(0, length));
    },
    int: (below) => Math.floor(float() * below),
    float,
  };
}
