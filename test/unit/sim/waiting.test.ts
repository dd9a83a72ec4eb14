/** A node that waits for a publisher out of its hearing is not blamed for it, and no longer than the rule of the election lets it wait. */
import { expect, test } from 'vitest';
import type { CycleResult } from '../../../core/pipeline/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { watchWaiting } from '../../kit/sim/cluster/checkers/waiting.ts';
import type { SeenUpload } from '../../kit/sim/cluster/directories.ts';
import type { SimulatedNode, World } from '../../kit/sim/cluster/world.ts';

function setUp({ missing }: { readonly missing: boolean }) {
  const election = { publisher: 'id' as string | undefined, epoch: 4, elected: true };
  const record = { value: { claim: 4 as number | undefined } };
  const daemon = { election, mesh: { record: () => record } };
  const node = { name: 'n1', id: 'id', lives: 1, changedAtMs: 0, daemon } as unknown as SimulatedNode;
  const other = { name: 'n2', id: 'other', lives: 1, changedAtMs: 0 } as unknown as SimulatedNode;
  const world = {
    nowMs: 100_000,
    bus: { whole: true },
    nodes: missing ? [node, other] : [node],
    awake: () => [node],
  };
  const waiting = watchWaiting({ world: world as unknown as World });
  const at = (nowMs: number): boolean => {
    world.nowMs = nowMs;
    waiting.sample();
    return waiting.waits(node);
  };
  const upload = (epoch: number): void => waiting.upload({ accepted: true, epoch } as SeenUpload);
  const claims = (epoch: number): void => {
    record.value.claim = epoch;
    Object.assign(election, { epoch, elected: true });
  };
  const result = (nowMs: number, outcome: CycleResult['outcome'], error?: ChimeraError): void => {
    world.nowMs = nowMs;
    waiting.result(node, { outcome, error } as unknown as CycleResult);
  };
  const hasFailed = (nowMs: number): boolean => {
    world.nowMs = nowMs;
    return waiting.hasFailed(node);
  };
  return { election, at, upload, claims, result, hasFailed, node: node as { lives: number } };
}

test('it may wait for fifteen leases, and twice as long when it is outbid again', () => {
  const { election, at, upload, claims } = setUp({ missing: true });
  expect(at(100_000)).toBe(false);
  upload(5);
  expect(at(100_250)).toBe(false);
  election.elected = false;
  expect(at(101_000)).toBe(true);
  expect(at(131_000)).toBe(true);
  expect(at(132_250)).toBe(false);
  claims(6);
  upload(6);
  expect(at(133_000)).toBe(false);
  upload(7);
  election.elected = false;
  expect(at(134_000)).toBe(true);
  expect(at(194_000)).toBe(true);
  expect(at(195_250)).toBe(false);
});

test('who is not elected without a later epoch at the HSDirs, or with nobody missing, does not wait', () => {
  const none = setUp({ missing: true });
  none.upload(4);
  none.election.elected = false;
  expect(none.at(101_000)).toBe(false);
  const all = setUp({ missing: false });
  all.upload(5);
  all.election.elected = false;
  expect(all.at(101_000)).toBe(false);
  const vacant = setUp({ missing: true });
  vacant.upload(5);
  Object.assign(vacant.election, { publisher: undefined, elected: false });
  expect(vacant.at(101_000)).toBe(false);
});

test('who has failed for longer than a lease need not publish for half a minute; who failed once, or has succeeded since, must', () => {
  const { result, hasFailed, node } = setUp({ missing: false });
  result(100_000, 'failed');
  expect(hasFailed(100_500)).toBe(false);
  result(102_500, 'failed');
  result(103_000, 'standby');
  expect(hasFailed(133_500)).toBe(true);
  expect(hasFailed(133_501)).toBe(false);
  result(110_000, 'published');
  expect(hasFailed(110_000)).toBe(false);
  result(111_000, 'failed');
  expect(hasFailed(111_000)).toBe(false);
  result(114_000, 'failed');
  expect(hasFailed(114_000)).toBe(true);
  node.lives = 2;
  expect(hasFailed(114_000)).toBe(false);
});

test('what another node would have failed at as well excuses nobody', () => {
  const { result, hasFailed } = setUp({ missing: false });
  for (const code of ['CYCLE_NO_CANDIDATES', 'CYCLE_NOT_ACCEPTED'] as const) {
    for (const nowMs of [100_000, 103_000]) result(nowMs, 'failed', new ChimeraError(code, 'it failed'));
    expect(hasFailed(103_500)).toBe(false);
  }
});
