/** A node that waits for a publisher out of its hearing is not blamed for it, and no longer than the rule of the election lets it wait. */
import { expect, test } from 'vitest';
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
  return { election, at, upload, claims };
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
