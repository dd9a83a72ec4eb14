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
 * `maximum`, one a relay. A set that falls short of the largest, because its points share relays, is filled up with others', so
 * that all are of one size as far as there are relays. Without groups there is one set.
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
  return asked.map((group) => {
    const set = distinctRelays(group, random, live);
    const relays = new Set(set.map(relayOf));
    // Begins behind its own: two sets that fall short do not take the same.
    const from = candidates.indexOf(group.at(-1) as Candidate) + 1;
    for (let step = 0; step < candidates.length && set.length < size; step++) {
      const other = candidates[(from + step) % candidates.length] as Candidate;
      if (relays.has(relayOf(other))) continue;
      relays.add(relayOf(other));
      set.push(other);
    }
    return shuffled(random, set);
  });
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
