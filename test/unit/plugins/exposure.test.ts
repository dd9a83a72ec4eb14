/** plugins/exposure/ refuses what the facts say: with the calculation, and unless it is accepted. */
import { describe, expect, test } from 'vitest';
import { rotatorContract } from '../../../core/engine/index.ts';
import { exposureOf, type RotationStrategy } from '../../../core/pipeline/index.ts';
import exposure from '../../../plugins/exposure/index.ts';
import { distinct } from '../../../strategies/distinct.ts';
import { roulette } from '../../../strategies/roulette.ts';
import { stable } from '../../../strategies/stable.ts';
import { createBareHost } from './support.ts';

async function start(strategy: RotationStrategy<never>, options: Readonly<Record<string, unknown>> = {}) {
  const bare = createBareHost();
  bare.provide(rotatorContract, { strategy: strategy as unknown as RotationStrategy });
  bare.apply(exposure, options);
  const error: unknown = await bare.start().then(
    () => undefined,
    (caught: unknown) => caught,
  );
  return error as { code: string; message: string; remedy: string } | undefined;
}
const six = distinct({ sets: 6, least_points: 6 });
const fast = roulette({ live_heads: 3, every_secs: 600, jitter_secs: 60 });

describe('relays', () => {
  // attacks.md's table, which reckons 50 % as 69 relays: vanilla 3 points 241 h; 20 points 36 h; 20 fresh ones each 10 min 0.6 h.
  test.each([
    [3, 241, 21],
    [20, 36, 21],
    [20, 0.6, 1 / 3],
  ])('%d points: even chances after %d h', (points, hours, lifetime) => {
    expect(exposureOf(points, hours * 0.97, lifetime).chance).toBeLessThan(0.51);
    expect(exposureOf(points, hours * 1.03, lifetime).chance).toBeGreaterThan(0.49);
  });
  test('29 points are accepted, 30 refused, with the calculation', async () => {
    expect(await start(six as never, { heads: 29, points_per_head: 1 })).toBeUndefined();
    expect(await start(six as never, { heads: 10, points_per_head: 3 })).toMatchObject({
      code: 'EXPOSURE_RELAYS',
      message:
        'the rotation shows too many relays: 30 introduction points × 2 descriptors × 24 h / 21 h = 69 relays drawn in 24 h; ' +
        '1 - (1 - 0.01)^69 = 50.0 % for one hostile relay at 1 %; above 50 %',
      remedy: expect.stringContaining('accept_exposure') as string,
    });
  });
  test('unless it is accepted, or the limit is another', async () => {
    expect(await start(six as never, { heads: 40, accept_exposure: true })).toBeUndefined();
    expect(await start(six as never, { heads: 40, limit_percent: 100 })).toBeUndefined();
  });
  test('points that are renewed every ten minutes are too many however few', async () => {
    expect(await start(stable as never, { heads: 1, intro_point_hours: 1 / 6 })).toMatchObject({
      code: 'EXPOSURE_RELAYS',
    });
  });
});

describe('outage', () => {
  test('turns of ten minutes are refused where heads refuse soon after, and not where they never do', async () => {
    expect(await start(fast as never)).toBeUndefined();
    const refused = await start(fast as never, { teardown_secs: 60 });
    expect(refused?.code).toBe('EXPOSURE_OUTAGE');
    expect(refused?.message).toMatch(/left after \d+ s, and refuse 60 s later; \d+ s are below the 900 s/);
    expect(await start(fast as never, { teardown_secs: 600 })).toBeUndefined();
    expect(await start(fast as never, { teardown_secs: 60, accept_outage: true })).toBeUndefined();
  });
  test('what never leaves is never out', async () => {
    expect(await start(stable as never, { teardown_secs: 0 })).toBeUndefined();
  });
});
