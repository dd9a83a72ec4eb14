/**
 * The laws of a merge policy that makes several descriptors of the groups that a strategy names. Enter at `describeSetsPolicy`;
 * `setsPolicyLaws` are the same laws one by one. A policy that makes one descriptor is held to `describeMergePolicy`.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fingerprintIn, linkSpecifiersOfRelay } from '../../../core/onion/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import type { Random } from '../../../core/runtime/index.ts';
import { paddingBucket } from '../../../strategies/plan.ts';
import { createSeededRandom } from '../sim/seeded-random.ts';
import { arbitraryCandidates } from './arbitraries.ts';

/** `groups` are ids of candidates that the strategy wants in one descriptor; some may be gone. Pure but for `random`. */
export type SetsPolicy = (
  candidates: readonly Candidate[],
  groups: readonly (readonly string[])[],
  maximum: number,
  random: Random,
  live: ReadonlySet<string>,
) => readonly (readonly Candidate[])[];

export interface SetsQuestion {
  readonly candidates: readonly Candidate[];
  readonly groups: readonly (readonly string[])[];
  readonly maximum: number;
  readonly seed: number;
  readonly live: ReadonlySet<string>;
}

export interface SetsPolicyLaw {
  readonly name: string;
  readonly why: string;
  /** Throws with a counterexample when the policy breaks the law. */
  check(policy: SetsPolicy): void;
}

/** The candidate on the relay of this number. */
export function onRelay(candidate: Candidate, relay: number): Candidate {
  const fingerprint = relay.toString(16).toUpperCase().padStart(40, '0');
  const linkSpecifiers = linkSpecifiersOfRelay({
    ipv4: '192.0.2.1',
    port: 9001,
    fingerprint,
    ed25519: new Uint8Array(32),
  });
  return { ...candidate, introPoint: { ...candidate.introPoint, linkSpecifiers } };
}
const relayOf = ({ id, introPoint }: Candidate): string => fingerprintIn(introPoint.linkSpecifiers) ?? id;

/** `relays`: how many there are; few make heads share them. */
function arbitrarySetsQuestion(relays: number): fc.Arbitrary<SetsQuestion> {
  return arbitraryCandidates(8, 6).chain((bare) =>
    fc
      .record({
        places: fc.array(fc.nat(relays - 1), { minLength: bare.length, maxLength: bare.length }),
        groups: fc.array(fc.subarray([...bare.map(({ id }) => id), 'gone/1#0']), { maxLength: 6 }),
        maximum: fc.integer({ min: 1, max: 20 }),
        seed: fc.nat(),
        live: fc.subarray(bare.map(({ id }) => id)).map((ids): ReadonlySet<string> => new Set(ids)),
      })
      .map(({ places, ...rest }) => ({
        ...rest,
        candidates: bare.map((candidate, index) => onRelay(candidate, places[index] ?? 0)),
      })),
  );
}

const ask = (policy: SetsPolicy, { candidates, groups, maximum, seed, live }: SetsQuestion) =>
  policy(candidates, groups, maximum, createSeededRandom(seed), live);
const present = ({ candidates, groups }: SetsQuestion): string[][] =>
  groups
    .map((ids) => ids.filter((id) => candidates.some((candidate) => candidate.id === id)))
    .filter((ids) => ids.length > 0);

function always(
  holds: (question: SetsQuestion, policy: SetsPolicy) => boolean,
  relays: readonly number[] = [6, 1_000_000],
): SetsPolicyLaw['check'] {
  return (policy) => {
    for (const count of relays) {
      fc.assert(
        fc.property(arbitrarySetsQuestion(count), (question) => holds(question, policy)),
        { numRuns: 200 },
      );
    }
  };
}

export const setsPolicyLaws: readonly SetsPolicyLaw[] = [
  {
    name: 'only candidates that were given, none twice in a set',
    why: 'the pipeline refuses the whole publication otherwise',
    check: always((question, policy) =>
      ask(policy, question).every(
        (set) => new Set(set).size === set.length && set.every((one) => question.candidates.includes(one)),
      ),
    ),
  },
  {
    name: 'no set is empty, and none is larger than a descriptor',
    why: 'C tor refuses a descriptor with more than 20 introduction points, arti one without any',
    check: always((question, policy) => {
      const sets = ask(policy, question);
      return sets.length > 0 && sets.every((set) => set.length > 0 && set.length <= question.maximum);
    }),
  },
  {
    name: 'one introduction point a relay in each set',
    why: 'C tor’s clients never reach the second, and hang on it when the others have failed',
    check: always((question, policy) =>
      ask(policy, question).every((set) => new Set(set.map(relayOf)).size === set.length),
    ),
  },
  {
    name: 'the same question and the same chance give the same answer, and the question is not changed',
    why: 'simulations replay from a seed',
    check: always((question, policy) => {
      const text = (sets: ReturnType<SetsPolicy>): string =>
        sets.map((set) => set.map(({ id }) => id).join(' ')).join('\n');
      const before = JSON.stringify([question.candidates.map(({ id }) => id), question.groups]);
      const once = text(ask(policy, question));
      return (
        once === text(ask(policy, question)) &&
        before === JSON.stringify([question.candidates.map(({ id }) => id), question.groups])
      );
    }),
  },
  {
    name: 'stable mapping: set i has group i, as far as it fits and its relays differ, whatever chance says',
    why: 'an HSDir that gets another subset each time shows all of them in turn, and attributes nothing',
    check: always(
      (question, policy) => {
        const groups = present(question);
        const sets = ask(policy, question);
        if (groups.length === 0) return true;
        return (
          sets.length === groups.length &&
          groups.every((ids, index) => {
            const wanted = ids.slice(0, question.maximum);
            const relays = question.candidates.filter(({ id }) => wanted.includes(id)).map(relayOf);
            if (new Set(relays).size < relays.length) return true;
            return wanted.every((id) => sets[index]?.some((one) => one.id === id));
          })
        );
      },
      [1_000_000_000],
    ),
  },
  {
    name: 'the same content the next time, whatever chance says and in whatever order the candidates come',
    why: 'each publication is 16 uploads, and a change tells that something has changed',
    check: always((question, policy) => {
      const content = (sets: ReturnType<SetsPolicy>): string =>
        sets
          .map((set) =>
            set
              .map(({ id }) => id)
              .sort()
              .join(' '),
          )
          .join('\n');
      if (present(question).length === 0) return true;
      const once = ask(policy, question);
      const live = new Set(once.flat().map(({ id }) => id));
      const again = ask(policy, {
        ...question,
        candidates: question.candidates.toReversed(),
        seed: question.seed + 1,
        live,
      });
      return content(again) === content(once);
    }),
  },
  {
    name: 'one size: sets differ only where there are too few relays',
    why: 'the padding shows the size to each HSDir; a set that shrinks tells which relays heads share',
    check: always((question, policy) => {
      const sets = ask(policy, question);
      const relays = new Set(question.candidates.map(relayOf)).size;
      const largest = Math.max(...sets.map((set) => set.length));
      return relays < largest || new Set(sets.map((set) => paddingBucket(set.length))).size === 1;
    }),
  },
  {
    name: 'the order in a set tells nothing: every point may come first',
    why: 'neighbours in a descriptor would be taken for points of one head',
    check: (policy) => {
      const candidates = ['a/1', 'b/1'].flatMap((head, at) =>
        ['x', 'y'].map((name, index) =>
          onRelay(
            {
              id: `${head}#${name}`,
              head,
              node: head,
              provenance: 'service',
              introPoint: {
                linkSpecifiers: [],
                onionKey: new Uint8Array(32),
                authKey: new Uint8Array(32),
                encKey: new Uint8Array(32),
              },
              features: { singleOnionService: false },
            },
            2 * at + index,
          ),
        ),
      );
      const groups = [candidates.map(({ id }) => id)];
      const first = new Set(
        Array.from(
          { length: 64 },
          (_none, seed) => ask(policy, { candidates, groups, maximum: 8, seed, live: new Set() })[0]?.[0]?.id,
        ),
      );
      if (first.size < 4) throw new Error(`of 64 answers only ${[...first].join(', ')} come first`);
    },
  },
];

/** Declares one test a law. */
export function describeSetsPolicy(name: string, policy: SetsPolicy): void {
  describe(`merge policy ${name}, several descriptors`, () => {
    test.each(setsPolicyLaws)('$name', (law) => {
      expect(() => law.check(policy)).not.toThrow();
    });
  });
}
