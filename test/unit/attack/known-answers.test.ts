/** What can be reckoned without a simulator, the simulator must find: docs/attack-simulator.md prints these figures. */
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import type { RotationStrategy } from '../../../core/pipeline/index.ts';
import { shuffled } from '../../../core/runtime/random.ts';
import { nothing, type Attacker } from '../../kit/attack/attacker.ts';
import { attackers, defences, simulateAttack, type Defence, type Scenario } from '../../kit/attack/index.ts';

const attacker = (name: string, options: object = {}): Attacker => {
  const definition = attackers.get(name);
  if (definition === undefined) throw new Error(name);
  return definition.create(v.parse(definition.options, options));
};
const defence = (name: string): Defence => defences.get(name) as Defence;
const seeds = (count: number): number[] => Array.from({ length: count }, (_none, index) => index + 1);
const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
/** No visitors, no waiting: only what is asked about. */
const bare: Partial<Scenario> = { sessionsPerSecond: 0, clients: 1, uploadMs: 0, rollovers: false, attackAtMs: 60_000 };

describe('a poller against rotation every 10 minutes: 1 - P/2T for P ≤ T, else T/2P', () => {
  const everyMs = 600_000;
  /** Ten of many, others each time: a list never comes back. */
  interface Turn {
    readonly atMs: number;
    readonly live: readonly string[];
  }
  const turns: RotationStrategy<Turn> = {
    name: 'turns',
    initial: () => ({ atMs: -Infinity, live: [] }),
    decide: ({ nowMs, heads }, before, random) => {
      const points = heads.flatMap(({ candidates }) => candidates.map(({ id }) => id));
      const due = nowMs >= before.atMs + everyMs;
      const state = due ? { atMs: nowMs, live: shuffled(random, points).slice(0, 10) } : before;
      return { rotation: { live: state.live, why: 'a turn' }, state, nextMs: state.atMs + everyMs - nowMs };
    },
  };
  const moving: Defence = { name: 'turns', summary: '', strategy: turns, detects: false, merge: 'fair-share' };
  test.each([
    [1, 0.95],
    [5, 0.75],
    [15, 0.33],
    [60, 0.08],
  ])('P = %i min: its list is current for a share of %f', (minutes, expected) => {
    // Not quite: a period that divides the other keeps its phase for ever.
    const polling = attacker('poller', { period_secs: minutes * 60.8, lag_secs: 0 });
    // It looks, and sends nothing: introductions would wear points out.
    const looking: Attacker = {
      ...polling,
      act: (view, state, random) => {
        const answer = polling.act(view, state, random);
        return { ...answer, attack: { ...answer.attack, flood: nothing, believes: [...answer.attack.flood.keys()] } };
      },
    };
    const shares = seeds(10).map((seed) => {
      const scenario = { ...bare, hours: 17, heads: 60, places: 10, tickMs: 60_000 };
      return simulateAttack({ seed, defence: moving, attacker: looking, scenario }).metrics.targetFreshness ?? 0;
    });
    expect(Math.abs(mean(shares) - expected)).toBeLessThan(0.03);
  });
});

describe('naive Hydra, steered: replacements until half of ten live points are the attacker’s', () => {
  test.each([
    [0.01, 492, 6],
    [0.05, 89, 100],
    [0.1, 40, 100],
  ])('at a share of %f of the relays: %i', (share, expected, count) => {
    const steering = attacker('steer', { relay_share: share, points_at_once: 1, period_secs: 15 });
    const needed = seeds(count).map((seed) => {
      const run = simulateAttack({
        seed,
        defence: defence('naive-hydra'),
        attacker: steering,
        scenario: { ...bare, hours: 24, heads: 10, pointsPerHead: 1, places: 10 },
        until: ({ heads }) => heads.filter(({ current }) => current[0]?.hostile === true).length >= 5,
      });
      return run.metrics.replacements as number;
    });
    // Replacements until the fifth hostile one: their deviation is about the fifth root of the mean's square.
    expect(Math.abs(mean(needed) - expected)).toBeLessThan((3.3 * (expected / Math.sqrt(5))) / Math.sqrt(count));
  });

  test('a budget bounds what the attacker can move; what tor itself wears out remains', () => {
    const steered = (name: string, introLimitPerSecond: number) =>
      seeds(3).map((seed) => {
        const scenario = { ...bare, hours: 2, introLimitPerSecond };
        const { metrics } = simulateAttack({ seed, defence: defence(name), attacker: attacker('steer'), scenario });
        return { replacements: metrics.replacements ?? 0, captured: metrics.captureShare ?? 0 };
      });
    const captured = (runs: ReturnType<typeof steered>): number => mean(runs.map((run) => run.captured));
    const naive = steered('naive-hydra', 25);
    const hydra = steered('hydra', 25);
    const limited = steered('hydra', 2);
    expect(Math.max(...hydra.map(({ replacements }) => replacements))).toBeLessThanOrEqual(6 * 2 + 1);
    expect(captured(hydra)).toBeLessThan(captured(naive) / 2);
    // At 25 a second a point is worn out after 11 to 22 minutes and comes back on another relay: that steers, too.
    expect(captured(limited)).toBeLessThan(captured(hydra));
  });
});

describe('time to a chance of one half of one hostile introduction relay, at 1 % of relays', () => {
  const relays = Math.log(0.5) / Math.log(0.99);
  const hoursUntil = (scenario: Partial<Scenario>, hours: number, of: Defence, initial: number): number => {
    let drawn = 0;
    simulateAttack({
      seed: 1,
      defence: of,
      attacker: attacker('observer'),
      scenario: { ...bare, hours, tickMs: 60_000, ...scenario },
      until: ({ totals }) => {
        drawn = totals.relaysDrawn;
        return false;
      },
    });
    return relays / ((drawn - initial) / hours);
  };
  test('one tor with 3 points: 241 h', () => {
    const hours = hoursUntil({ heads: 1, pointsPerHead: 3 }, 8_000, defence('stable'), 6);
    expect(Math.abs(hours - 241)).toBeLessThan(0.05 * 241);
  });
  test('10 nodes with 2 points each: 36 h', () => {
    const hours = hoursUntil({ heads: 10, pointsPerHead: 2 }, 1_000, defence('stable'), 40);
    expect(Math.abs(hours - 36)).toBeLessThan(0.05 * 36);
  });
  test('20 fresh ones every 10 minutes: 0.6 h', () => {
    const fresh: Defence = { ...defence('roulette-fresh') };
    const strategy: RotationStrategy<number> = {
      name: 'halves',
      initial: () => 0,
      decide: ({ heads }, turn) => ({
        rotation: {
          live: heads
            .filter((_head, index) => index % 2 === turn % 2)
            .flatMap((one) => one.candidates.map(({ id }) => id)),
          why: 'the other half',
        },
        state: turn + 1,
        nextMs: 600_000 - 500,
      }),
    };
    // Five heads leave at a turn, each with two points for each of tor's two descriptors.
    const hours = hoursUntil({ heads: 10, pointsPerHead: 2 }, 24, { ...fresh, strategy }, 40);
    expect(Math.abs(hours - 0.6)).toBeLessThan(0.06);
  });
});

describe('the relays’ rate limit: an honest introduction passes with min(1, 25·K / all)', () => {
  test.each([100, 500, 1_500])('%i a second at 10 points', (perSecond) => {
    const run = simulateAttack({
      seed: 3,
      defence: defence('stable'),
      attacker: attacker('rendezvous', { per_sec: perSecond, period_secs: 3_600 }),
      // Before a point is worn out by what passes: 16,384 introductions take 11 minutes.
      scenario: {
        ...bare,
        uploadMs: 1_000,
        sessionsPerSecond: 10,
        clients: 5_000,
        hours: 0.18,
      },
    });
    const seconds = 0.18 * 3_600 - 60;
    const all = ((run.metrics.attackCells ?? 0) + run.counts.introductions) / seconds;
    expect(Math.abs((run.metrics.firstTrySuccess ?? 0) - Math.min(1, 250 / all))).toBeLessThan(0.03);
  });
});
