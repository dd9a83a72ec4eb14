import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { rotateStages, type RotationStrategy, type View } from '../../../core/pipeline/index.ts';
import { strategyPlugin } from '../../../plugins/strategy/index.ts';
import { stable } from '../../../strategies/stable.ts';
import { arbitraryView } from '../../kit/laws/arbitraries.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { createBareHost } from './support.ts';

const view: View = { nowMs: 0, heads: [], live: [], epoch: 0, maximumIntroPoints: 20, seed: '' };

/** Counts its decisions in its state. */
function counting(nextMs: (count: number) => number | undefined): RotationStrategy<number> {
  return {
    name: 'counting',
    initial: () => 0,
    decide: (_view, count) => {
      const next = nextMs(count);
      return {
        rotation: { live: [String(count)], why: '' },
        state: count + 1,
        ...(next === undefined ? {} : { nextMs: next }),
      };
    },
  };
}

test('keeps the state between decisions, and gives the strategy this node’s chance', async () => {
  const bare = createBareHost();
  const draws: number[] = [];
  bare.apply(
    strategyPlugin({
      name: 'drawing',
      initial: () => 5,
      decide: (_view, state: number, random) => {
        draws.push(random.int(1000));
        return { rotation: { live: [String(state)], why: 'drawn' }, state: state + 1 };
      },
    }),
  );
  expect((await bare.hooks.rotate.promise(view))?.live).toEqual(['5']);
  expect((await bare.hooks.rotate.promise(view))?.live).toEqual(['6']);
  const same = createSeededRandom('plugin');
  expect(draws).toEqual([same.int(1000), same.int(1000)]);
});

test('wakes the pipeline when the strategy asks for it; a later decision replaces the earlier wish', async () => {
  const bare = createBareHost();
  bare.apply(strategyPlugin(counting((count) => [1000, 5000, undefined][count])));
  await bare.hooks.rotate.promise(view);
  await bare.clock.advance(999);
  expect(bare.signals).toEqual([]);
  await bare.clock.advance(1);
  expect(bare.signals).toEqual([{ name: 'tick', payload: { why: 'strategy counting' } }]);
  await bare.hooks.rotate.promise(view);
  await bare.hooks.rotate.promise(view);
  expect(bare.clock.pending).toBe(0);
});

test('the stop takes the wish back', async () => {
  const bare = createBareHost();
  bare.apply(strategyPlugin(counting(() => 1000)));
  await bare.hooks.rotate.promise(view);
  await bare.stop();
  expect(bare.clock.pending).toBe(0);
});

test('panic and reactive plugins answer before it, whoever came first', async () => {
  const bare = createBareHost();
  bare.apply(strategyPlugin(counting(() => undefined)));
  bare.hooks.rotate.tap({ name: 'panic', stage: rotateStages.panic }, () => ({ live: ['panic'], why: '' }));
  expect((await bare.hooks.rotate.promise(view))?.live).toEqual(['panic']);
});

test('stable: whatever is shown is live, and the state never changes', () => {
  fc.assert(
    fc.property(arbitraryView(), (any) => {
      const { rotation, state, nextMs } = stable.decide(any, null, createSeededRandom(0));
      const all = any.heads.flatMap(({ candidates }) => candidates.map(({ id }) => id));
      return rotation.live.join() === all.join() && state === null && nextMs === undefined;
    }),
  );
  expect(strategyPlugin(stable).name).toBe('strategy/stable');
});
