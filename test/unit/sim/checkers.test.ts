/** Rules of the checkers that a swarm has shown to be too strict, and what they still see. */
import { expect, test } from 'vitest';
import { checkDirectories } from '../../kit/sim/cluster/checkers/directories.ts';
import { checkEpochs } from '../../kit/sim/cluster/checkers/epochs.ts';
import type { SeenUpload } from '../../kit/sim/cluster/directories.ts';
import type { Storm } from '../../kit/sim/cluster/storm.ts';
import type { SimulatedNode, World } from '../../kit/sim/cluster/world.ts';

function setUp() {
  const election = { publisher: undefined as string | undefined, epoch: 4, elected: true };
  const daemon = {
    election,
    life: {},
    mesh: { record: () => undefined },
    engine: { node: 'id' },
    signer: { ready: true },
  };
  const tor = { running: true, run: { online: true, process: { frozen: false } } };
  const named = new Map<string, number>();
  const node = { name: 'n1', id: 'id', lives: 1, changedAtMs: 0, daemon, parts: { tor }, named };
  const world = {
    nowMs: 0,
    membersChangedAtMs: 0,
    bus: { whole: true },
    nodes: [node],
    awake: () => [node],
    node: (id: string) => (id === 'id' ? node : undefined),
    observations: { owners: new Map([['point', 'id']]) },
  };
  const storm = { disturbances: [], disturbed: () => true };
  const broken: string[] = [];
  const context = {
    world: world as unknown as World,
    storm: storm as unknown as Storm,
    broken: (invariant: string, what: string): void => {
      broken.push(`${invariant}: ${what}`);
    },
  };
  return { election, world, broken, context };
}

test('a publisher that steps down long after the last change is succeeded within five seconds (I10)', () => {
  const { election, world, broken, context } = setUp();
  const checker = checkEpochs(context);
  const until = (endMs: number): void => {
    for (; world.nowMs <= endMs; world.nowMs += 250) checker.sample?.();
  };
  until(60_000);
  election.elected = false;
  until(64_500);
  election.elected = true;
  until(80_000);
  expect(broken).toEqual([]);
  election.elected = false;
  until(86_000);
  expect(broken).toEqual([expect.stringMatching(/^I10: nobody publishes/)]);
});

test('who names its successor publishes on until that one has begun, for five seconds and no longer (I2)', () => {
  const { world, broken, context } = setUp();
  const [node] = world.nodes as unknown as [SimulatedNode];
  const heir = { ...node, name: 'n2', id: 'heir' };
  world.awake = () => [node, heir] as never;
  const checker = checkEpochs(context);
  world.nowMs = 60_000;
  node.named.set('heir', 59_000);
  checker.sample?.();
  expect(broken).toEqual([]);
  world.nowMs = 64_000;
  checker.sample?.();
  expect(broken).toEqual(['I2: n1 (epoch 4) and n2 (epoch 4) believe themselves publisher in one component']);
});

test('after a change there are twenty seconds until somebody publishes (I10)', () => {
  const { election, world, broken, context } = setUp();
  const checker = checkEpochs(context);
  election.elected = false;
  for (; world.nowMs <= 20_000; world.nowMs += 250) checker.sample?.();
  expect(broken).toEqual([]);
  checker.sample?.();
  expect(broken).toHaveLength(1);
});

test('an HSDir that has forgotten a descriptor may be sent it again, and no older one (I3)', () => {
  const { broken, context } = setUp();
  const checker = checkDirectories(context);
  const upload = (revision: bigint, epoch: number, alone: boolean): void =>
    checker.upload?.({
      hsdir: 'A',
      blindedKey: 'b',
      atMs: 0,
      accepted: true,
      sealed: undefined,
      introPoints: ['point'],
      revision,
      epoch,
      alone,
    } satisfies SeenUpload);
  upload(7n, 2, true);
  upload(7n, 2, true);
  expect(broken).toEqual([]);
  upload(7n, 2, false);
  upload(6n, 2, true);
  expect(broken.map((text) => text.slice(0, 3))).toEqual(['I3:', 'I3:']);
});

test.each([
  { kind: 'torOffline', why: 'had no network' },
  { kind: 'torHang', why: 'hung' },
] as const)('what stood still and was replaced sends nothing, but for its tor that $why (I3)', ({ kind }) => {
  const { broken, context, world } = setUp();
  const checker = checkDirectories(context);
  const [node] = world.nodes as unknown as [SimulatedNode];
  const common = { hsdir: 'A', blindedKey: 'b', accepted: false, alone: false, introPoints: ['point'] };
  const sealedIn = (epoch: number): SeenUpload['sealed'] => ({ node: 'id', claimed: epoch, sealedAtMs: 5_000 });
  const upload = (atMs: number, epoch: number, accepted = false): void => {
    checker.upload?.({ ...common, atMs, accepted, epoch, revision: BigInt(epoch), sealed: sealedIn(epoch) });
  };
  upload(15_000, 2, true);
  Object.assign(node.daemon?.life ?? {}, { stoodStill: { fromMs: 10_000, toMs: 20_000 } });
  context.storm.disturbances.push({ kind, nodes: ['n1'], fromMs: 6_000, untilMs: 30_000 });
  upload(30_100, 1);
  expect(broken).toEqual([]);
  // It may even be taken, by an HSDir that has just forgotten everything.
  checker.upload?.({
    ...common,
    atMs: 30_200,
    accepted: true,
    alone: true,
    epoch: 1,
    revision: 1n,
    sealed: sealedIn(1),
  });
  expect(broken).toEqual([]);
  upload(32_100, 1);
  expect(broken).toEqual(['I3: n1 stood still, was replaced in epoch 2, and sends a descriptor of epoch 1']);
});

test('what stood still goes on with what it had sealed once it was elected again, if nobody could tell it otherwise (I3)', () => {
  const { broken, context, world, election } = setUp();
  const checker = checkDirectories(context);
  const [node] = world.nodes as unknown as [SimulatedNode];
  const common = { hsdir: 'A', blindedKey: 'b', alone: false, introPoints: ['point'] };
  const sealedIn = (epoch: number): SeenUpload['sealed'] => ({ node: 'id', claimed: epoch, sealedAtMs: 5_000 });
  const upload = (atMs: number, epoch: number, accepted = false): void => {
    checker.upload?.({ ...common, atMs, accepted, epoch, revision: BigInt(epoch), sealed: sealedIn(epoch) });
  };
  upload(15_000, 2, true);
  Object.assign(node.daemon?.life ?? {}, { stoodStill: { fromMs: 10_000, toMs: 20_000 } });
  upload(20_500, 1);
  expect(broken).toEqual(['I3: n1 stood still, was replaced in epoch 2, and sends a descriptor of epoch 1']);
  election.elected = false;
  world.nowMs = 21_000;
  checker.sample?.();
  election.elected = true;
  upload(22_000, 1);
  expect(broken).toHaveLength(1);
});

test('what was on its way to one that has forgotten may arrive after its publisher has heard of a later term, and nothing later (I3)', () => {
  const { election, world, broken, context } = setUp();
  const checker = checkDirectories(context);
  const sealed = { node: 'id', claimed: 1, sealedAtMs: 0 } as unknown as SeenUpload['sealed'];
  const common = { hsdir: 'A', blindedKey: 'b', atMs: 0, accepted: true, introPoints: ['point'], alone: true };
  const arrives = (nowMs: number): void => {
    world.nowMs = nowMs;
    const other = { ...sealed, node: 'other' } as SeenUpload['sealed'];
    checker.upload?.({ ...common, sealed: other, revision: 3n, epoch: 3 });
    checker.upload?.({ ...common, sealed, revision: 1n, epoch: 1 });
  };
  election.epoch = 1;
  checker.sample?.();
  election.epoch = 4;
  world.nowMs = 250;
  checker.sample?.();
  arrives(399);
  expect(broken).toEqual([]);
  arrives(400);
  expect(broken).toHaveLength(1);
});

test('one that has forgotten may be sent anything by a publisher that has heard of nothing later, and others may not (I3)', () => {
  const { election, broken, context } = setUp();
  const checker = checkDirectories(context);
  const sealed = { node: 'id', claimed: 1, sealedAtMs: 0 } as unknown as SeenUpload['sealed'];
  const common = { hsdir: 'A', blindedKey: 'b', atMs: 0, accepted: true, introPoints: ['point'] };
  const upload = (epoch: number, alone: boolean): void =>
    checker.upload?.({ ...common, sealed, revision: BigInt(epoch), epoch, alone });
  const before = (node = 'other'): void => {
    const another = { ...sealed, node } as SeenUpload['sealed'];
    checker.upload?.({ ...common, sealed: another, revision: 3n, epoch: 3, alone: true });
  };
  before();
  election.epoch = 1;
  upload(1, true);
  expect(broken).toEqual([]);
  before();
  upload(1, false);
  expect(broken).toHaveLength(1);
  // In the same epoch, on the other side of a cut; its own of that epoch it knows.
  before();
  election.epoch = 3;
  upload(1, true);
  expect(broken).toHaveLength(1);
  before('id');
  upload(1, true);
  expect(broken).toHaveLength(2);
  before();
  election.epoch = 4;
  upload(1, true);
  expect(broken).toHaveLength(3);
});

test('who is silent keeps its introduction points for eight seconds from when the publisher heard it last (I4)', () => {
  const { broken, context, world } = setUp();
  const [node] = world.nodes as unknown as [SimulatedNode];
  const heard = { node: 'id', heardAtMs: 0 };
  const publisher = {
    name: 'n2',
    id: 'publisher',
    daemon: { life: {}, mesh: { members: () => [heard] } },
    parts: { machine: { monotonicOffsetMs: 500_000 } },
  };
  Object.assign(world, { node: (id: string) => [node, publisher].find((one) => one.id === id) });
  world.observations.owners.set('other', 'publisher');
  Object.assign(node, { daemon: undefined, changedAtMs: 60_000 });
  const checker = checkDirectories(context);
  const upload = (atMs: number, introPoints: readonly string[]): void => {
    world.nowMs = atMs;
    const sealed = { node: 'publisher', claimed: 1, sealedAtMs: atMs };
    const common = { hsdir: 'A', blindedKey: 'b', accepted: true, alone: false, epoch: 1, sealed };
    checker.upload?.({ ...common, atMs, introPoints, revision: BigInt(atMs) });
  };
  upload(50_000, ['point', 'other']);
  heard.heardAtMs = 500_000 + 59_000;
  upload(67_100, ['other']);
  expect(broken).toEqual([]);
  upload(67_200, ['point', 'other']);
  heard.heardAtMs = 500_000 + 59_500;
  upload(67_300, ['other']);
  expect(broken).toEqual(['I4: n1 is silent for 7300 ms, its tor is well, and its introduction points are gone']);
});
