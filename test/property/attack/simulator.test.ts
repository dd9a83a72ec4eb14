/** Laws of the attack simulator, whatever is simulated: chance comes from the seed alone, and figures are what their names say. */
import * as fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { nothing, type Attacker } from '../../kit/attack/attacker.ts';
import { attackers, defences, simulateAttack, type AttackRun, type AttackSetup } from '../../kit/attack/index.ts';

const attackerOf = (name: string): Attacker => {
  const definition = attackers.get(name);
  if (definition === undefined) throw new Error(name);
  return definition.create(v.parse(definition.options, {}));
};
const scenarios = fc.record({
  hours: fc.double({ min: 0.05, max: 0.4, noNaN: true }),
  attackAtMs: fc.integer({ min: 0, max: 600_000 }),
  clients: fc.integer({ min: 1, max: 60 }),
  sessionsPerSecond: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
  heads: fc.integer({ min: 1, max: 24 }),
  pointsPerHead: fc.integer({ min: 1, max: 5 }),
  places: fc.integer({ min: 1, max: 20 }),
  relays: fc.integer({ min: 50, max: 7_000 }),
  hsdirs: fc.integer({ min: 8, max: 100 }),
  introLimitPerSecond: fc.constantFrom(0, 1, 25),
  uploadMs: fc.constantFrom(0, 5_000, 60_000),
});
const setups: fc.Arbitrary<AttackSetup> = fc
  .record({
    seed: fc.integer({ min: 0, max: 1e9 }),
    strategy: fc.constantFrom(...defences.keys()),
    attacker: fc.constantFrom(...attackers.keys()),
    scenario: scenarios,
  })
  .map(({ seed, strategy, attacker, scenario }) => {
    const defence = defences.get(strategy);
    if (defence === undefined) throw new Error(strategy);
    return { seed, defence, attacker: attackerOf(attacker), scenario };
  });
const shares = [
  'reachability',
  'reachabilityNew',
  'reachabilityCached',
  'firstTrySuccess',
  'sessionSurvival',
  'attackYield',
  'targetFreshness',
  'idleNodeShare',
  'relayExposure',
  'captureShare',
  'isolation',
] as const;
/** Neither a share nor a figure that may be below zero. */
const signed = ['benefit', 'leakTiming', 'leakClock'];
const near = 1e-9;

/** Names of the figures that cannot be. */
function strange({ metrics, series }: AttackRun): string[] {
  const wrongShares = shares.filter((name) => {
    const value = metrics[name] ?? 0;
    return !(value >= 0 && value <= 1 + near);
  });
  const negative = Object.entries(metrics).filter(([name, value]) => !signed.includes(name) && !((value ?? 0) >= 0));
  const minutes = series.filter((share) => share !== null && !(share >= 0 && share <= 1));
  const { timeToConnectMs, timeToConnectP95Ms, benefit } = metrics;
  const ordered = (timeToConnectMs ?? 0) <= (timeToConnectP95Ms ?? 0) && (timeToConnectP95Ms ?? 0) <= 60_000;
  return [
    ...wrongShares,
    ...negative.map(([name]) => name),
    ...minutes.map(() => 'series'),
    ...(ordered ? [] : ['timeToConnectMs']),
    ...((benefit ?? 0) <= 1 ? [] : ['benefit']),
  ];
}

describe('whatever is simulated', () => {
  test('every figure is what its name says it is', () => {
    fc.assert(
      fc.property(setups, (setup) => {
        expect(strange(simulateAttack(setup))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test('the seed alone decides', () => {
    fc.assert(
      fc.property(setups, (setup) => {
        expect(simulateAttack(setup)).toEqual(simulateAttack(setup));
      }),
      { numRuns: 15 },
    );
  });

  test('who sends nothing and cuts nothing changes nothing, however it looks', () => {
    fc.assert(
      fc.property(setups, (setup) => {
        const looking: Attacker = {
          ...setup.attacker,
          relayShare: 0,
          act: (view, state, random) => {
            const { attack, state: next } = setup.attacker.act(view, state, random);
            return { attack: { flood: nothing, nextMs: attack.nextMs }, state: next };
          },
        };
        const quiet: Attacker = {
          name: 'quiet',
          initial: () => null,
          act: (_view, state) => ({ attack: { flood: nothing, nextMs: 1e9 }, state }),
        };
        const [watched, alone] = [looking, quiet].map((attacker) => simulateAttack({ ...setup, attacker }));
        expect(watched?.series).toEqual(alone?.series);
        expect(watched?.counts).toEqual(alone?.counts);
      }),
      { numRuns: 15 },
    );
  });

  test('no visitor fails where nobody attacks and nothing moves', () => {
    const calm = { defence: defences.get('stable') as AttackSetup['defence'], attacker: attackerOf('observer') };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), scenarios, (seed, scenario) => {
        const setup = { ...calm, seed, scenario: { ...scenario, introLimitPerSecond: 25, uploadMs: 0 } };
        expect(simulateAttack(setup).metrics.reachability ?? 1).toBe(1);
      }),
      { numRuns: 20 },
    );
  });
});
