import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  adminContract,
  meshContract,
  type AdminCommand,
  type Json,
  type MeshChange,
} from '../../../core/engine/index.ts';
import type { Candidate, HeadView, View } from '../../../core/pipeline/index.ts';
import { rouletteStrategy } from '../../../strategies/roulette.ts';
import {
  roulettePlugin,
  calm,
  commanded,
  encodePanic,
  heard,
  passed,
  type Panic,
} from '../../../plugins/roulette/index.ts';
import { createBareHost } from './support.ts';

const roulette = roulettePlugin(rouletteStrategy);

const view = (nowMs: number): View => ({
  nowMs,
  heads: ['a', 'b', 'c', 'd', 'e', 'f'].map((node): HeadView => {
    const head = `${node}/1`;
    return { head, node, siege: 0, candidates: [{ id: `${node}-point`, head, node } as Candidate] };
  }),
  live: [],
  epoch: 1,
  seed: 'seed',
  maximumIntroPoints: 20,
});

describe('panic mode', () => {
  test('any order of commands and records ends in what the highest serial says, and never lasts beyond the limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ node: fc.nat(2), on: fc.boolean(), laterMs: fc.nat(50_000) }), { maxLength: 20 }),
        (commands) => {
          const nodes: Panic[] = [calm, calm, calm];
          let now = 0;
          for (const { node, on, laterMs } of commands) {
            now += laterMs;
            const told = commanded(passed(nodes[node] as Panic, now), on, now, 100_000);
            nodes[node] = told;
            for (const [index, known] of nodes.entries()) {
              nodes[index] = heard(passed(known, now), encodePanic(told, now), now, 100_000);
            }
          }
          const last = commands.at(-1);
          for (const known of nodes) {
            expect(known.on).toBe(last?.on ?? false);
            expect(known.untilMs - now).toBeLessThanOrEqual(100_000);
            expect(passed(known, now + 100_001).on).toBe(false);
          }
        },
      ),
    );
  });

  test('what is no record, jumps too far, or asks for too long, does little or nothing', () => {
    for (const value of [null, 'on', { serial: 1e9, on: true, leftMs: 1 }, { serial: 1, on: 1, leftMs: 1 }]) {
      expect(heard(calm, value as Json, 0, 1_000)).toBe(calm);
    }
    expect(heard(calm, { serial: 1, on: true, leftMs: 1e12 }, 0, 1_000).untilMs).toBe(1_000);
  });

  test('commanded: heads in turns, told to the peers; off by itself', async () => {
    const bare = createBareHost();
    const commands = new Map<string, AdminCommand>();
    const told: Json[] = [];
    bare.provide(adminContract, { command: (one) => void commands.set(one.name, one), status: () => undefined });
    bare.provide(meshContract, {
      members: () => [],
      publish: (_kind, value) => void told.push(value),
      records: () => [],
      record: () => undefined,
      onChange: (_listener: (change: MeshChange) => void) => () => undefined,
      dropped: 0,
      lead: () => undefined,
    });
    bare.apply(roulette, { jitter_secs: 0 });
    await bare.start();
    const live = async (): Promise<string[]> => {
      const answer = await bare.hooks.rotate.promise(view(bare.clock.now()));
      return [...(answer?.live ?? [])].sort();
    };
    expect(await live()).toEqual([]);
    const run = (args: Record<string, Json>): Promise<Json> | undefined =>
      commands.get('panic')?.run(args, () => undefined, new AbortController().signal);
    await expect(run({ on: 'yes' })).rejects.toThrow('panic takes on or off');
    await expect(run({ on: true, forSecs: 1.5 })).rejects.toThrow('panic takes on or off');
    await expect(run({ on: true, forSecs: 1e9 })).rejects.toThrow('panic mode is not turned on for 1000000000 s');
    await run({ on: true, forSecs: 3_600 });
    expect(told).toEqual([{ serial: 1, on: true, leftMs: 3_600_000 }]);
    const turns: string[][] = [];
    for (let turn = 0; turn < 4; turn++) {
      turns.push(await live());
      await bare.clock.advance(600_000);
    }
    for (const [index, turn] of turns.entries()) {
      expect(turn).toHaveLength(3);
      expect(turn.some((id) => turns[index - 1]?.includes(id) ?? false)).toBe(false);
    }
    expect(bare.signals.filter(({ name }) => name === 'tick').length).toBeGreaterThanOrEqual(3);
    await bare.clock.advance(3_600_000);
    expect(await live()).toEqual([]);
    expect(bare.signals.filter(({ name }) => name === 'panic').map(({ payload }) => payload)).toEqual([
      { on: true },
      { on: false },
    ]);
    await bare.stop();
  });

  test('turns below three minutes are refused unless insisted on', () => {
    expect(() => createBareHost().apply(roulette, { every_secs: 60 })).toThrow('allow_fast');
    expect(() => createBareHost().apply(roulette, { every_secs: 60, allow_fast: true })).not.toThrow();
  });
});
