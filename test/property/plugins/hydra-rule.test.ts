/** Laws of the hydra's decision over any history of sieges, deaths and newcomers. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../../core/engine/index.ts';
import {
  createHydraState,
  decide,
  defaultHydraSettings as settings,
  recallMemory,
  tellMemory,
  type HydraState,
  type SeenHead,
} from '../../../plugins/hydra/index.ts';

const moment = fc.record({
  /** Milliseconds since the last one. */
  laterMs: fc.integer({ min: 1, max: 900_000 }),
  /** Of each head: gone, or how besieged. */
  heads: fc.array(fc.option(fc.constantFrom(0, 0, 0, 0.4, 1, 3, 50)), { minLength: 1, maxLength: 12 }),
});
const history = fc.array(moment, { minLength: 1, maxLength: 60 });
const see = (sieges: readonly (number | null)[]): SeenHead[] =>
  sieges.flatMap((siege, index) =>
    siege === null ? [] : [{ head: `n${index}/1`, node: `n${index}`, siege, points: 3, published: true }],
  );

interface Seen {
  readonly nowMs: number;
  readonly seen: readonly SeenHead[];
  readonly decision: ReturnType<typeof decide>;
  readonly before: readonly string[];
}

function run(moments: readonly { laterMs: number; heads: readonly (number | null)[] }[]): Seen[] {
  let state = createHydraState();
  let nowMs = 0;
  let before: readonly string[] = [];
  const result: Seen[] = [];
  for (const { laterMs, heads } of moments) {
    nowMs += laterMs;
    const seen = see(heads);
    if (seen.length === 0) continue;
    const decision = decide(seen, state, nowMs, settings, () => 0.5);
    result.push({ nowMs, seen, decision, before });
    ({ state } = decision);
    before = decision.live;
  }
  return result;
}

/** The state after each moment. */
const statesOf = (moments: Parameters<typeof run>[0]): { state: HydraState; nowMs: number }[] =>
  run(moments).map(({ decision, nowMs }) => ({ state: decision.state, nowMs }));

describe('the hydra', () => {
  test('never goes below the floor of live introduction points', () => {
    fc.assert(
      fc.property(history, (moments) => {
        for (const { seen, decision } of run(moments)) {
          expect(3 * decision.live.length).toBeGreaterThanOrEqual(Math.min(settings.floorPoints, 3 * seen.length));
          expect(new Set(decision.live).size).toBe(decision.live.length);
          expect(seen.map(({ head }) => head)).toEqual(expect.arrayContaining([...decision.live]));
        }
      }),
    );
  });

  test('takes living heads out at most once in a cooldown, and six times an hour', () => {
    fc.assert(
      fc.property(history, (moments) => {
        const at: number[] = [];
        for (const { nowMs, seen, decision, before } of run(moments)) {
          const there = new Set(seen.map(({ head }) => head));
          const out = before.filter((head) => there.has(head) && !decision.live.includes(head));
          expect(out.length).toBeLessThanOrEqual(1);
          if (out.length > 0) at.push(nowMs);
        }
        for (const [index, time] of at.entries()) {
          const last = at[index - 1];
          expect(time - (last ?? -Infinity)).toBeGreaterThanOrEqual(settings.cooldownMs);
          expect(at.filter((other) => other <= time && time - other < 3_600_000).length).toBeLessThanOrEqual(6);
        }
      }),
    );
  });

  test('every besieged head that stays sheds, with an alarm', () => {
    fc.assert(
      fc.property(history, (moments) => {
        for (const { seen, decision } of run(moments)) {
          const besieged = seen.filter(({ head, siege }) => siege >= 1 && decision.live.includes(head));
          expect([...decision.shed].sort()).toEqual(besieged.map(({ head }) => head).sort());
          expect(decision.alarm === undefined).toBe(besieged.length === 0);
        }
      }),
    );
  });

  test('a compromised member that cries siege of its own heads moves nothing but them', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 1, 50), { minLength: 10, maxLength: 80 }), (cries) => {
        const steady = [0, 0, 0, 0];
        for (const { decision } of run(cries.map((cry) => ({ laterMs: 60_000, heads: [cry, ...steady] })))) {
          const honest = decision.live.filter((head) => head !== 'n0/1');
          expect(honest.length).toBeGreaterThanOrEqual(3);
        }
      }),
    );
  });

  test('a member that lies of several heads takes no more than its turn: the flooded one is replaced as the next', () => {
    const liar = (heads: number, siege: number): SeenHead[] =>
      Array.from({ length: heads }, (_none, at) => ({
        head: `liar/${at}`,
        node: 'liar',
        siege,
        points: 3,
        published: true,
      }));
    const others = (count: number, siege: number): SeenHead[] =>
      Array.from({ length: count }, (_none, at) => ({
        head: `n${at}/1`,
        node: `n${at}`,
        siege: at === 0 ? siege : 0,
        points: 3,
        published: true,
      }));
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 2, max: 8 }),
        fc.constantFrom(1, 2, 50, 100),
        fc.integer({ min: 0, max: 12 }),
        fc.boolean(),
        (lies, honest, level, cooldownsBefore, elections) => {
          let nowMs = 0;
          let state = createHydraState();
          const step = (seen: readonly SeenHead[], laterMs: number): readonly string[] => {
            nowMs += laterMs;
            const decision = decide(seen, state, nowMs, settings, () => 0.5);
            // What it has taken does not go with the publisher that gave it.
            const told = JSON.parse(JSON.stringify(tellMemory(decision.state, nowMs))) as Json;
            state = elections ? (recallMemory(told, nowMs, nowMs) as HydraState) : decision.state;
            return decision.live;
          };
          step([...liar(lies, 0), ...others(honest, 0)], 1_000);
          // Every head of its own cries, for as long as it likes, before the flood comes.
          for (let turn = 0; turn < cooldownsBefore; turn++) {
            step([...liar(lies, 100), ...others(honest, 0)], settings.cooldownMs);
          }
          const flooded = state.heads.get('n0/1')?.role === 'live';
          step([...liar(lies, 100), ...others(honest, level)], 1_000);
          const live = step([...liar(lies, 100), ...others(honest, level)], settings.cooldownMs);
          fc.pre(flooded);
          expect(live).not.toContain('n0/1');
        },
      ),
    );
  });

  test('a besieged head that the floor keeps does not keep another one', () => {
    const head = (name: string, siege: number, points: number): SeenHead => ({
      head: `${name}/1`,
      node: name,
      siege,
      points,
      published: true,
    });
    const calm = decide([head('big', 0, 9), head('small', 0, 2)], createHydraState(), 0, settings, () => 0.5);
    const seen = [head('big', 100, 9), head('small', 1, 2)];
    expect(decide(seen, calm.state, 1_000, settings, () => 0.5).live).toEqual(['big/1']);
  });

  test('a siege: cut at once, a spare grows in its place; calm again for long, it returns', () => {
    const calm = { laterMs: 60_000, heads: [0, 0, 0, 0] };
    const seen = run([calm, { laterMs: 1_000, heads: [5, 0, 0, 0] }, ...Array.from({ length: 60 }, () => calm)]);
    expect(seen[0]?.decision.live).toEqual(['n0/1', 'n1/1', 'n2/1']);
    expect(seen[1]?.decision.live).toEqual(['n1/1', 'n2/1', 'n3/1']);
    expect(seen[1]?.decision.why).toContain('n0/1 is cut; n3/1 grows');
    expect(seen.at(-1)?.decision.state.heads.get('n0/1')?.role).toBe('spare');
  });

  test('a death is the same path', () => {
    const seen = run([
      { laterMs: 1_000, heads: [0, 0, 0, 0] },
      { laterMs: 1_000, heads: [null, 0, 0, 0] },
    ]);
    expect(seen[1]?.decision.live).toEqual(['n1/1', 'n2/1', 'n3/1']);
  });

  test('asks calm nodes to grow when nothing is left to put in', () => {
    const seen = run([
      { laterMs: 1_000, heads: [0, 0] },
      { laterMs: 1_000, heads: [7, 0] },
    ]);
    expect(seen[1]?.decision.live).toEqual(['n1/1']);
    expect(seen[1]?.decision.grow).toEqual(['n1']);
  });

  test('a head that has grown takes the place of the one that was cut at once; one that was away waits for the budget', () => {
    const seen = run([
      { laterMs: 1_000, heads: [0, 0, 0] },
      { laterMs: 1_000, heads: [7, 0, 0] },
      { laterMs: 2_000, heads: [7, 0, 0, 0] },
      { laterMs: 2_000, heads: [7, null, 0, 0] },
      { laterMs: 2_000, heads: [7, 0, 0, 0] },
      { laterMs: 600_000, heads: [7, 0, 0, 0] },
    ]);
    expect(seen.map(({ decision }) => decision.live.join(' '))).toEqual([
      'n0/1 n1/1 n2/1',
      'n1/1 n2/1',
      'n1/1 n2/1 n3/1',
      'n2/1 n3/1',
      'n2/1 n3/1',
      'n1/1 n2/1 n3/1',
    ]);
    expect(seen.map(({ decision }) => decision.state.replacements.length)).toEqual([0, 1, 1, 1, 1, 2]);
    expect(seen.map(({ decision }) => decision.grow.length)).toEqual([0, 1, 0, 1, 0, 0]);
  });

  test('quiet heads give way to rested ones, whoever is flooded', () => {
    const quiet = { laterMs: 900_000, heads: [0, 0, 0, 0] };
    const live = new Set(run(Array.from({ length: 60 }, () => quiet)).map(({ decision }) => decision.live.join()));
    expect(live.size).toBeGreaterThan(1);
  });
});

describe('what a publisher tells the next one', () => {
  test('leads to the decision that it would have made itself', () => {
    fc.assert(
      fc.property(
        history,
        moment,
        fc.integer({ min: 0, max: 60_000 }),
        fc.integer(),
        (moments, next, onTheWay, skew) => {
          const states = statesOf(moments);
          const last = states.at(-1);
          const seen = see(next.heads);
          fc.pre(last !== undefined && seen.length > 0);
          const { state, nowMs } = last as { state: HydraState; nowMs: number };
          const told = JSON.parse(JSON.stringify(tellMemory(state, nowMs))) as Json;
          // The other node's clock began at another time, and the word was some time on its way.
          const atMs = nowMs + onTheWay + next.laterMs;
          const recalled = recallMemory(told, nowMs + skew, atMs + skew);
          expect(recalled).toBeDefined();
          const kept = decide(seen, state, atMs, settings, () => 0.5);
          const there = decide(seen, recalled as HydraState, atMs + skew, settings, () => 0.5);
          expect({ live: there.live, shed: there.shed, grow: there.grow, why: there.why }).toEqual({
            live: kept.live,
            shed: kept.shed,
            grow: kept.grow,
            why: kept.why,
          });
          expect(there.state.replacements).toHaveLength(kept.state.replacements.length);
        },
      ),
    );
  });

  test('is a state or nothing, whatever it says, and no decision is the worse for it', () => {
    const roles = fc.constantFrom('live', 'spare', 'cut', 'king');
    const almost = fc.record({
      heads: fc.array(
        fc.tuple(fc.string(), roles, fc.double(), fc.option(fc.double()), fc.option(fc.integer({ min: -5 }))),
      ),
      spent: fc.array(fc.tuple(fc.double({ min: -10, max: 1e12 }), fc.option(fc.string()))),
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), almost), moment, (value, { heads }) => {
        const state = recallMemory(value as Json, 0, 1_000) ?? createHydraState();
        const seen = see(heads);
        const { live } = decide(seen, state, 1_000, settings, () => 0.5);
        expect(3 * live.length).toBeGreaterThanOrEqual(Math.min(settings.floorPoints, 3 * seen.length));
      }),
    );
  });
});
