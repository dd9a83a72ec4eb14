/**
 * merge/fair-share: every head gets an equal share of the descriptor, what is left is filled at random, and the order is
 * shuffled. A candidate that was live stays live while its head's share allows, so that nothing changes needlessly.
 */
import { definePlugin } from '../../../core/engine/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import { shuffled, type Random } from '../../../core/runtime/index.ts';
import { distinctRelays } from './distinct-relays.ts';

export { distinctRelays } from './distinct-relays.ts';

/**
 * Chooses at most `maximum` of `candidates`, in random order. Each head gets floor(maximum / heads) or all it has; the
 * rest goes at random to those that have more, one each before anyone gets two. With more heads than places, heads are
 * drawn. Candidates in `live` are preferred, and heads that have one before heads that have none.
 */
export function fairShare(
  candidates: readonly Candidate[],
  maximum: number,
  random: Pick<Random, 'int'>,
  live: ReadonlySet<string> = new Set(),
): Candidate[] {
  const source = random as Random;
  const byHead = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const own = byHead.get(candidate.head);
    if (own === undefined) byHead.set(candidate.head, [candidate]);
    else own.push(candidate);
  }
  const liveFirst = (items: readonly Candidate[]): Candidate[] => {
    const mixed = shuffled(source, items);
    return [...mixed.filter(({ id }) => live.has(id)), ...mixed.filter(({ id }) => !live.has(id))];
  };
  const liveCount = (items: readonly Candidate[]): number => items.filter(({ id }) => live.has(id)).length;
  let waiting = shuffled(source, [...byHead.values()])
    .map(liveFirst)
    .sort((a, b) => liveCount(b) - liveCount(a));

  const chosen: Candidate[] = [];
  // One place a head and round; the round that cannot serve all serves those first whose next candidate is live already.
  while (waiting.length > 0 && chosen.length < maximum) {
    const free = maximum - chosen.length;
    if (free < waiting.length) {
      const keeps = (items: readonly Candidate[]): number => (items[0] !== undefined && live.has(items[0].id) ? 0 : 1);
      waiting = waiting.sort((a, b) => keeps(a) - keeps(b)).slice(0, free);
    }
    for (const items of waiting) chosen.push(items.shift() as Candidate);
    waiting = waiting.filter((items) => items.length > 0);
  }
  return shuffled(source, chosen);
}

export const mergeFairShare = definePlugin({
  name: 'merge/fair-share',
  summary: 'Equal share of the descriptor for every head, the rest at random, shuffled.',
  apply(host) {
    const { random } = host.runtime;
    host.hooks.merge.tap('merge/fair-share', ({ view, candidates }) => {
      const live = new Set(view.live);
      return { sets: [fairShare(distinctRelays(candidates, random, live), view.maximumIntroPoints, random, live)] };
    });
  },
});
export default mergeFairShare;
