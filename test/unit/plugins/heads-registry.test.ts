import { expect, test } from 'vitest';
import { headRegistryContract } from '../../../core/engine/index.ts';
import type { HeadReport } from '../../../core/pipeline/index.ts';
import { headsRegistry } from '../../../plugins/heads/registry/index.ts';
import { makeConsensus } from '../pipeline/support.ts';
import { createBareHost } from './support.ts';

function report(head: string, descriptor: string): HeadReport {
  return { head, node: 'one', address: 'x' as never, descriptor, provenance: 'service', observedAt: 0 };
}
function applied() {
  const bare = createBareHost();
  bare.apply(headsRegistry);
  return {
    bare,
    registry: bare.given(headRegistryContract),
    told: () => bare.signals.splice(0).map(({ payload }) => ('why' in payload ? payload.why : '')),
    gathered: async () => {
      const reports: HeadReport[] = [];
      const { signal } = new AbortController();
      await bare.hooks.gather.promise({ consensus: makeConsensus(), signal, add: (one) => reports.push(one) });
      return reports.map(({ head, descriptor }) => `${head} ${descriptor}`);
    },
  };
}

test('tells the cycle what it knows, and signals for each head that came, changed or went', async () => {
  const { registry, told, gathered } = applied();
  expect(await gathered()).toEqual([]);
  registry.set([report('one/1', 'x'), report('one/2', 'y')], 'heads');
  expect(told()).toEqual(['one/1 is there', 'one/2 is there']);
  registry.set([report('one/1', 'z'), report('one/2', 'y')], 'heads');
  expect(told()).toEqual(['one/1 has others']);
  expect(await gathered()).toEqual(['one/1 z', 'one/2 y']);
  registry.set([report('one/2', 'y')], 'heads');
  expect(told()).toEqual(['one/1 is gone']);
  registry.set([], 'heads');
  expect(told()).toEqual(['one/2 is gone']);
  expect(await gathered()).toEqual([]);
});

test('the same again is no news', () => {
  const { registry, told } = applied();
  registry.set([report('one/1', 'x')]);
  told();
  registry.set([report('one/1', 'x')]);
  expect(told()).toEqual([]);
});

test('sources do not overwrite each other', async () => {
  const { registry, gathered } = applied();
  registry.set([report('one/1', 'x')], 'heads/disposable');
  registry.set([report('one/b', 'y')], 'backends');
  registry.set([], 'heads/disposable');
  expect(await gathered()).toEqual(['one/b y']);
});

test('a list that the caller goes on changing is not ours', async () => {
  const { registry, gathered } = applied();
  const list = [report('one/1', 'x')];
  registry.set(list);
  list.pop();
  expect(await gathered()).toEqual(['one/1 x']);
});
