/** A strategy of the operator's own, from plugins/strategy/file/, by the configuration; and what is told to the next publisher. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { resolveConfig } from '../../../core/config/index.ts';
import {
  drainContract,
  meshContract,
  rotatorContract,
  type ClusterRecord,
  type Json,
} from '../../../core/engine/index.ts';
import { modelView, type CycleResult } from '../../../core/pipeline/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { loadStrategy, strategyPlugin } from '../../../plugins/strategy/index.ts';
import { presets } from '../../../presets/index.ts';
import { staggered, staggeredStrategy } from '../../../strategies/staggered.ts';
import { createBareHost } from './support.ts';

const directory = await mkdtemp(join(tmpdir(), 'chimera-strategy-'));
afterAll(() => rm(directory, { recursive: true }));
let files = 0;
async function moduleOf(text: string): Promise<string> {
  const file = join(directory, `strategy-${files++}.mjs`);
  await writeFile(file, text);
  return file;
}
const firstOnly = `export default ({ points = 1 }) => ({
  name: 'first-only',
  initial: () => null,
  decide: (view, state) => ({
    rotation: { live: view.heads[0].candidates.slice(0, points).map(({ id }) => id), why: 'the first' },
    state,
  }),
});`;

test('[strategy] file replaces the preset’s strategy; the rest of the table is its own', async () => {
  const file = await moduleOf(firstOnly);
  const value = {
    strategy: { file: `./${file.split('/').at(-1)}`, points: 2 },
    node: { state_directory: directory },
    master: { identity_key_path: '/key' },
  };
  const resolved = await resolveConfig(
    { file: `${directory}/c.toml`, directory, value },
    { presets, plugins },
    'stable',
  );
  expect(resolved.plugins.map(({ name }) => name).filter((name) => name.startsWith('strategy'))).toEqual([
    'strategy/file',
  ]);
  expect(resolved.options.get('strategy/file')).toEqual({ file, points: 2 });
  const bare = createBareHost();
  bare.apply(plugins.get('strategy/file') as never, resolved.options.get('strategy/file') as never);
  await bare.start();
  const view = modelView({ heads: 2, pointsPerHead: 3, nowMs: 0, seed: '' });
  expect((await bare.hooks.rotate.promise(view))?.live).toEqual(['head-01#1', 'head-01#2']);
  expect(bare.given(rotatorContract).strategy.name).toBe('first-only');
});

describe('its exposure is reckoned in every preset', () => {
  /** Another head each minute, by the clock. */
  const hasty = `export default {
    name: 'hasty',
    initial: () => null,
    decide({ heads, nowMs }, state) {
      const { candidates } = heads[Math.floor(nowMs / 60_000) % heads.length];
      return { rotation: { live: candidates.map(({ id }) => id), why: 'next' }, state, nextMs: 60_000 };
    },
  };`;
  const resolve = async (tables: Readonly<Record<string, unknown>>, preset = 'stable') => {
    const value = { strategy: { file: await moduleOf(hasty) }, master: { identity_key_path: '/key' }, ...tables };
    return resolveConfig({ file: `${directory}/c.toml`, directory, value }, { presets, plugins }, preset);
  };
  /** Starts the two plugins as they are resolved; gives what ends the start. */
  const start = async (tables: Readonly<Record<string, unknown>>, graceSecs?: number): Promise<unknown> => {
    const { plugins: found, options } = await resolve(tables);
    const bare = createBareHost();
    if (graceSecs !== undefined) bare.provide(drainContract, { graceMs: graceSecs * 1_000 });
    for (const plugin of found) {
      if (['strategy/file', 'exposure'].includes(plugin.name)) bare.apply(plugin, options.get(plugin.name));
    }
    return bare.start().then(
      () => undefined,
      (error: unknown) => error,
    );
  };

  test('more relays than may be are refused, unless they are accepted', async () => {
    expect(await start({ exposure: { heads: 12 } })).toMatchObject({ code: 'EXPOSURE_RELAYS' });
    expect(await start({ exposure: { heads: 12, accept_exposure: true } })).toBeUndefined();
  });
  test('turns that are too fast for the ghost’s grace are refused, unless they are accepted', async () => {
    expect(await start({})).toBeUndefined();
    expect(await start({}, 900)).toBeUndefined();
    expect(await start({}, 300)).toMatchObject({ code: 'EXPOSURE_OUTAGE' });
    expect(await start({ exposure: { accept_outage: true } }, 300)).toBeUndefined();
  });
  test('the plugin is there once, after a preset’s own as well, and may be removed', async () => {
    const names = async (tables: Readonly<Record<string, unknown>>, preset?: string) =>
      (await resolve(tables, preset)).plugins.map(({ name }) => name).filter((name) => name === 'exposure');
    expect(await names({}, 'staggered')).toEqual(['exposure']);
    expect(await names({ plugins: { remove: ['exposure'] } })).toEqual([]);
  });
});

describe('what is no strategy is named', () => {
  test.each([
    ['export default 5;', 'no strategy as its default export'],
    ['export default { name: "Bad Name", initial() {}, decide() {} };', 'no strategy as its default export'],
    ['export const strategy = 1;', 'no strategy as its default export'],
    ['export default {', 'cannot be loaded'],
    ['export default () => { throw new Error("points is no number"); };', 'cannot be loaded: points is no number'],
    ['export default { name: "a", initial: () => 0, decide: () => 1 / 0 };', 'leaves nothing live'],
    [
      'export default { name: "a", initial: () => 0, decide: () => { throw new Error("oh"); } };',
      'fails when it is asked: oh',
    ],
    [
      'export default { name: "a", initial: () => 0, decide: () => ({ rotation: { live: [] } }) };',
      'leaves nothing live',
    ],
    [
      'export default { name: "a", initial: () => 0, decide: () => ({ rotation: { live: ["x"] } }) };',
      'not in its view',
    ],
    [
      'export default { name: "a", initial: () => 0, decide: (v) => ({ rotation: { live: ["head-01#1"] }, nextMs: NaN }) };',
      'again in NaN ms',
    ],
  ])('%s', async (text, what) => {
    await expect(loadStrategy(await moduleOf(text))).rejects.toMatchObject({
      code: 'STRATEGY_FILE',
      message: expect.stringContaining(what) as string,
    });
  });
  test('a file that is not there', async () => {
    await expect(loadStrategy(join(directory, 'none.mjs'))).rejects.toMatchObject({ code: 'STRATEGY_FILE' });
  });
});

describe('the state', () => {
  const strategy = staggered({ every_secs: 3_600, jitter_secs: 900, points_per_head: 2 });
  const view = (epoch: number, hour = 0) => ({
    ...modelView({ heads: 2, pointsPerHead: 6, nowMs: hour * 3_600_000, seed: 's' }),
    epoch,
  });
  const published = { outcome: 'published' } as CycleResult;
  /** Another place in the pool than the plan's. */
  const elsewhere = { 'head-01': { tick: 0, live: ['head-01#1', 'head-01#4'] } };
  const meshOf = (records: readonly ClusterRecord[], said: Json[] = []) => ({
    mesh: { records: () => records, publish: (_kind: string, value: Json) => void said.push(value) } as never,
    said,
  });
  const record = (node: string, value: Json): ClusterRecord => ({
    node,
    kind: 'rotation',
    incarnation: 1,
    version: 1,
    value,
  });

  test('is told to the others and written down; the next publisher and the next start go on from it', async () => {
    const { mesh, said } = meshOf([]);
    const one = createBareHost({ stateDirectory: '/state' });
    await one.host.runtime.store.makeDirectory('/state');
    one.provide(meshContract, mesh);
    one.apply(strategyPlugin(staggeredStrategy));
    await one.start();
    const first = await one.hooks.rotate.promise(view(1));
    await one.hooks.settled.promise(published);
    expect(said).toMatchObject([{ strategy: 'staggered', epoch: 1 }]);
    expect(strategy.restore?.((said[0] as { state: unknown }).state)).toBeDefined();
    const text = Buffer.from((await one.host.runtime.store.read('/state/rotation.json')) ?? '').toString();
    expect(JSON.parse(text)).toEqual(said[0]);
    expect(first?.live).toHaveLength(4);
  });

  test('of an earlier term is taken over; of a later one, of another strategy or malformed it is not', async () => {
    const told: readonly (readonly [Json, boolean])[] = [
      [{ strategy: 'staggered', epoch: 2, state: elsewhere }, true],
      [{ strategy: 'staggered', epoch: 3, state: elsewhere }, false],
      [{ strategy: 'another', epoch: 2, state: elsewhere }, false],
      [{ strategy: 'staggered', epoch: 2, state: { 'head-01': { tick: 'x', live: 5 } } }, false],
      [['staggered'], false],
      [null, false],
    ];
    for (const [value, taken] of told) {
      const { mesh } = meshOf([record('other', value)]);
      const bare = createBareHost();
      bare.provide(meshContract, mesh);
      bare.apply(strategyPlugin(staggeredStrategy));
      const decided = await bare.hooks.rotate.promise(view(3));
      const planned = strategy.decide(view(3), taken ? elsewhere : {}, bare.host.runtime.random);
      expect(decided?.live).toEqual(planned.rotation.live);
    }
  });

  test('a damaged file is left out', async () => {
    const bare = createBareHost({ stateDirectory: '/state' });
    await bare.host.runtime.store.makeDirectory('/state');
    await bare.host.runtime.store.write('/state/rotation.json', '{');
    bare.apply(strategyPlugin(staggeredStrategy));
    await bare.start();
    expect((await bare.hooks.rotate.promise(view(1)))?.live).toHaveLength(4);
  });
});
