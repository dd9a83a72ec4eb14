/**
 * merge/distinct: a descriptor for each group of the rotation, each for other HSDirs. The seal step maps sets to HSDirs by their
 * place on the ring, gives all the same counter, and the fetch-back compares each HSDir with its own.
 */
import { definePlugin } from '../../../core/engine/index.ts';
import { fingerprintIn } from '../../../core/onion/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import { shuffled, type Random } from '../../../core/runtime/index.ts';
import { distinctRelays, fairShare } from '../fair-share/index.ts';

const relayOf = ({ id, introPoint }: Candidate): string => fingerprintIn(introPoint.linkSpecifiers) ?? id;

/**
 * One set for each group that has a candidate, in the order of the groups: that is the stable mapping. Each has at most
 * `maximum`, one a relay. A set that falls short of the largest, because its points share relays, is filled up, first with those
 * that have no place for that reason, so that all are of one size as far as there are relays. Without groups there is one set.
 */
export function distinctSets(
  candidates: readonly Candidate[],
  groups: readonly (readonly string[])[],
  maximum: number,
  random: Random,
  live: ReadonlySet<string> = new Set(),
): Candidate[][] {
  const known = new Map(candidates.map((candidate) => [candidate.id, candidate]));
  const asked = groups
    .map((ids) => [...new Set(ids)].flatMap((id) => known.get(id) ?? []).slice(0, maximum))
    .filter((group) => group.length > 0);
  if (asked.length === 0) return [fairShare(distinctRelays(candidates, random, live), maximum, random, live)];
  const size = Math.max(...asked.map((group) => group.length));
  // Chance decides the order alone: a set that chose anew would be another publication each time.
  const sets = asked.map((group) => distinctRelays(group, { int: () => 0 }));
  const wanted = [...new Set(asked.flat())];
  const unwanted = candidates.filter((candidate) => !wanted.includes(candidate));
  const everybody = [...wanted, ...unwanted.toSorted((a, b) => (a.id < b.id ? -1 : 1))];
  const placed = new Set(sets.flat());
  for (const [index, set] of sets.entries()) {
    const relays = new Set(set.map(relayOf));
    // Who lost its relay in its own set comes first. Then others, from behind its own on: two sets do not take the same.
    const from = everybody.indexOf(asked[index]?.at(-1) as Candidate) + 1;
    const circle = [...everybody.slice(from), ...everybody.slice(0, from)];
    const waiting = wanted.filter((candidate) => !placed.has(candidate));
    for (const other of [...waiting, ...circle]) {
      if (set.length >= size) break;
      if (relays.has(relayOf(other))) continue;
      relays.add(relayOf(other));
      placed.add(other);
      set.push(other);
    }
  }
  return sets.map((set) => shuffled(random, set));
}

export const mergeDistinct = definePlugin({
  name: 'merge/distinct',
  summary: 'Another descriptor for each HSDir that clients ask, with a subset of the introduction points.',
  apply(host) {
    const { random } = host.runtime;
    host.hooks.merge.tap('merge/distinct', ({ view, rotation, candidates }) => {
      const live = new Set(view.live);
      return { sets: distinctSets(candidates, rotation.groups ?? [], view.maximumIntroPoints, random, live) };
    });
  },
});
export default mergeDistinct;
