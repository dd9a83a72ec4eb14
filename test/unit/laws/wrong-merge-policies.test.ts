/** The laws of merge policies notice mistakes: each of these is one, and the law that must say so. */
import { expect, test } from 'vitest';
import { shuffled } from '../../../core/runtime/index.ts';
import { fairShare } from '../../../plugins/merge/fair-share/index.ts';
import { mergePolicyLaws, type MergePolicy } from '../../kit/laws/merge-policy.ts';

let asked = 0;
const headsOf = (candidates: Parameters<MergePolicy>[0]): number => new Set(candidates.map(({ head }) => head)).size;

const mistakes: readonly (readonly [what: string, policy: MergePolicy, law: string])[] = [
  [
    'takes a candidate twice when there is room',
    (candidates, maximum, ...rest) => {
      const fair = fairShare(candidates, maximum, ...rest);
      return fair.length < maximum ? [...fair, ...fair.slice(0, 1)] : fair;
    },
    'the answer has only',
  ],
  ['makes copies', (...all) => fairShare(...all).map((one) => ({ ...one })), 'the answer has only'],
  ['takes everything', (candidates, _maximum, random) => shuffled(random, candidates), 'never more'],
  [
    'gives nothing to many heads',
    (candidates, maximum, ...rest) => (candidates.length > 2 * maximum ? [] : fairShare(candidates, maximum, ...rest)),
    'never nothing',
  ],
  [
    'keeps its books in the question',
    (candidates, maximum, random, live) => {
      const fair = fairShare(candidates, maximum, random, live);
      for (const { id } of fair) (live as Set<string>).add(id);
      return fair;
    },
    'the question is not changed',
  ],
  [
    'has chance of its own',
    (candidates, maximum, _random, live) => fairShare(candidates, maximum, { int: (below) => asked++ % below }, live),
    'the same question',
  ],
  [
    'does not shuffle',
    (...all) => fairShare(...all).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    'the order tells nothing',
  ],
  [
    'drops the rest of an uneven share',
    (candidates, maximum, random, live) => {
      const heads = headsOf(candidates);
      return fairShare(candidates, Math.max(1, heads * Math.floor(maximum / heads)), random, live);
    },
    'all places are used',
  ],
  [
    'shuffles all and cuts',
    (candidates, maximum, random) => shuffled(random, candidates).slice(0, maximum),
    'every head is there',
  ],
  [
    'fills up with the first head',
    (candidates, maximum, random, live) => {
      const fair = fairShare(candidates, Math.max(1, Math.ceil(maximum / 2)), random, live);
      const rest = candidates.filter((one) => !fair.includes(one));
      return shuffled(random, [...fair, ...rest.slice(0, maximum - fair.length)]);
    },
    'equal shares',
  ],
  [
    'takes the first that fit',
    (candidates, maximum, random) => shuffled(random, candidates.slice(0, maximum)),
    'with more heads than places',
  ],
  ['forgets what is live', (candidates, maximum, random) => fairShare(candidates, maximum, random), 'stable'],
  [
    'prefers what is new',
    (candidates, maximum, random, live) => {
      const fresh = new Set(candidates.filter(({ id }) => !live.has(id)).map(({ id }) => id));
      return fairShare(candidates, maximum, random, fresh);
    },
    'within a head',
  ],
  [
    'gives fewer places when a late head asks first',
    (candidates, maximum, random, live) => {
      const [first, last] = [candidates[0]?.id ?? '', candidates.at(-1)?.id ?? ''];
      return fairShare(candidates, first <= last ? maximum : Math.ceil(maximum / 2), random, live);
    },
    'the order of the question',
  ],
  [
    'prefers low names',
    (candidates, maximum, random, live) => {
      const byName = candidates.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      return shuffled(random, fairShare(byName, maximum, { int: (below) => below - 1 }, live));
    },
    'no place in the question',
  ],
];

test.each(mistakes)('%s', (_what, policy, law) => {
  const found = mergePolicyLaws.filter(({ name }) => name.startsWith(law));
  expect(found).toHaveLength(1);
  expect(() => found[0]?.check(policy)).toThrow(/^(?!.*(?:Type|Reference)Error)/s);
});

test('every law is broken by some mistake', () => {
  const unbroken = mergePolicyLaws.filter(({ name }) => !mistakes.some(([, , law]) => name.startsWith(law)));
  expect(unbroken.map(({ name }) => name)).toEqual([]);
});
