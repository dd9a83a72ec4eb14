/**
 * The laws of a rotation strategy. Enter at `describeRotationStrategy` with one; `rotationLaws` are the same laws one by one,
 * for other test runners.
 *
 * Three kinds: `safety` laws, which the pipeline or the protocol needs, hold for every strategy. `rotation` laws hold for those
 * that choose points on a clock, `siege` laws for those that answer a flood. Each says why.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { modelView, type Decision, type RotationStrategy, type View } from '../../../core/pipeline/index.ts';
import { paddingBucket } from '../../../strategies/plan.ts';
import { createSeededRandom } from '../sim/seeded-random.ts';
import { arbitraryRotationStory, type RotationMoment } from './rotation-story.ts';

export interface RotationLaw {
  readonly name: string;
  readonly kind: 'safety' | 'rotation' | 'siege';
  readonly why: string;
  /** Throws with a counterexample when the strategy breaks the law. */
  check(strategy: RotationStrategy): void;
}

const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 1, 9, 17, 3);
const largestState = 16_384;

function hold(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
const idsIn = (view: View): string[] => view.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id));
const textOf = ({ rotation, nextMs, state }: Decision<unknown>): string =>
  JSON.stringify([rotation.live, rotation.groups, nextMs, state]);

interface Asked {
  readonly view: View;
  readonly before: unknown;
  readonly decision: Decision<unknown>;
  readonly seed: number;
}

/** Lets the strategy live through a story: it sees what was published, as it would in a node. */
function livedThrough(strategy: RotationStrategy, moments: readonly RotationMoment[]): Asked[] {
  const asked: Asked[] = [];
  let before = strategy.initial();
  let live: readonly string[] = [];
  for (const [seed, { view: shown }] of moments.entries()) {
    const view = { ...shown, live };
    const decision = strategy.decide(view, before, createSeededRandom(seed));
    asked.push({ view, before, decision, seed });
    before = decision.state;
    live = decision.rotation.live;
  }
  return asked;
}

function always(holds: (asked: Asked, strategy: RotationStrategy) => void, numRuns = 60): RotationLaw['check'] {
  return (strategy) => {
    fc.assert(
      fc.property(arbitraryRotationStory(), (moments) => {
        for (const asked of livedThrough(strategy, moments)) holds(asked, strategy);
      }),
      { numRuns },
    );
  };
}

interface Calm {
  readonly heads: number;
  readonly pointsPerHead: number;
  readonly maximumIntroPoints: number;
  readonly seed: string;
}
const arbitraryCalm: fc.Arbitrary<Calm> = fc.record({
  heads: fc.integer({ min: 1, max: 30 }),
  pointsPerHead: fc.integer({ min: 1, max: 6 }),
  maximumIntroPoints: fc.constantFrom(3, 8, 17, 20, 20),
  seed: fc.string({ minLength: 1, maxLength: 8 }),
});

/** Always tried: a cluster with more points than there are hours in the laws' days. */
const largeCalm: Calm = { heads: 30, pointsPerHead: 6, maximumIntroPoints: 20, seed: 'large' };

/** Asks whenever the strategy wants, of a cluster in which nothing happens. `atMs` with each decision. */
function calmFor(
  strategy: RotationStrategy,
  calm: Calm,
  hours: number,
): { readonly atMs: number; readonly decision: Decision<unknown> }[] {
  const decisions: { atMs: number; decision: Decision<unknown> }[] = [];
  let state = strategy.initial();
  for (let atMs = startMs; atMs < startMs + hours * hourMs && decisions.length < 2_000;) {
    const view = modelView({ ...calm, nowMs: atMs }, decisions.at(-1)?.decision.rotation.live);
    const decision = strategy.decide(view, state, createSeededRandom(decisions.length));
    decisions.push({ atMs, decision });
    state = decision.state;
    atMs += Math.max(1_000, decision.nextMs ?? hourMs);
  }
  return decisions;
}

function whenCalm(holds: (calm: Calm, strategy: RotationStrategy) => void, numRuns = 15): RotationLaw['check'] {
  return (strategy) => {
    fc.assert(
      fc.property(arbitraryCalm, (calm) => holds(calm, strategy)),
      { numRuns, examples: [[largeCalm]] },
    );
  };
}

/** Six heads with three points each; `levels` says how besieged each head is at a second. Asked every ten seconds, and when it wants. */
function besieged(
  strategy: RotationStrategy,
  levels: (second: number) => readonly number[],
  forSecs: number,
): readonly { readonly second: number; readonly live: readonly string[] }[] {
  const told: { second: number; live: readonly string[] }[] = [];
  let state = strategy.initial();
  for (let second = 0; second < forSecs; second += 10) {
    const calm = modelView({ heads: 6, pointsPerHead: 3, nowMs: startMs + second * 1_000, seed: 'siege' });
    const level = levels(second);
    const heads = calm.heads.map((head, index) => ({ ...head, siege: level[index] ?? 0 }));
    const decision = strategy.decide(
      { ...calm, heads, live: told.at(-1)?.live ?? [] },
      state,
      createSeededRandom(second),
    );
    state = decision.state;
    told.push({ second, live: decision.rotation.live });
  }
  return told;
}
const isOf = (head: number) => (id: string) => id.startsWith(`head-0${head + 1}#`);

export const rotationLaws: readonly RotationLaw[] = [
  {
    name: 'never nothing: something is live whenever anything is there',
    kind: 'safety',
    why: 'an empty descriptor is an outage that lasts as long as clients keep it',
    check: always(({ view, decision }) =>
      hold(decision.rotation.live.length > 0 || idsIn(view).length === 0, 'nothing is live'),
    ),
  },
  {
    name: 'only what the view has, none twice',
    kind: 'safety',
    why: 'an id that is gone is dropped later, and the descriptor is emptier than the strategy thinks',
    check: always(({ view, decision: { rotation } }) => {
      const known = new Set(idsIn(view));
      const unknown = rotation.live.find((id) => !known.has(id));
      hold(unknown === undefined, `${unknown} is live and not in the view`);
      hold(new Set(rotation.live).size === rotation.live.length, 'a point is live twice');
    }),
  },
  {
    name: 'groups have all that is live and nothing else, none is empty or larger than a descriptor',
    kind: 'safety',
    why: 'who is live in no group is published nowhere; an empty descriptor serves nobody',
    check: always(({ view, decision: { rotation } }) => {
      if (rotation.groups === undefined || rotation.live.length === 0) return;
      const grouped = new Set(rotation.groups.flat());
      hold(
        grouped.size === rotation.live.length && rotation.live.every((id) => grouped.has(id)),
        'live and grouped differ',
      );
      hold(
        rotation.groups.every((group) => group.length > 0 && group.length <= view.maximumIntroPoints),
        'a group is empty or too large',
      );
    }),
  },
  {
    name: 'the same view, state and chance give the same decision, and neither is changed',
    kind: 'safety',
    why: 'simulations replay from a seed, and members must come to the same plan',
    check: always(({ view, before, decision, seed }, strategy) => {
      const frozen = { ...view, heads: Object.freeze([...view.heads]), live: Object.freeze([...view.live]) };
      const kept = JSON.stringify(before);
      const again = strategy.decide(frozen, before, createSeededRandom(seed));
      hold(textOf(again) === textOf(decision), 'another decision the second time');
      hold(JSON.stringify(before) === kept, 'the state was changed in place');
    }),
  },
  {
    name: 'the state is JSON, and small',
    kind: 'safety',
    why: 'it is written down and told to the member that publishes next; it may not grow with time or heads that are gone',
    check: always(({ view, decision, seed, before }, strategy) => {
      const text = JSON.stringify(decision.state);
      hold(text.length <= largestState, `a state of ${text.length} bytes`);
      if (before === undefined || JSON.stringify(before) === undefined) throw new Error('the state is no JSON');
      const returned = strategy.decide(view, JSON.parse(JSON.stringify(before)) as unknown, createSeededRandom(seed));
      hold(textOf(returned) === textOf(decision), 'another decision with the state that JSON gives back');
      const restored = strategy.restore?.(JSON.parse(text));
      hold(strategy.restore === undefined || restored !== undefined, 'its own state is refused by restore');
    }),
  },
  {
    name: 'a foreign state is refused, or does no harm',
    kind: 'safety',
    why: 'a compromised member may tell any; it must not stop or empty the next publisher',
    check: (strategy) => {
      fc.assert(
        fc.property(fc.jsonValue({ maxDepth: 3 }), arbitraryRotationStory(), (value, [moment]) => {
          const state = strategy.restore?.(value);
          if (state === undefined || moment === undefined) return;
          const { rotation } = strategy.decide(moment.view, state, createSeededRandom(1));
          hold(rotation.live.length > 0 || idsIn(moment.view).length === 0, 'nothing is live');
        }),
        { numRuns: 100 },
      );
    },
  },
  {
    name: 'it wants to be asked again in a second to a week, or not at all',
    kind: 'safety',
    why: 'below, it keeps the node busy with cycles and the HSDirs with uploads; NaN and Infinity stop a timer for good',
    check: always(({ decision: { nextMs } }) =>
      hold(nextMs === undefined || (nextMs >= 1_000 && nextMs <= 7 * 24 * hourMs), `nextMs is ${nextMs}`),
    ),
  },
  {
    name: 'no more than fit',
    kind: 'rotation',
    why: 'what the merge has to leave out is left out by chance: the plan is not what is published',
    check: always(({ view, decision: { rotation } }) => {
      const room = view.maximumIntroPoints * Math.max(1, rotation.groups?.length ?? 1);
      hold(rotation.live.length <= room, `${rotation.live.length} are live, ${room} fit`);
    }),
  },
  {
    name: 'holds the padding bucket: while nothing happens the descriptor’s size shows nothing',
    kind: 'rotation',
    why: 'HSDirs see the size; 8 and 9 introduction points differ by 10,000 bytes',
    check: whenCalm((calm, strategy) => {
      const sizes = calmFor(strategy, calm, 30).map(({ decision: { rotation } }) =>
        paddingBucket(Math.min(rotation.live.length, calm.maximumIntroPoints)),
      );
      hold(new Set(sizes).size === 1, `sizes for ${[...new Set(sizes)].join(' and ')} points`);
    }),
  },
  {
    name: 'a stable pool: the second day shows no point that the first did not',
    kind: 'rotation',
    why: 'each relay shown is one more chance for an attacker’s; rotation moves within a pool',
    check: whenCalm((calm, strategy) => {
      const told = calmFor(strategy, calm, 60);
      const seen = new Set<string>();
      for (const { atMs, decision } of told) {
        const fresh = decision.rotation.live.filter((id) => !seen.has(id));
        hold(atMs < startMs + 36 * hourMs || fresh.length === 0, `${fresh[0]} is new after a day and a half`);
        for (const id of fresh) seen.add(id);
      }
    }, 6),
  },
  {
    name: 'the next publisher goes on: who knows no state comes to the same plan',
    kind: 'rotation',
    why: 'a publisher that dies must not move the target, or whoever can kill one steers it',
    check: whenCalm((calm, strategy) => {
      for (const [index, { atMs, decision }] of calmFor(strategy, calm, 12).entries()) {
        const view = modelView({ ...calm, nowMs: atMs });
        const fresh = strategy.decide(view, strategy.initial(), createSeededRandom(index + 1_000));
        const sorted = (live: readonly string[]): string => [...live].sort().join(' ');
        hold(sorted(fresh.rotation.live) === sorted(decision.rotation.live), `another plan at ${atMs}`);
      }
    }),
  },
  {
    name: 'what shows in time is jittered',
    kind: 'rotation',
    why: 'changes on the minute tell who watches an HSDir what the service is, and when the next comes',
    check: whenCalm((calm, strategy) => {
      const told = calmFor(strategy, calm, 24);
      const changes = told.filter(
        ({ decision }, index) =>
          index > 0 && decision.rotation.live.join(' ') !== told[index - 1]?.decision.rotation.live.join(' '),
      );
      if (changes.length < 4) return;
      const gaps = changes.slice(1).map(({ atMs }, index) => atMs - (changes[index]?.atMs ?? 0));
      hold(new Set(gaps).size > 2, `all changes are ${[...new Set(gaps)].join(' or ')} ms apart`);
    }),
  },
  {
    name: 'nobody foresees it without the seed',
    kind: 'rotation',
    why: 'names of heads and the time of day are no secret',
    check: (strategy) => {
      const plans = Array.from({ length: 12 }, (_none, index) => {
        const view = modelView({
          heads: 12,
          pointsPerHead: 4,
          maximumIntroPoints: 8,
          nowMs: startMs,
          seed: `seed ${index}`,
        });
        const { rotation } = strategy.decide(view, strategy.initial(), createSeededRandom(7));
        return JSON.stringify([rotation.live, rotation.groups]);
      });
      hold(new Set(plans).size > 6, `${new Set(plans).size} plans for 12 seeds`);
    },
  },
  {
    name: 'a besieged head is out while others are calm',
    kind: 'siege',
    why: 'that is what it is for',
    check: (strategy) => {
      for (const { second, live } of besieged(strategy, () => [0, 0, 4], 300)) {
        hold(!live.some(isOf(2)), `the besieged head is live at ${second} s`);
      }
    },
  },
  {
    name: 'the floor holds: when all are besieged a descriptor’s worth of clients still finds a way',
    kind: 'siege',
    why: 'sieges can be reported falsely, or be everywhere; who cuts every head has done the attacker’s work',
    check: (strategy) => {
      fc.assert(
        fc.property(fc.array(fc.constantFrom(1, 2, 8), { minLength: 6, maxLength: 6 }), (levels) => {
          for (const { live, second } of besieged(strategy, () => levels, 120)) {
            hold(live.length >= 3, `${live.length} points are live at ${second} s`);
          }
        }),
        { numRuns: 20 },
      );
    },
  },
  {
    name: 'it comes back: a day after the siege all is as before',
    kind: 'siege',
    why: 'otherwise every siege, true or not, takes capacity for good',
    check: (strategy) => {
      const told = besieged(strategy, (second) => (second < 600 ? [2, 2, 2, 2] : []), 90_000);
      hold(told.at(-1)?.live.length === 18, `${told.at(-1)?.live.length} of 18 points are live again`);
    },
  },
  {
    name: 'no thrash: an attacker that pulses moves it a few times, not with every pulse',
    kind: 'siege',
    why: 'each move costs uploads and clients’ time; the attacker’s pulses must not be our clock',
    check: (strategy) => {
      fc.assert(
        fc.property(fc.integer({ min: 10, max: 180 }), (offTens) => {
          const period = 120 + offTens * 10;
          const told = besieged(strategy, (second) => (second % period < 120 ? [4] : []), 6 * 3_600);
          const moves = told.filter(({ live }, index) => index > 0 && live.join() !== told[index - 1]?.live.join());
          hold(moves.length <= 10, `${moves.length} moves in 6 h of pulses every ${period} s`);
        }),
        { numRuns: 10 },
      );
    },
  },
];

/** Declares one test a law. A strategy that does nothing on a clock leaves `rotation` out, one that knows no siege `siege`. */
export function describeRotationStrategy(
  name: string,
  strategy: RotationStrategy,
  kinds: readonly RotationLaw['kind'][] = ['safety', 'rotation'],
): void {
  describe(`rotation strategy ${name}`, () => {
    test.each(rotationLaws.filter(({ kind }) => kinds.includes(kind)))('$name', (law) => {
      expect(() => law.check(strategy)).not.toThrow();
    });
  });
}
