import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprintIn } from '../../../core/onion/index.ts';
import type { Candidate } from '../../../core/pipeline/index.ts';
import { distinctRelays, mergeFairShare } from '../../../plugins/merge/fair-share/index.ts';
import { arbitraryRandom, candidateOf } from '../../kit/laws/arbitraries.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createBareHost } from './support.ts';

/** Candidates of heads `h0`, `h1`, …, on the relays given for each, by number. */
function onRelays(heads: readonly (readonly number[])[]): Candidate[] {
  return heads.flatMap((relays, head) =>
    relays.map((relay, index) => {
      const plain = candidateOf(`h${head}`, `h${head}#${index}`);
      const linkSpecifiers = [{ type: 2, data: new Uint8Array(20).fill(relay) }];
      return { ...plain, introPoint: { ...plain.introPoint, linkSpecifiers } };
    }),
  );
}

const relayOf = ({ introPoint }: Candidate): string | undefined => fingerprintIn(introPoint.linkSpecifiers);

function places(chosen: readonly Candidate[], heads: number): number[] {
  return Array.from({ length: heads }, (_, head) => chosen.filter((one) => one.head === `h${head}`).length);
}

const random = createSeededRandom('x');
const arbitraryHeads = fc.array(fc.uniqueArray(fc.nat(11), { maxLength: 4 }), { minLength: 1, maxLength: 6 });

describe('distinctRelays', () => {
  it('leaves alone what does not meet', () => {
    const all = onRelays([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(distinctRelays(all, random)).toEqual(all);
  });

  it('gives a relay that two heads chose to the one with fewer places', () => {
    const chosen = distinctRelays(onRelays([[1, 2, 3], [3]]), random);
    expect(places(chosen, 2)).toEqual([2, 1]);
  });

  it('leaves no head without a place where another has a second chance', () => {
    for (let seed = 0; seed < 20; seed++) {
      const chosen = distinctRelays(onRelays([[1], [1, 2], [2, 3], [3, 4]]), createSeededRandom(String(seed)));
      expect(places(chosen, 4)).toEqual([1, 1, 1, 1]);
    }
  });

  it('keeps candidates whose relay is not told', () => {
    const all = [candidateOf('h0', 'a'), candidateOf('h1', 'b')];
    expect(distinctRelays(all, random)).toEqual(all);
  });

  it('takes every relay exactly once, in the order given, and repeats its outcome while it is live', () => {
    fc.assert(
      fc.property(arbitraryHeads, arbitraryRandom(), arbitraryRandom(), (heads, first, second) => {
        const all = onRelays(heads);
        const chosen = distinctRelays(all, first);
        expect(chosen).toHaveLength(new Set(chosen.map(relayOf)).size);
        expect(new Set(chosen.map(relayOf))).toEqual(new Set(all.map(relayOf)));
        expect(all.filter((one) => chosen.includes(one))).toEqual(chosen);
        const again = distinctRelays(all, second, new Set(chosen.map(({ id }) => id)));
        expect(again).toEqual(chosen);
      }),
    );
  });
});

it('the plugin publishes no relay twice', async () => {
  const bare = createBareHost();
  bare.apply(mergeFairShare);
  const candidates = onRelays([
    [1, 2, 3],
    [3, 4, 5],
    [5, 6, 1],
  ]);
  const answer = await bare.hooks.merge.promise({
    view: { nowMs: 0, heads: [], live: [], epoch: 0, maximumIntroPoints: 20, seed: '' },
    rotation: { live: candidates.map(({ id }) => id), why: '' },
    candidates,
  });
  const chosen = answer?.sets[0] ?? [];
  expect(new Set(chosen.map(relayOf)).size).toBe(6);
  expect(places(chosen, 3)).toEqual([2, 2, 2]);
});
