/**
 * At most one introduction point a relay. C tor's clients find the introduction point that a circuit belongs to by its
 * relay, and take the first of the descriptor that is there (hs_client_setup_intro_circ_auth_key). A second one on the same
 * relay is never introduced to, so its head loses that share; and once all others have failed it still counts as usable:
 * the client tries it without end and does not fetch a new descriptor before the next time period.
 */
import { fingerprintIn } from '../../../core/onion/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import type { Random } from '../../../core/runtime/index.ts';

/**
 * Keeps one of the candidates of each relay, in the order given. A relay that several heads share goes to the head that has
 * fewest places so far, then to the one with fewest other chances, then to what is `live`, then by chance: so the heads end
 * up as equal as the relays allow, and the same candidates with their own outcome live give the same outcome.
 */
export function distinctRelays(
  candidates: readonly Candidate[],
  random: Pick<Random, 'int'>,
  live: ReadonlySet<string> = new Set(),
): Candidate[] {
  const byRelay = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const relay = fingerprintIn(candidate.introPoint.linkSpecifiers) ?? candidate.id;
    const there = byRelay.get(relay);
    if (there === undefined) byRelay.set(relay, [candidate]);
    else there.push(candidate);
  }
  const kept = new Set<Candidate>();
  const places = new Map<string, number>();
  const chances = new Map<string, number>();
  const add = (counts: Map<string, number>, head: string, change: number): void =>
    void counts.set(head, (counts.get(head) ?? 0) + change);
  const keep = (candidate: Candidate): void => {
    kept.add(candidate);
    add(places, candidate.head, 1);
  };

  const contested: Candidate[][] = [];
  for (const [, there] of [...byRelay].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (there.length === 1) keep(there[0] as Candidate);
    else contested.push(there);
  }
  for (const there of contested) for (const { head } of there) add(chances, head, 1);
  for (const there of contested) {
    for (const { head } of there) add(chances, head, -1);
    const rank = ({ head, id }: Candidate): readonly number[] => [
      places.get(head) ?? 0,
      chances.get(head) ?? 0,
      live.has(id) ? 0 : 1,
    ];
    const best = there.map(rank).sort(compare)[0] as readonly number[];
    const equal = there.filter((candidate) => compare(rank(candidate), best) === 0);
    keep(equal[equal.length > 1 ? random.int(equal.length) : 0] as Candidate);
  }
  return candidates.filter((candidate) => kept.has(candidate));
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
