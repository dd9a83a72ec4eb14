/**
 * merge/stacked: one descriptor, whose places the groups of the rotation (sub-masters) share alike; within a group the heads do.
 * Without groups it is merge/fair-share.
 */
import { definePlugin } from '../../../core/engine/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import { shuffled, type Random } from '../../../core/runtime/index.ts';
import { distinctRelays, fairShare } from '../fair-share/index.ts';

/**
 * Chooses at most `maximum` of `candidates`, one a relay, in random order. Groups go round for places until nobody has more;
 * who is in no group makes one more with the others like it.
 */
export function stackedShare(
  candidates: readonly Candidate[],
  groups: readonly (readonly string[])[],
  maximum: number,
  random: Random,
  live: ReadonlySet<string> = new Set(),
): Candidate[] {
  const groupOf = new Map(groups.flatMap((ids, group) => ids.map((id) => [id, group])));
  const members = new Map<number, Candidate[]>();
  for (const candidate of distinctRelays(candidates, random, live)) {
    const group = groupOf.get(candidate.id) ?? groups.length;
    members.set(group, [...(members.get(group) ?? []), candidate]);
  }
  const places = new Map([...members.keys()].map((group) => [group, 0]));
  for (let free = maximum; free > 0;) {
    const wanting = [...places].filter(([group, has]) => has < (members.get(group)?.length ?? 0)).slice(0, free);
    if (wanting.length === 0) break;
    for (const [group, has] of wanting) places.set(group, has + 1);
    free -= wanting.length;
  }
  const chosen = [...members].flatMap(([group, all]) => {
    const most = places.get(group) ?? 0;
    return most === 0 ? [] : fairShare(all, most, random, live);
  });
  return shuffled(random, chosen);
}

export const mergeStacked = definePlugin({
  name: 'merge/stacked',
  summary: 'One descriptor; sub-masters share its places alike, and within each its heads.',
  apply(host) {
    const { random } = host.runtime;
    host.hooks.merge.tap('merge/stacked', ({ view, rotation, candidates }) => {
      const live = new Set(view.live);
      return { sets: [stackedShare(candidates, rotation.groups ?? [], view.maximumIntroPoints, random, live)] };
    });
  },
});
export default mergeStacked;
