import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RegisterCommand } from '../../../core/cli/context.ts';
import { registerPanic } from '../../../core/cli/commands/panic.ts';
import { registerPeer } from '../../../core/cli/commands/peer.ts';
import { registerStatus } from '../../../core/cli/commands/status.ts';
import { registerStepDown } from '../../../core/cli/commands/step-down.ts';
import { durationOf, headline, labelOf, valueOf } from '../../../core/cli/status-view.ts';
import type { AdminCommand, Json } from '../../../core/engine/index.ts';
import { ChimeraError } from '../../../core/errors.ts';
import { silentLog, systemClock, systemRuntime, type Runtime } from '../../../core/runtime/index.ts';
import { openAdminServer } from '../../../plugins/admin/server.ts';
import { runCli, type CliRun } from './support.ts';

const commands: readonly RegisterCommand[] = [registerStatus, registerStepDown, registerPeer, registerPanic];
let directory = '';
let config = '';
let close: (() => Promise<void>) | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'chimera-node-'));
  config = join(directory, 'chimera.toml');
  await writeFile(config, `[node]\nstate_directory = "${directory}/state"\n[master]\nidentity_key_path = "/nowhere"\n`);
});
afterEach(async () => {
  await close?.();
  close = undefined;
  await rm(directory, { recursive: true, force: true });
});

async function node(answers: Readonly<Record<string, AdminCommand['run']>>): Promise<void> {
  const listener = await openAdminServer({
    runtime: systemRuntime(),
    log: silentLog,
    path: join(directory, 'state', 'admin.sock'),
    find: (name) => (answers[name] === undefined ? undefined : { name, summary: '', run: answers[name] }),
  });
  close = () => listener.close();
}
const run = (args: readonly string[], options: { yes?: boolean; runtime?: Runtime } = {}): Promise<CliRun> =>
  runCli([...args, '--config', config], { commands, ...options });

const status: Json = {
  members: [
    { node: 'aaaa', state: 'this node', silentMs: 0 },
    { node: 'bbbb', state: 'suspect', silentMs: 2_400 },
  ],
  custom: { anyThing: 'evil\u001b[2Jtext', list: [{ a: 1 }, { a: 2, b: true }], none: [] },
  node: { node: 'aaaa', startedAt: 1_795_197_600, upSecs: 3_700, address: null },
  election: { publisher: 'aaaa', epoch: 7, elected: true },
};

describe('chimera status', () => {
  test('prints the headline, known sections first, tables as rows, and no control characters', async () => {
    await node({ status: async () => status });
    const { exitCode, out, err } = await run(['status']);
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toBe(
      [
        'this node publishes, epoch 7',
        '',
        'node',
        '  node        aaaa',
        '  started at  2026-11-20 18:00:00 UTC',
        '  up          1 h 1 min',
        '  address     –',
        '',
        'election',
        '  publisher  aaaa',
        '  epoch      7',
        '  elected    yes',
        '',
        'members',
        '  node  state      silent',
        '  aaaa  this node  0 ms',
        '  bbbb  suspect    2.4 s',
        '',
        'custom',
        '  any thing  evil [2Jtext',
        '  none       –',
        '  list',
        '  a  b',
        '  1  –',
        '  2  yes',
        '',
      ].join('\n'),
    );
  });

  test('lists of tables within rows follow as rows of their own, with what they belong to', async () => {
    const heads = [
      { head: 'aaaa/1', level: 2, points: [{ relay: 'AB12', introductionsPerSecond: 14 }, { relay: 'CD34' }] },
      { head: 'aaaa/2', level: 0, points: [] },
    ];
    await node({ status: async () => ({ siege: { heads, peers: [] } }) });
    const { out } = await run(['status']);
    expect(out.split('\n').slice(2)).toEqual([
      'siege',
      '  peers  –',
      '  heads',
      '  head    level',
      '  aaaa/1  2',
      '  aaaa/2  0',
      '  points',
      '  head    relay  introductions per second',
      '  aaaa/1  AB12   14',
      '  aaaa/1  CD34   –',
      '',
    ]);
  });

  test('--json is what the node said', async () => {
    await node({ status: async () => status });
    expect((await run(['status', '--json'])).json()).toEqual(status);
  });

  test('--watch asks again and again, and goes on when the node is away', async () => {
    let asked = 0;
    await node({
      status: async () => {
        if (++asked === 2) throw new ChimeraError('ADMIN_FAILED', 'not now');
        return { number: asked };
      },
    });
    let slept = 0;
    const clock = {
      ...systemClock,
      sleep: async () => {
        if (++slept === 3) throw new Error('enough');
      },
    };
    const { out, err } = await run(['status', '--json', '--watch', '0.5'], { runtime: { ...systemRuntime(), clock } });
    expect(out).toBe('{"number":1}\n{"number":3}\n');
    expect(err).toContain('ADMIN_FAILED: not now');
  });

  test('without a node it says where the socket was looked for and how to start one', async () => {
    const { exitCode, out, err } = await run(['status']);
    expect([exitCode, out]).toEqual([3, '']);
    expect(err).toContain(`ADMIN_UNREACHABLE: no node answers at ${directory}/state/admin.sock`);
    expect(err).toContain(`chimera run --config ${config}`);
  });

  test('without a state directory it says what to set', async () => {
    await writeFile(config, '[master]\nidentity_key_path = "/nowhere"\n');
    const { exitCode, err } = await run(['status']);
    expect(exitCode).toBe(2);
    expect(err).toContain('node.state_directory');
  });

  test('without a configuration it asks for one, and for nothing in it', async () => {
    const here = process.cwd();
    process.chdir(directory);
    await rm(config);
    const { exitCode, err } = await runCli(['status'], { commands }).finally(() => process.chdir(here));
    expect(exitCode).toBe(2);
    expect(err).toContain('there is no configuration here');
    expect(err).toContain('--config');
  });

  test('--socket names the socket itself', async () => {
    await node({ status: async () => ({}) });
    const { out } = await runCli(['status', '--socket', join(directory, 'state', 'admin.sock')], { commands });
    expect(out).toBe('no election runs on this node\n');
  });

  test('numbers by the ends of their names', () => {
    expect(['introPoints', 'silentMs', 'upSecs', 'Ms'].map(labelOf)).toEqual(['intro points', 'silent', 'up', 'ms']);
    expect([5, 999, 4_300, 42_000, 300_000, 90_000_000].map(durationOf)).toEqual([
      '5 ms',
      '999 ms',
      '4.3 s',
      '42 s',
      '5 min 0 s',
      '1 d 1 h',
    ]);
    expect([valueOf('a', null), valueOf('a', [1, 'b']), valueOf('a', { bC: true })]).toEqual(['–', '1, b', 'b c yes']);
    expect(headline({ election: { publisher: null, elected: false } })).toBe('nobody publishes');
    expect(headline({ election: { publisher: 'b', epoch: 3, elected: true }, mesh: { removedBy: 'c' } })).toBe(
      'this node was removed from the cluster by c, and publishes nothing',
    );
    expect(headline({ election: { publisher: 'b', epoch: 3, elected: false } })).toBe(
      'b publishes, epoch 3; this node stands by',
    );
  });
});

describe('chimera panic status', () => {
  test('says whether it is on and for how long still', async () => {
    await node({ status: async () => ({ panic: { on: true, leftSecs: 90, turn: 'a/1, b/1: turn 7' } }) });
    expect((await run(['panic', 'status'])).out).toBe('panic mode is on for 90 s more; a/1, b/1: turn 7\n');
    expect((await run(['panic', 'status', '--json'])).json()).toEqual({
      on: true,
      leftSecs: 90,
      turn: 'a/1, b/1: turn 7',
    });
  });

  test('is off, or not there at all', async () => {
    let sections: Json = { panic: { on: false, leftSecs: 0, turn: null } };
    await node({ status: async () => sections });
    expect((await run(['panic', 'status'])).out).toBe('panic mode is off\n');
    sections = {};
    const { exitCode, err } = await run(['panic', 'status']);
    expect(exitCode).not.toBe(0);
    expect(err).toContain('preset = "roulette"');
  });
});

describe('chimera step-down', () => {
  test('shows the progress and the end', async () => {
    await node({
      'step-down': async (_args, say) => {
        say('b is asked to publish');
        return { steppedDown: true, publisher: 'b', epoch: 8 };
      },
    });
    expect(await run(['step-down'])).toMatchObject({
      exitCode: 0,
      out: 'b publishes now\n',
      err: 'b is asked to publish\n',
    });
  });

  test('without an election it says so', async () => {
    await node({});
    const { exitCode, err } = await run(['step-down']);
    expect(exitCode).toBe(2);
    expect(err).toContain('ADMIN_COMMAND: this node has no command step-down');
  });
});

describe('chimera peer invite', () => {
  const tunnel = `wireguard:${'A'.repeat(43)}@192.0.2.1:51820`;
  test.each([
    [[], ''],
    [['udp:192.0.2.1:7411', tunnel], ''],
    [[tunnel], ' --wireguard'],
  ])('invite, where the node is at %j', async (endpoints, more) => {
    await node({ invite: async () => ({ invitation: 'invite-x', address: 'x.onion', expiresSecs: 60, endpoints }) });
    expect((await run(['peer', 'invite'])).out).toBe(`chimera join x.onion invite-x${more}\n`);
  });
});

describe('chimera peer', () => {
  const members = [
    { node: 'aaaabbbb', self: true, state: 'alive', silentMs: 0, endpoints: [], admittedBy: 'aaaabbbb' },
    {
      node: 'aaaacccc',
      self: false,
      state: 'dead',
      silentMs: 90_000,
      endpoints: ['udp:192.0.2.1:7411'],
      admittedBy: 'aaaabbbb',
    },
  ];
  let removed: Json[] = [];
  beforeEach(async () => {
    removed = [];
    await node({
      'peer-list': async () => ({ cluster: 'aaaabbbb', members }),
      'peer-remove': async (args) => {
        removed.push(args);
        const rotated = args.why === 'stolen' ? { generation: 3, confirmed: ['aaaadddd'], waiting: ['aaaaeeee'] } : {};
        return { removed: args.node ?? '', ...rotated };
      },
    });
  });

  test('list', async () => {
    expect((await run(['peer', 'list'])).out).toBe(
      'aaaabbbb  this node\n  at –; admitted by itself\n' +
        'aaaacccc  dead, silent for 1 min 30 s\n  at udp:192.0.2.1:7411; admitted by aaaabbbb\n',
    );
    expect((await run(['peer', 'list', '--json'])).json()).toEqual({ cluster: 'aaaabbbb', members });
  });

  test('remove asks first; --yes does not', async () => {
    const refused = await run(['peer', 'remove', 'aaaac']);
    expect(refused.exitCode).toBe(2);
    expect(refused.err).toContain('was not removed: nobody confirmed it');
    expect(removed).toEqual([]);
    expect((await run(['peer', 'remove', 'aaaac'], { yes: true })).out).toBe('aaaacccc is no member any more\n');
    const rotated = await run(['peer', 'remove', 'aaaac', '--yes', '--why', 'stolen']);
    expect(rotated.out).toBe(
      'aaaacccc is no member any more\nthe cluster’s secret is generation 3 now; 1 other members have it\n' +
        '  aaaaeeee is away, and asks for it when it is back\n',
    );
    expect(rotated.err).toContain('cannot be taken back');
    expect(removed).toEqual([{ node: 'aaaacccc' }, { node: 'aaaacccc', why: 'stolen' }]);
  });

  test('a name of two, or of nobody, is left to the node to refuse', async () => {
    await run(['peer', 'remove', 'aaaa', '--yes']);
    await run(['peer', 'remove', 'zzzz', '--yes']);
    expect(removed).toEqual([{ node: 'aaaa' }, { node: 'zzzz' }]);
  });
});
