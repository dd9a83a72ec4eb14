/** The laws of policies that make several descriptors notice mistakes: each of these is one, and the law that must say so. */
import { expect, test } from 'vitest';
import type { Candidate } from '../../../core/pipeline/index.ts';
import { shuffled } from '../../../core/runtime/index.ts';
import { distinctSets } from '../../../plugins/merge/distinct/index.ts';
import { setsPolicyLaws, type SetsPolicy } from '../../kit/laws/sets-policy.ts';

let asked = 0;
const groupsOf = (candidates: readonly Candidate[], groups: readonly (readonly string[])[]): Candidate[][] =>
  groups.map((ids) => candidates.filter(({ id }) => ids.includes(id)));

const mistakes: readonly (readonly [what: string, policy: SetsPolicy, law: string])[] = [
  [
    'repeats a point to fill a set',
    (...all) => distinctSets(...all).map((set) => [...set, ...set].slice(0, Math.max(set.length, 2))),
    'only candidates',
  ],
  [
    'makes an empty descriptor of a group that is gone',
    (candidates, groups) => groupsOf(candidates, groups),
    'no set is empty',
  ],
  [
    'forgets the maximum',
    (candidates, groups, _maximum, random) => distinctSets(candidates, groups, 1_000, random),
    'no set is empty',
  ],
  [
    'takes groups as they are, two points of one relay as well',
    (candidates, groups, maximum) => {
      const sets = groupsOf(candidates, groups).map((set) => set.slice(0, maximum));
      return sets.some((set) => set.length > 0) ? sets.filter((set) => set.length > 0) : [candidates.slice(0, maximum)];
    },
    'one introduction point',
  ],
  [
    'draws by a chance of its own',
    (candidates, groups, maximum) => {
      const [set = []] = distinctSets(candidates, groups, maximum, { int: () => 0 } as never);
      return [asked++ % 2 === 0 ? set : set.toReversed(), [...candidates].slice(0, 1)].slice(0, 2);
    },
    'the same question',
  ],
  [
    'draws lots for a relay that two points share',
    (candidates, groups, maximum, random, live) =>
      distinctSets(candidates, groups, maximum, random, live).map((set) => set.slice(0, Math.max(1, set.length - 1))),
    'the same content',
  ],
  [
    'deals the sets anew each time',
    (candidates, groups, maximum, random) => shuffled(random, distinctSets(candidates, groups, maximum, random)),
    'stable mapping',
  ],
  [
    'puts everything everywhere',
    (candidates, _groups, maximum, random) => distinctSets(candidates, [], maximum, random),
    'stable mapping',
  ],
  [
    'leaves sets as short as their relays make them',
    (candidates, groups, maximum, random, live) => {
      const wanted = new Set(groups.flat());
      return distinctSets(candidates, groups, maximum, random, live).map((set, index) =>
        index % 2 === 1 && wanted.size > 1 ? set.slice(0, 1) : set,
      );
    },
    'one size',
  ],
  [
    'leaves them in the order of their heads',
    (...all) => distinctSets(...all).map((set) => set.toSorted((a, b) => (a.id < b.id ? -1 : 1))),
    'the order in a set',
  ],
];

test.each(mistakes)('%s', (_what, policy, law) => {
  const found = setsPolicyLaws.filter(({ name }) => name.startsWith(law));
  expect(found).toHaveLength(1);
  expect(() => found[0]?.check(policy)).toThrow(/^(?!.*(?:Type|Reference)Error)/s);
});

test('every law is broken by some mistake', () => {
  const unbroken = setsPolicyLaws.filter(({ name }) => !mistakes.some(([, , law]) => name.startsWith(law)));
  expect(unbroken.map(({ name }) => name)).toEqual([]);
});
