import { describe, expect, test } from 'vitest';
import {
  adminContract,
  masterContract,
  meshContract,
  rosterContract,
  secretRotationContract,
  type Admin,
  type AdminCommand,
  type AdmittedNode,
  type Json,
  type Mesh,
  type Roster,
} from '../../../core/engine/index.ts';
import { parseOnionAddress } from '../../../core/onion/index.ts';
import type { CycleResult, HeadView } from '../../../core/pipeline/index.ts';
import operator from '../../../plugins/operator/index.ts';
import { createBareHost, type BareHost } from './support.ts';

const address = parseOnionAddress('q7yb4tpajt3nueyz5njldpz4qabz3goppud5aa5rfznercrody5so5qd');
const keys = { signing: new Uint8Array(32), agreement: new Uint8Array(32) };
const admitted = (node: string): AdmittedNode => ({ node, keys, endpoints: [`udp:${node}`], admittedBy: 'one' });

function setUp(): {
  bare: BareHost;
  status: (name: string) => Json;
  ask: (name: string, args?: object) => Promise<Json>;
  removed: string[][];
} {
  const bare = createBareHost();
  const sections = new Map<string, () => Json>();
  const commands = new Map<string, AdminCommand>();
  const removed: string[][] = [];
  const door: Admin = {
    command: (command) => void commands.set(command.name, command),
    status: (section, read) => void sections.set(section, read),
  };
  const roster: Pick<Roster, 'founder' | 'admitted' | 'remove'> = {
    founder: 'one',
    admitted: () => ['one', 'twoa', 'twob', 'three'].map(admitted),
    remove: (node, why) => void removed.push([node, why]),
  };
  const mesh: Pick<Mesh, 'members'> = {
    members: () => [
      { node: 'one', state: 'alive', life: 'healthy', heardAtMs: bare.clock.monotonic() },
      { node: 'twoa', state: 'suspect', life: 'unhealthy', heardAtMs: bare.clock.monotonic() - 2_500 },
    ],
  };
  bare.provide(adminContract, door);
  bare.provide(rosterContract, roster as Roster);
  bare.provide(meshContract, mesh as Mesh);
  bare.provide(masterContract, { address });
  bare.apply(operator);
  return {
    bare,
    removed,
    status: (name) => sections.get(name)?.() ?? null,
    ask: async (name, args = {}) =>
      (commands.get(name) as AdminCommand).run(args as never, () => undefined, new AbortController().signal),
  };
}

const result = {
  number: 3,
  reasons: ['start'],
  outcome: 'unchanged',
  why: 'nothing new',
  step: 'review',
  startedAt: 1_795_197_600_000,
  durationMs: 12.4,
  stepsMs: {},
  epoch: 2,
  heads: ['one/1'],
  introPoints: 3,
  uploads: [],
  confirmations: [],
  faults: [],
} as unknown as CycleResult;

describe('the status', () => {
  test('of a node that has just started', async () => {
    const { bare, status } = setUp();
    await bare.clock.advance(5_000);
    expect(status('node')).toMatchObject({ node: 'one', upSecs: 5, address: `${address}.onion` });
    expect([status('cycle'), status('published'), status('heads')]).toEqual([null, null, []]);
    expect(status('members')).toEqual([
      { node: 'one', state: 'this node', silentMs: 0 },
      { node: 'twoa', state: 'suspect', silentMs: 2_500 },
      { node: 'twob', state: 'not heard', silentMs: null },
      { node: 'three', state: 'not heard', silentMs: null },
    ]);
  });

  test('after a publication and another cycle', async () => {
    const { bare, status } = setUp();
    const sealed = { descriptors: [{ slot: 'first', period: { number: 20 }, revision: 2n ** 60n }] };
    const confirmations = [
      { fingerprint: 'A', confirmed: true },
      { fingerprint: 'B', confirmed: false, reason: 'older' },
    ];
    const uploads = [{ slot: 'first', fingerprint: 'A', accepted: true }];
    await bare.hooks.settled.promise({ ...result, outcome: 'published', sealed, uploads, confirmations } as never);
    await bare.hooks.settled.promise(result);
    expect(status('cycle')).toMatchObject({
      outcome: 'unchanged',
      why: 'nothing new',
      at: 1_795_197_600,
      durationMs: 12,
      introPoints: null,
      confirmed: null,
    });
    expect(status('published')).toMatchObject({
      uploads: '1 of 1',
      confirmed: '1 of 2',
      descriptors: [{ slot: 'first', period: 20, revision: (2n ** 60n).toString() }],
      notConfirmed: [{ fingerprint: 'B', reason: 'older' }],
    });
    expect(JSON.parse(JSON.stringify(status('published')))).toEqual(status('published'));
  });

  test('heads are those of the last cycle, until another node publishes; the hook passes them on as they are', async () => {
    const { bare, status } = setUp();
    const views = [
      { head: 'one/1', node: 'one', candidates: [{}, {}], siege: 0.256 },
    ] as unknown as readonly HeadView[];
    expect(await bare.hooks.sift.promise(views, { consensus: {} as never, published: undefined })).toBe(views);
    expect(status('heads')).toEqual([{ head: 'one/1', introPoints: 2, siege: 0.26 }]);
    await bare.hooks.settled.promise({ ...result, outcome: 'standby' });
    expect(status('heads')).toEqual([]);
  });
});

describe('peers', () => {
  test('list has all who are admitted', async () => {
    const { ask } = setUp();
    const list = (await ask('peer-list')) as unknown as { members: object[] };
    expect(list.members).toHaveLength(4);
    expect(list.members[1]).toEqual({
      node: 'twoa',
      self: false,
      state: 'suspect',
      silentMs: 2_500,
      endpoints: ['udp:twoa'],
      admittedBy: 'one',
    });
  });

  test('remove takes one node by the first characters of its id', async () => {
    const { ask, removed } = setUp();
    expect(await ask('peer-remove', { node: 'THRE' })).toEqual({ removed: 'three' });
    expect(await ask('peer-remove', { node: 'twoa', why: 'stolen' })).toEqual({ removed: 'twoa' });
    expect(removed).toEqual([
      ['three', 'removed by the operator'],
      ['twoa', 'stolen'],
    ]);
  });

  test('remove has the cluster’s secret replaced, after the removal, and says who has it', async () => {
    const { bare, ask, removed } = setUp();
    bare.provide(secretRotationContract, {
      rotate: async (why) => {
        expect([removed, why]).toEqual([[['three', 'stolen']], 'three was removed']);
        return { generation: 4, confirmed: ['twoa'], waiting: ['twob'] };
      },
    });
    expect(await ask('peer-remove', { node: 'three', why: 'stolen' })).toEqual({
      removed: 'three',
      generation: 4,
      confirmed: ['twoa'],
      waiting: ['twob'],
    });
  });

  test.each(['one', 'two', 'twox', 'zzzz', '', 7, '../x'])('remove refuses %j', async (node) => {
    const { ask, removed } = setUp();
    await expect(ask('peer-remove', { node })).rejects.toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(removed).toEqual([]);
  });
});
