/** A member that lies about epochs stops no election, neither at once nor step by step; honest leaps are followed. */
import { describe, expect, test } from 'vitest';
import {
  decide,
  initialState,
  largestEpoch,
  overtakenBy,
  type Contender,
  type ElectionDecision,
  type ElectionState,
} from '../../../plugins/election/index.ts';
import { largestLeap } from '../../../plugins/election/belief.ts';
import { priorityOrder } from '../../../plugins/election/priority/index.ts';
import { lawSettings as settings } from '../../kit/laws/election-order.ts';

const election = { order: priorityOrder(1), settings };
const self = { node: 'a', able: true, stepDown: false };
const contender = (node: string, said: Partial<Contender> = {}): Contender => ({
  node,
  merit: 9,
  ready: true,
  highest: undefined,
  claim: undefined,
  published: 0,
  successor: undefined,
  heardAtMs: 0,
  alive: true,
  ...said,
});

/** Looks every 500 ms; `others` are heard each time. */
function live(state: ElectionState, fromMs: number, toMs: number, others: (nowMs: number) => readonly Contender[]) {
  let decision: ElectionDecision | undefined;
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 500) {
    const heard = others(nowMs).map((one) => ({ ...one, heardAtMs: nowMs }));
    decision = decide(decision?.state ?? state, { nowMs, self, others: heard, alone: false }, election);
  }
  return decision as ElectionDecision;
}

describe('a member that names the last epoch', () => {
  test.each([
    ['seen', { highest: largestEpoch }],
    ['claimed', { highest: largestEpoch, claim: largestEpoch, published: 1 }],
  ])('as %s is not believed: the others elect, and it is named', (_how, lie) => {
    const liar = contender('z', lie);
    const kept = initialState({ nowMs: 0, settings, highest: 7 });
    expect(live(kept, 0, 5_000, () => [contender('b', { highest: 7 }), liar])).toMatchObject({
      elected: true,
      epoch: 8,
      doubted: ['z'],
    });
    // Nor by nodes that remember nothing, among more than two.
    const fresh = initialState({ nowMs: 0, settings });
    expect(live(fresh, 0, 5_000, () => [contender('b'), liar])).toMatchObject({ elected: true, epoch: 0 });
  });

  test('step by step uses up its stock once, and then gains an epoch a lease', () => {
    const kept = initialState({ nowMs: 0, settings, highest: 0 });
    let lie = 0;
    // It always names the most that is believed.
    const liar = (): Contender => contender('z', { highest: lie });
    let decision = live(kept, 0, 0, () => []);
    for (let nowMs = 500; nowMs <= 600_000; nowMs += 500) {
      lie = (decision.state.highest ?? 0) + Math.floor(decision.state.leapsLeft);
      decision = decide(
        decision.state,
        { nowMs, self, others: [{ ...liar(), heardAtMs: nowMs }], alone: false },
        election,
      );
    }
    expect(decision.epoch).toBeLessThanOrEqual(largestLeap + 600_000 / settings.leaseMs + 2);
    const without = live(decision.state, 600_500, 620_000, () => []);
    expect(without).toMatchObject({ elected: true });
  });

  test('in a descriptor is not followed', () => {
    const mine = live(initialState({ nowMs: 0, settings }), 0, 5_000, () => []);
    expect(overtakenBy(mine.state, largestEpoch, { nowMs: 5_000, missing: false, settings })).toBe(mine.state);
  });
});

test('a node that was away for years follows the cluster, and a node that comes to it too', () => {
  const publisher = contender('b', { highest: 500_000, claim: 500_000, published: 3 });
  const other = contender('c', { highest: 500_000 });
  for (const highest of [3, undefined]) {
    const state = initialState({ nowMs: 0, settings, ...(highest === undefined ? {} : { highest }) });
    expect(live(state, 0, 1_000, () => [publisher, other])).toMatchObject({
      publisher: 'b',
      epoch: 500_000,
      doubted: [],
    });
  }
});
