/** A node that was asked to grow a head and has none to give is left alone for a while, and the next one is asked. */
import { expect, test } from 'vitest';
import {
  createHydraState,
  decide,
  defaultHydraSettings as settings,
  type SeenHead,
} from '../../../plugins/hydra/index.ts';
import { GrowRequests } from '../../../plugins/hydra/requests.ts';

const head = (node: string, index = 1, siege = 0): SeenHead => ({
  head: `${node}/${index}`,
  node,
  siege,
  points: 3,
  published: true,
});
const besieged = [head('a', 1, 5), head('b'), head('c')];

/** Who is asked, by seconds, while heads are as `at` says. */
function course(seconds: number, at: (second: number) => readonly SeenHead[]): Map<number, string> {
  const requests = new GrowRequests();
  let state = decide([head('a'), head('b'), head('c')], createHydraState(), 0, settings, () => 0.5).state;
  const changes = new Map<number, string>();
  let before = '';
  for (let second = 1; second <= seconds; second++) {
    const heads = at(second);
    const { resting } = requests.look(heads, second * 1_000);
    const decision = decide(heads, state, second * 1_000, settings, () => 0.5, resting);
    ({ state } = decision);
    requests.ask(decision.grow, heads, second * 1_000);
    const asked = decision.grow.join(' ');
    if (asked !== before) changes.set(second, asked);
    before = asked;
  }
  return changes;
}

test('the asking passes from the calmest to the next, and comes back after ten minutes', () => {
  const asked = course(900, () => besieged);
  // One after the other is given two minutes; the besieged one comes last.
  expect([...asked]).toEqual([
    [1, 'b'],
    [121, 'c'],
    [241, 'a'],
    [361, ''],
    [721, 'b'],
    [841, 'c'],
  ]);
});

test('one that has grown was not asked in vain', () => {
  const asked = course(900, (second) => (second < 60 ? besieged : [...besieged, head('b', 2)]));
  expect([...asked]).toEqual([
    [1, 'b'],
    [60, ''],
  ]);
});

test('it is known when to look again, and nothing is kept of those who are no longer asked', () => {
  const requests = new GrowRequests();
  expect(requests.nextMs(0)).toBeUndefined();
  requests.ask(['b'], besieged, 0);
  expect(requests.nextMs(20_000)).toBe(100_000);
  expect(requests.look(besieged, 119_999)).toEqual({ resting: new Set(), news: [] });
  expect(requests.look(besieged, 120_000)).toEqual({ resting: new Set(['b']), news: ['b'] });
  expect(requests.nextMs(120_000)).toBe(600_000);
  requests.ask(['c'], besieged, 130_000);
  requests.ask([], besieged, 140_000);
  expect(requests.look(besieged, 400_000)).toEqual({ resting: new Set(['b']), news: [] });
  expect(requests.look(besieged, 720_000)).toEqual({ resting: new Set(), news: [] });
  expect(requests.nextMs(720_000)).toBeUndefined();
  requests.ask(['b'], besieged, 720_000);
  requests.clear();
  expect(requests.nextMs(720_000)).toBeUndefined();
});
