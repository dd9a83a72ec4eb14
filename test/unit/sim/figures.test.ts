/** A false takeover can be counted only while nothing is wrong: those hours are what it is held against. */
import { expect, test } from 'vitest';
import type { Done } from '../../sim/job.ts';
import { summaryOf } from '../../sim/summary.ts';
import { noFaults } from '../../kit/sim/cluster/index.ts';
import { measure } from '../../kit/sim/cluster/figures.ts';
import type { Storm } from '../../kit/sim/cluster/storm.ts';
import type { World } from '../../kit/sim/cluster/world.ts';

test('hours are quiet while nothing is wrong, and in a calm from 30 s after the repairs on', () => {
  const named = { a: new Map<string, number>(), b: new Map<string, number>() };
  const publisher = (id: string, epoch: number) => ({ id, name: id, daemon: { election: { elected: true, epoch } } });
  let elected = publisher('a', 1);
  const world = {
    nowMs: 0,
    nodes: [elected],
    awake: () => [elected],
    node: (id: 'a' | 'b' | '') => (id === '' ? undefined : { named: named[id] }),
    bus: { sent: { datagrams: 0, bytes: 0 } },
    trace: { line: () => undefined },
  };
  const storm = {
    calmSinceMs: undefined as number | undefined,
    isDisturbed: false,
    disturbed: () => storm.isDisturbed,
  };
  const figures = measure(world as unknown as World, storm as unknown as Storm);
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      world.nowMs += 1_000;
      figures.sample();
    }
  };
  const quietSeconds = (): number => Math.round(figures.report(1).quietHours * 3_600);
  pass(60);
  expect(quietSeconds()).toBe(60);
  storm.isDisturbed = true;
  pass(60);
  elected = publisher('b', 2);
  pass(40);
  expect(figures.report(1)).toMatchObject({ falseTakeovers: 0 });
  expect(quietSeconds()).toBe(60);
  storm.isDisturbed = false;
  storm.calmSinceMs = world.nowMs;
  pass(90);
  expect(quietSeconds()).toBe(120);
  elected = publisher('a', 3);
  pass(10);
  expect(figures.report(1)).toMatchObject({ falseTakeovers: 1 });
  expect(quietSeconds()).toBe(130);
  // The end of a term is none, if it is the one that was named.
  named.a.set('b', world.nowMs);
  elected = publisher('b', 4);
  pass(10);
  named.b.set('c', world.nowMs);
  elected = publisher('a', 5);
  pass(10);
  expect(figures.report(1)).toMatchObject({ falseTakeovers: 2 });
  // Nor if the publisher did not hear that one at once, and named another as well (100998).
  named.a.set('b', world.nowMs);
  named.a.set('c', world.nowMs);
  elected = publisher('b', 6);
  pass(10);
  expect(figures.report(1)).toMatchObject({ falseTakeovers: 2 });
});

test('a summary without a takeover says so, and prints nothing undefined', () => {
  const figures = {
    takeoversMs: [],
    publishedMs: [],
    falseTakeovers: 0,
    quietHours: 1,
    deadHeadsMs: [],
    messagesPerSecond: 3,
    bytesPerSecond: 600,
    publications: 5,
  };
  const run = {
    seed: '1',
    nodes: 3,
    hours: 1,
    on: [],
    election: 'election/uptime',
    faults: noFaults,
    broken: [],
    figures,
    digest: '',
  };
  const done: Done = { ...run, kind: 'seed', cpuSeconds: 1 };
  expect(summaryOf([done], 1).text).not.toContain('undefined');
  const one: Done = { ...done, figures: { ...figures, takeoversMs: [2_700], publishedMs: [2_800] } };
  expect(summaryOf([one], 1).text).toContain('takeover: p50 2700 ms, p99 2700 ms, first descriptor p50 2800 ms');
});
