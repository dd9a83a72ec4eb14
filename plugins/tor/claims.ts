/**
 * Who may wait for which events. tor's answers to HSFETCH and HSPOST name an address and an HSDir and nothing else, so two requests
 * for the same pair must never be under way together. Enter at `createClaims`.
 */
import { ChimeraError } from '../../core/errors.ts';

export interface Claims {
  /**
   * Runs `work` once no earlier request of the same `topic` shares a part with it; `undefined` parts are all parts.
   * Rejects with TOR_BUSY when too many wait.
   */
  run<T>(topic: string, parts: readonly string[] | undefined, work: () => Promise<T>): Promise<T>;
}

interface Claim {
  readonly parts: ReadonlySet<string> | undefined;
  readonly over: Promise<void>;
}

export function createClaims(maximum: number): Claims {
  const topics = new Map<string, Set<Claim>>();
  let count = 0;

  const meet = (one: Claim['parts'], other: Claim['parts']): boolean => {
    if (one === undefined || other === undefined) return true;
    for (const part of one) if (other.has(part)) return true;
    return false;
  };

  return {
    run: async (topic, parts, work) => {
      if (count >= maximum)
        throw new ChimeraError('TOR_BUSY', `${maximum} uploads and fetches already wait for this tor`, {
          remedy: 'Ask for fewer at once.',
        });
      const claims = topics.get(topic) ?? new Set();
      topics.set(topic, claims);
      const wanted = parts === undefined ? undefined : new Set(parts);
      const earlier = [...claims].filter((claim) => meet(wanted, claim.parts));
      let release: () => void = () => undefined;
      const claim: Claim = {
        parts: wanted,
        over: new Promise((resolve) => {
          release = resolve;
        }),
      };
      claims.add(claim);
      count++;
      try {
        await Promise.all(earlier.map((other) => other.over));
        return await work();
      } finally {
        count--;
        claims.delete(claim);
        if (claims.size === 0) topics.delete(topic);
        release();
      }
    },
  };
}
