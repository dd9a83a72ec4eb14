/** Arbitrary words of the pipeline for property tests: candidates, heads, live sets. Shapes only; keys are no real keys. */
import * as fc from 'fast-check';
import type { Candidate, HeadView, View } from '../../../core/pipeline/index.ts';
import { createSeededRandom, type SeededRandom } from '../sim/seeded-random.ts';

/** A candidate with an id and a head; what a policy must not look at is filled in. */
export function candidateOf(head: string, id: string): Candidate {
  const key = new Uint8Array(32).fill(id.length);
  return {
    id,
    head,
    node: head.split('/')[0] ?? head,
    provenance: 'service',
    introPoint: { linkSpecifiers: [], onionKey: key, authKey: key, encKey: key },
    features: { singleOnionService: false },
  };
}

/** `sizes[n]` candidates for each head `n<n>/1`, ids `n<n>/1#<m>`. */
export function candidatesOf(sizes: readonly number[]): Candidate[] {
  return sizes.flatMap((size, head) =>
    Array.from({ length: size }, (_, index) => candidateOf(`n${head}/1`, `n${head}/1#${index}`)),
  );
}

/** Candidates of up to `maximumHeads` heads with up to `maximumEach` each, at least one in all, in any order. */
export function arbitraryCandidates(maximumHeads = 8, maximumEach = 7): fc.Arbitrary<Candidate[]> {
  return fc
    .array(fc.nat(maximumEach), { minLength: 1, maxLength: maximumHeads })
    .filter((sizes) => sizes.some((size) => size > 0))
    .chain((sizes) => {
      const all = candidatesOf(sizes);
      return fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length });
    });
}

/** A seeded source of chance. */
export function arbitraryRandom(): fc.Arbitrary<SeededRandom> {
  return fc.nat().map((seed) => createSeededRandom(seed));
}

/** What a merge policy is asked: candidates, a maximum, chance, and ids that are live, some of them gone. */
export interface MergeQuestion {
  readonly candidates: readonly Candidate[];
  readonly maximum: number;
  readonly random: SeededRandom;
  readonly live: ReadonlySet<string>;
}
export function arbitraryMergeQuestion(): fc.Arbitrary<MergeQuestion> {
  return arbitraryCandidates().chain((candidates) =>
    fc.record({
      candidates: fc.constant(candidates),
      maximum: fc.integer({ min: 1, max: 20 }),
      random: arbitraryRandom(),
      live: fc
        .subarray([...candidates.map(({ id }) => id), 'gone/1#0', 'gone/1#1'])
        .map((ids): ReadonlySet<string> => new Set(ids)),
    }),
  );
}

/** A cluster at peace: the heads with at least one candidate in all, each with the candidates that are its own. */
export function arbitraryCluster(): fc.Arbitrary<HeadView[]> {
  return arbitraryCandidates().map((candidates) =>
    [...new Set(candidates.map(({ head }) => head))].sort().map((head) => ({
      head,
      node: head.split('/')[0] ?? head,
      candidates: candidates.filter((candidate) => candidate.head === head),
      siege: 0,
    })),
  );
}

/** The same heads under sieges: most are calm, some at a level below or above the one at which a head counts as besieged (1). */
export function arbitrarySieges(heads: readonly HeadView[]): fc.Arbitrary<HeadView[]> {
  return fc
    .array(fc.constantFrom(0, 0, 0, 0.5, 1, 4), { minLength: heads.length, maxLength: heads.length })
    .map((levels) => heads.map((head, index) => ({ ...head, siege: levels[index] ?? 0 })));
}

/** What a rotation strategy is shown: at least one candidate, some of them live, some heads besieged. */
export function arbitraryView(): fc.Arbitrary<View> {
  return arbitraryCluster().chain((heads) =>
    fc.record({
      nowMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
      heads: arbitrarySieges(heads),
      live: fc.subarray(heads.flatMap(({ candidates }) => candidates.map(({ id }) => id))),
      epoch: fc.nat(1000),
      maximumIntroPoints: fc.integer({ min: 1, max: 20 }),
      seed: fc.constantFrom('', 'seed', 'another'),
    }),
  );
}
