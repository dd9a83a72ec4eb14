/**
 * The laws of a merge policy: what every answer to the hook `merge` must keep, whatever it prefers. Enter at
 * `describeMergePolicy` with a pure policy; `mergePolicyLaws` are the same laws one by one, for other test runners.
 *
 * Two kinds: `safety` laws, which the pipeline or the protocol needs, hold for every policy. `fairness` laws hold for
 * policies that give all heads alike; a policy with weights of its own leaves them out.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../../core/pipeline/index.ts';
import type { Random } from '../../../core/runtime/index.ts';
import { createSeededRandom } from '../sim/seeded-random.ts';
import { arbitraryMergeQuestion, candidatesOf, type MergeQuestion } from './arbitraries.ts';

/** Chooses at most `maximum` of `candidates`. `live` are the ids that are published now. Pure but for `random`. */
export type MergePolicy = (
  candidates: readonly Candidate[],
  maximum: number,
  random: Random,
  live: ReadonlySet<string>,
) => readonly Candidate[];

export interface MergePolicyLaw {
  readonly name: string;
  readonly kind: 'safety' | 'fairness';
  /** Throws with a counterexample when the policy breaks the law. */
  check(policy: MergePolicy): void;
}

type Answer = readonly Candidate[];
const idsOf = (answer: Answer): string[] => answer.map(({ id }) => id);
const sorted = (answer: Answer): string => idsOf(answer).sort().join(' ');

/** How many of `candidates` each head has. */
function perHead(candidates: readonly Candidate[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { head } of candidates) counts.set(head, (counts.get(head) ?? 0) + 1);
  return counts;
}

function always(holds: (question: MergeQuestion, policy: MergePolicy) => boolean): MergePolicyLaw['check'] {
  return (policy) => {
    fc.assert(
      fc.property(arbitraryMergeQuestion(), (question) => holds(question, policy)),
      { numRuns: 300 },
    );
  };
}

const ask = (policy: MergePolicy, { candidates, maximum, random, live }: MergeQuestion): Answer =>
  policy(candidates, maximum, random, live);

/** Answers under many seeds: what chance can do, it does here. */
const seeds = 96;
function underAllSeeds(policy: MergePolicy, candidates: readonly Candidate[], maximum: number): Answer[] {
  return Array.from({ length: seeds }, (_, seed) => policy(candidates, maximum, createSeededRandom(seed), new Set()));
}
function hold(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

export const mergePolicyLaws: readonly MergePolicyLaw[] = [
  {
    name: 'the answer has only candidates that were given, none twice',
    kind: 'safety',
    check: always((question, policy) => {
      const answer = ask(policy, question);
      return new Set(answer).size === answer.length && answer.every((one) => question.candidates.includes(one));
    }),
  },
  {
    name: 'never more than the maximum',
    kind: 'safety',
    check: always((question, policy) => ask(policy, question).length <= question.maximum),
  },
  {
    name: 'never nothing: there is always a candidate to choose',
    kind: 'safety',
    check: always((question, policy) => ask(policy, question).length > 0),
  },
  {
    name: 'the question is not changed',
    kind: 'safety',
    check: always((question, policy) => {
      const before = [...question.candidates];
      const liveBefore = [...question.live];
      policy(Object.freeze([...question.candidates]), question.maximum, question.random, question.live);
      ask(policy, question);
      return (
        before.every((one, index) => question.candidates[index] === one) &&
        liveBefore.join(' ') === [...question.live].join(' ')
      );
    }),
  },
  {
    name: 'the same question and the same chance give the same answer',
    kind: 'safety',
    check: always(({ candidates, maximum, live, random }, policy) => {
      const seed = random.int(2 ** 31);
      const once = policy(candidates, maximum, createSeededRandom(seed), live);
      const again = policy(candidates, maximum, createSeededRandom(seed), live);
      return idsOf(once).join(' ') === idsOf(again).join(' ');
    }),
  },
  {
    name: 'the order tells nothing: every chosen one may come first, and last',
    kind: 'safety',
    check: (policy) => {
      const answers = underAllSeeds(policy, candidatesOf([2, 2]), 4);
      for (const at of [0, -1]) {
        const there = new Set(answers.map((answer) => answer.at(at)?.id));
        hold(there.size === 4, `at ${at} of ${seeds} answers there are only ${[...there].join(', ')}`);
      }
    },
  },
  {
    name: 'all places are used while there are candidates for them',
    kind: 'fairness',
    check: always(
      (question, policy) => ask(policy, question).length === Math.min(question.maximum, question.candidates.length),
    ),
  },
  {
    name: 'every head is there when there is a place for each',
    kind: 'fairness',
    check: always((question, policy) => {
      const heads = perHead(question.candidates).size;
      return heads > question.maximum || perHead(ask(policy, question)).size === heads;
    }),
  },
  {
    name: 'equal shares: no head has 2 more than another that has candidates left',
    kind: 'fairness',
    check: always((question, policy) => {
      const known = perHead(question.candidates);
      const given = perHead(ask(policy, question));
      const most = Math.max(...given.values());
      return [...known].every(([head, has]) => (given.get(head) ?? 0) >= Math.min(has, most - 1));
    }),
  },
  {
    name: 'with more heads than places no head has two',
    kind: 'fairness',
    check: always((question, policy) => {
      if (perHead(question.candidates).size < question.maximum) return true;
      return [...perHead(ask(policy, question)).values()].every((count) => count === 1);
    }),
  },
  {
    name: 'stable: a fair answer that is live already is given again',
    kind: 'fairness',
    check: always((question, policy) => {
      const answer = ask(policy, question);
      const again = ask(policy, { ...question, live: new Set(idsOf(answer)) });
      return sorted(again) === sorted(answer);
    }),
  },
  {
    name: 'within a head, what is live goes before what is not',
    kind: 'fairness',
    check: always((question, policy) => {
      const answer = new Set(ask(policy, question));
      const { candidates, live } = question;
      return candidates.every((left) => {
        if (answer.has(left) || !live.has(left.id)) return true;
        return ![...answer].some((chosen) => chosen.head === left.head && !live.has(chosen.id));
      });
    }),
  },
  {
    name: 'the order of the question does not matter: shares are the same, up to who draws the rest',
    kind: 'fairness',
    check: always((question, policy) => {
      const shares = (candidates: readonly Candidate[]): string =>
        [...perHead(ask(policy, { ...question, candidates, live: new Set() })).values()]
          .sort((a, b) => a - b)
          .join(' ');
      const given = shares(question.candidates);
      return given === shares(question.candidates.toReversed());
    }),
  },
  {
    name: 'no place in the question is privileged: where chance decides, everybody may be chosen and everybody left out',
    kind: 'fairness',
    check: (policy) => {
      // One place too few for all: of one head's points, and of heads.
      for (const [sizes, maximum] of [
        [[4, 4], 4],
        [[1, 1, 1, 1], 3],
        [[2, 2, 2], 4],
      ] as const) {
        const all = candidatesOf(sizes);
        const answers = underAllSeeds(policy, all, maximum);
        for (const one of all) {
          const times = answers.filter((answer) => answer.includes(one)).length;
          hold(
            times > 0 && times < seeds,
            `${one.id} is chosen ${times} of ${seeds} times of heads with ${sizes.join(', ')}`,
          );
        }
      }
    },
  },
];

/** Declares one test a law. Leave `fairness` out for a policy that prefers heads on purpose. */
export function describeMergePolicy(
  name: string,
  policy: MergePolicy,
  kinds: readonly MergePolicyLaw['kind'][] = ['safety', 'fairness'],
): void {
  describe(`merge policy ${name}`, () => {
    test.each(mergePolicyLaws.filter(({ kind }) => kinds.includes(kind)))('$name', (law) => {
      expect(() => law.check(policy)).not.toThrow();
    });
  });
}
