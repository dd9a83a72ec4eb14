import { expect, test } from 'vitest';
import { torContract } from '../../../core/engine/index.ts';
import type { CycleOutcome, CycleResult, Published, ReviewContext, Sealed } from '../../../core/pipeline/index.ts';
import { schedule } from '../../../plugins/schedule/index.ts';
import { makeConsensus } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf, type BareHost } from './support.ts';

const consensus = makeConsensus();

async function started(
  options = {},
): Promise<BareHost & { settle(outcome: CycleOutcome): Promise<void>; tor: ReturnType<typeof createScriptedTor> }> {
  const bare = createBareHost();
  const tor = createScriptedTor(consensus);
  bare.provide(torContract, torOf(tor));
  bare.apply(schedule, options);
  await bare.start();
  return {
    ...bare,
    tor,
    settle: (outcome) => bare.hooks.settled.promise({ outcome } as CycleResult),
  };
}
/** Milliseconds until the next tick, which is then in the past; undefined when there is none. */
async function untilTick(bare: BareHost): Promise<number | undefined> {
  const begun = bare.clock.monotonic();
  const before = bare.signals.length;
  if (bare.clock.pending === 0) return undefined;
  await bare.clock.runUntil(() => bare.signals.length > before, 100_000_000);
  return bare.clock.monotonic() - begun;
}
const minute = 60_000;
const published: Published = {
  live: ['a'],
  content: 'a',
  placement: 'p',
  epoch: 0,
  publishedAt: 0,
  publishedAtMonotonicMs: 0,
  certificatesExpireAt: 0,
  confirmed: true,
};
const question = {
  merged: { sets: [] },
  reasons: ['introPointsChanged: x'],
  published,
  content: 'a',
  placement: 'p',
  epoch: 0,
  validAfter: 0,
  resendable: true,
};
const unconfirmed = { ...question, published: { ...published, confirmed: false } };
const reasonOf = ({ signals }: BareHost): string => {
  const { name, payload } = signals.at(-1) ?? { name: 'none', payload: {} };
  return `${name}: ${'why' in payload ? payload.why : ''}`;
};

test.each<[string, Partial<ReviewContext>, boolean]>([
  ['nothing changed', {}, true],
  ['a new consensus that moves nothing', { reasons: ['newPeriod: new consensus', 'start'] }, true],
  ['nothing was published', { published: undefined }, false],
  ['other introduction points', { content: 'a b' }, false],
  ['other HSDirs', { placement: 'q' }, false],
  ['another term of this node: others may have published between', { epoch: 1 }, false],
  ['a refresh is due', { reasons: ['introPointsChanged: x', 'tick: refresh'] }, false],
  ['the operator asks', { reasons: ['operator: SIGHUP'] }, false],
  ['a reason that only looks like it', { reasons: ['ticket: x'] }, true],
])('%s: ends unchanged %j → %s', async (_name, changes, unchanged) => {
  const { hooks } = await started();
  const answer = await hooks.review.promise({ ...question, ...changes });
  expect(answer?.outcome).toBe(unchanged ? 'unchanged' : undefined);
});

test('what is not confirmed is rechecked, and not sealed anew for every change of a peer', async () => {
  const bare = await started();
  bare.hooks.uploaded.call({} as Sealed, []);
  await bare.settle('unconfirmed');
  expect(await bare.hooks.review.promise(unconfirmed)).toMatchObject({ outcome: 'unchanged' });
  await bare.settle('unchanged');
  const delay = (await untilTick(bare)) ?? 0;
  expect(delay).toBeLessThanOrEqual(2400);
  const recheck = { ...unconfirmed, reasons: ['peerChanged: x', reasonOf(bare)] };
  expect(await bare.hooks.review.promise(recheck)).toMatchObject({ outcome: 'recheck' });
  // Where something else would be published, a counter above ours is known, or a refresh is due, a new one is sealed.
  expect(await bare.hooks.review.promise({ ...recheck, content: 'a b' })).toBeUndefined();
  expect(await bare.hooks.review.promise({ ...recheck, resendable: false })).toBeUndefined();
  expect(await bare.hooks.review.promise({ ...recheck, reasons: [reasonOf(bare), 'tick: refresh'] })).toBeUndefined();
  // A failure may have left HSDirs with different descriptors, however content we were before.
  await bare.settle('failed');
  expect(await bare.hooks.review.promise(unconfirmed)).toBeUndefined();
});

test('beyond max_publishes_per_hour a change waits until there is room', async () => {
  const bare = await started({ max_publishes_per_hour: 3, watch_secs: 0 });
  const change = { ...question, content: 'a b' };
  for (let minutes = 0; minutes < 3; minutes++) {
    expect(await bare.hooks.review.promise(change)).toBeUndefined();
    bare.hooks.uploaded.call({} as Sealed, []);
    await bare.settle('published');
    await bare.clock.advance(minute);
  }
  expect(await bare.hooks.review.promise(change)).toMatchObject({ outcome: 'refused' });
  await bare.settle('refused');
  expect(await untilTick(bare)).toBe(57 * minute);
  expect(await bare.hooks.review.promise({ ...change, reasons: ['tick: a change has waited'] })).toBeUndefined();
});

test('another plugin’s veto is heard before', async () => {
  const bare = await started();
  bare.hooks.review.tap('veto', () => ({ outcome: 'refused', why: 'no' }));
  expect(await bare.hooks.review.promise(question)).toMatchObject({ outcome: 'refused' });
});

test('after a publication the next is due within 60 to 120 minutes, at random', async () => {
  const bare = await started({ watch_secs: 0 });
  const delays: number[] = [];
  for (let round = 0; round < 30; round++) {
    bare.hooks.uploaded.call({} as Sealed, []);
    await bare.settle('published');
    delays.push((await untilTick(bare)) ?? 0);
  }
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(60 * minute);
  expect(Math.max(...delays)).toBeLessThanOrEqual(120 * minute);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(20 * minute);
  expect(
    bare.signals.every(({ name, payload }) => name === 'tick' && 'why' in payload && payload.why === 'refresh'),
  ).toBe(true);
});

test('a cycle that changes nothing does not put the refresh off', async () => {
  const bare = await started({ refresh_min_secs: 3600, refresh_max_secs: 3600, watch_secs: 0 });
  await bare.settle('published');
  for (let quarter = 1; quarter <= 3; quarter++) {
    await bare.clock.advance(15 * minute);
    await bare.settle('unchanged');
  }
  expect(await untilTick(bare)).toBe(15 * minute);
});

test('a refresh that is overdue comes at once', async () => {
  const bare = await started({ refresh_min_secs: 3600, refresh_max_secs: 3600, watch_secs: 0 });
  await bare.settle('published');
  await bare.settle('standby');
  await bare.clock.advance(120 * minute);
  expect(bare.signals).toEqual([]);
  await bare.settle('unchanged');
  expect(await untilTick(bare)).toBe(0);
});

test('failures are tried again after 2, 4, 8 … 60 s, give or take a fifth; a success begins anew', async () => {
  const bare = await started();
  const ladder = [2, 4, 8, 16, 32, 60, 60, 60];
  for (const seconds of ladder) {
    await bare.settle('failed');
    const delay = (await untilTick(bare)) ?? 0;
    expect(delay).toBeGreaterThanOrEqual(seconds * 800);
    expect(delay).toBeLessThanOrEqual(seconds * 1200);
  }
  await bare.settle('published');
  await bare.settle('failed');
  expect(await untilTick(bare)).toBeLessThanOrEqual(2400);
});

test('an unconfirmed one is rechecked in quick steps, then ever more rarely, until the next refresh: an HSDir may stay away for good', async () => {
  const bare = await started({ refresh_min_secs: 7200, refresh_max_secs: 7200 });
  bare.hooks.uploaded.call({} as Sealed, []);
  let seconds = 0;
  for (const step of [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 120, 240, 480, 600, 600, 600]) {
    await bare.settle('unconfirmed');
    const delay = (await untilTick(bare)) ?? 0;
    expect(delay).toBeGreaterThanOrEqual(step * 800);
    expect(delay).toBeLessThanOrEqual(step * 1200);
    expect(reasonOf(bare)).toContain('tick: recheck');
    seconds += delay / 1000;
  }
  while (!reasonOf(bare).includes('refresh')) {
    await bare.settle('unconfirmed');
    seconds += ((await untilTick(bare)) ?? 0) / 1000;
  }
  // No recheck has put it off; what it publishes is tried anew.
  expect(seconds).toBeCloseTo(7200, 3);
  bare.hooks.uploaded.call({} as Sealed, []);
  await bare.settle('unconfirmed');
  expect(await untilTick(bare)).toBeLessThanOrEqual(2400);
});

test('what is published is looked after at an HSDir every two minutes, and a cycle between puts that off by nothing', async () => {
  const bare = await started();
  bare.hooks.uploaded.call({} as Sealed, []);
  await bare.settle('published');
  for (let round = 0; round < 3; round++) {
    await bare.clock.advance(minute);
    await bare.settle('unchanged');
    const delay = minute + ((await untilTick(bare)) ?? 0);
    expect(delay).toBeGreaterThanOrEqual(96_000);
    expect(delay).toBeLessThanOrEqual(144_000);
    const look = { ...question, reasons: [reasonOf(bare)] };
    expect(await bare.hooks.review.promise(look)).toMatchObject({ outcome: 'recheck' });
    await bare.settle('unchanged');
  }
});

test('standby: no timer is left', async () => {
  const bare = await started();
  await bare.settle('published');
  await bare.settle('standby');
  expect(bare.clock.pending).toBe(0);
});

test('a veto leaves the refresh where it was', async () => {
  const bare = await started({ refresh_min_secs: 3600, refresh_max_secs: 3600, watch_secs: 0 });
  await bare.settle('published');
  await bare.clock.advance(20 * minute);
  await bare.settle('refused');
  expect(await untilTick(bare)).toBe(40 * minute);
});

test('a new consensus asks for a cycle, and is no longer listened to after the stop', async () => {
  const bare = await started();
  await bare.settle('published');
  bare.tor.setConsensus(makeConsensus(consensus.times.validAfter + 3600));
  expect(bare.signals.map(({ name }) => name)).toEqual(['newPeriod']);
  await bare.stop();
  expect(bare.clock.pending).toBe(0);
  expect(bare.tor.listeners()).toBe(0);
});

test.each([
  { refresh_min_secs: 7200, refresh_max_secs: 3600 },
  { retry_min_ms: 5000, retry_max_ms: 1000 },
  { refresh_min_secs: 59 },
])('options that make no sense are refused: %j', (options) => {
  expect(() => createBareHost().apply(schedule, options)).toThrow(/above its maximum|at least/);
});
