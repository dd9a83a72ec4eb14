import { describe, expect, test } from 'vitest';
import {
  electionContract,
  headControlContract,
  torContract,
  type Election,
  type OwnHead,
} from '../../../core/engine/index.ts';
import { ChimeraError, type ErrorCode } from '../../../core/errors.ts';
import { addressOfKey, masterKeyFromSeed, type OnionAddress } from '../../../core/onion/index.ts';
import type { CycleResult, CycleOutcome } from '../../../core/pipeline/index.ts';
import type { ChildProcess, ProcessEnd } from '../../../core/runtime/index.ts';
import { createBudget } from '../../../plugins/repair/budget.ts';
import { reachableServices } from '../../../plugins/repair/heads.ts';
import { repair } from '../../../plugins/repair/index.ts';
import { createMemoryStore } from '../../kit/sim/memory-store.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { makeConsensus } from '../pipeline/support.ts';
import { createBareHost, createScriptedTor, torOf, type BareHost, type ScriptedTor } from './support.ts';

interface Stage extends BareHost {
  readonly tor: ScriptedTor;
  /** Commands that were started, each with when. */
  readonly commands: string[];
  /** How commands end; undefined lets them hang. */
  end: ProcessEnd | undefined;
  readonly killed: number[];
  readonly stepDowns: string[];
  lose(code?: ErrorCode): void;
  journal(): Promise<Record<string, unknown>[]>;
  settle(outcome: CycleOutcome, confirmed?: number, of?: number): Promise<void>;
}

async function stage(settings: object = {}, heads?: () => readonly OwnHead[], alone = false): Promise<Stage> {
  const store = createMemoryStore();
  await store.makeDirectory('/state');
  const bare = createBareHost({ store });
  const tor = createScriptedTor(makeConsensus());
  tor.info.set('version', '0.4.9.11');
  const commands: string[] = [];
  const killed: number[] = [];
  const stepDowns: string[] = [];
  const s = { end: { code: 0, signal: null } as ProcessEnd | undefined };
  Object.assign(bare.host, { stateDirectory: '/state' });
  Object.assign(bare.host.runtime, {
    processes: {
      start: async (command: string, args: readonly string[]): Promise<ChildProcess> => {
        commands.push([`${Math.round(bare.clock.monotonic() / 1_000)} s`, command, ...args].join(' '));
        if (command === 'missing') throw new Error('spawn missing ENOENT');
        const ended = s.end === undefined ? new Promise<ProcessEnd>(() => undefined) : Promise.resolve(s.end);
        return { pid: 1, ended, output: () => 'Access denied\n', kill: () => void killed.push(1) };
      },
    },
  });
  bare.provide(torContract, torOf(tor));
  const election = { publisher: 'one', epoch: 0, elected: true, stepDown: (why: string) => void stepDowns.push(why) };
  if (!alone) bare.provide(electionContract, election as Election);
  if (heads !== undefined) {
    const out = new Set<string>();
    bare.provide(headControlContract, {
      heads: () => heads().map((head) => ({ ...head, excluded: out.has(head.head) })),
      exclude: (head) => void out.add(head),
      include: (head) => void out.delete(head),
    });
  }
  bare.apply(repair, settings);
  await bare.start();
  return Object.assign(s, bare, {
    tor,
    commands,
    killed,
    stepDowns,
    lose: (code?: ErrorCode) => {
      const lastError = code === undefined ? new Error('ECONNREFUSED') : new ChimeraError(code, 'lost');
      Object.assign(tor, { lastError });
      tor.setState('connecting');
    },
    journal: async () => {
      await bare.clock.advance(0);
      const bytes = await store.read('/state/repair.log');
      const lines = bytes === undefined ? [] : Buffer.from(bytes).toString().trim().split('\n');
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    settle: async (outcome: CycleOutcome, confirmed = 0, of = 8) => {
      const confirmations = Array.from({ length: outcome === 'failed' ? 0 : of }, (_, index) => ({
        fingerprint: String(index),
        confirmed: index < confirmed,
      }));
      await bare.hooks.settled.promise({ outcome, confirmations, uploads: [] } as unknown as CycleResult);
    },
  });
}

const unit = { tors: [{ unit: 'tor@default.service' }] };

describe('a tor', () => {
  test('that is gone is restarted, then again after longer and longer, and at most so often an hour', async () => {
    const s = await stage({ ...unit, per_hour: 4, backoff_min_ms: 60_000 });
    await s.clock.advance(60_000);
    expect(s.commands).toEqual([]);
    s.lose();
    await s.clock.advance(14_000);
    expect(s.commands).toEqual([]);
    await s.clock.advance(10_000);
    expect(s.commands).toEqual([expect.stringMatching(/^\d+ s systemctl restart tor@default\.service$/) as string]);
    await s.clock.advance(3_500_000);
    const [last] = (await s.journal()).slice(-1);
    expect(last).toMatchObject({ action: 'none', outcome: 'restarted 4 times within an hour, no more for now' });
    expect(await s.journal()).toHaveLength(5);
    const at = s.commands.map((line) => Number.parseInt(line, 10));
    expect(at).toHaveLength(4);
    const waits = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    for (const [index, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(60 * 2 ** index * 0.75);
      expect(wait).toBeLessThanOrEqual(60 * 2 ** index * 1.25 + 25);
    }
    await s.clock.advance(600_000);
    expect(s.commands).toHaveLength(5);
    expect((await s.journal())[0]).toMatchObject({
      why: expect.stringMatching(/^tor tor is gone for \d+ s$/) as string,
      action: 'restart-tor',
      outcome: 'done',
    });
    await s.stop();
  });

  test('that comes back by itself in time is left alone', async () => {
    const s = await stage(unit);
    for (let round = 0; round < 20; round++) {
      s.lose();
      await s.clock.advance(9_000);
      s.tor.setState('ready');
      await s.clock.advance(6_000);
    }
    expect(s.commands).toEqual([]);
    await s.stop();
  });

  test('that hangs is restarted after its own time; one that refuses never, and that is told once', async () => {
    const s = await stage({ ...unit, hangs_after_ms: 40_000 });
    s.lose('TOR_TIMEOUT');
    await s.clock.advance(39_000);
    expect(s.commands).toEqual([]);
    await s.clock.advance(10_000);
    expect(s.commands).toHaveLength(1);
    await s.stop();
    for (const code of ['TOR_AUTHENTICATION', 'TOR_COOKIE', 'TOR_PERMISSION', 'TOR_NOT_CONTROL_PORT'] as const) {
      const refusing = await stage(unit);
      refusing.lose(code);
      await refusing.clock.advance(600_000);
      expect(refusing.commands).toEqual([]);
      expect(await refusing.journal()).toMatchObject([{ action: 'none', cause: { kind: 'tor-refuses', code } }]);
      await refusing.stop();
    }
  });

  test('of which nobody says how to restart it is written down once', async () => {
    const s = await stage();
    s.lose();
    await s.clock.advance(600_000);
    expect(s.commands).toEqual([]);
    expect(await s.journal()).toMatchObject([{ action: 'none', outcome: 'nothing is configured to restart it' }]);
    await s.stop();
  });

  test('a command that fails, hangs or is not there is named with its output', async () => {
    const failing = await stage({ tors: [{ command: ['restart', 'it'] }] });
    failing.end = { code: 4, signal: null };
    failing.lose();
    await failing.clock.advance(25_000);
    expect(await failing.journal()).toMatchObject([
      { outcome: 'REPAIR_COMMAND: restart: it ended with 4: Access denied' },
    ]);
    await failing.stop();
    const hanging = await stage({ tors: [{ command: ['restart'] }], restart_timeout_ms: 5_000 });
    hanging.end = undefined;
    hanging.lose();
    await hanging.clock.advance(25_000);
    expect(hanging.killed).toHaveLength(1);
    expect(await hanging.journal()).toMatchObject([{ outcome: 'REPAIR_COMMAND: restart: it was not done within 5 s' }]);
    await hanging.stop();
    const missing = await stage({ tors: [{ command: ['missing'] }] });
    missing.lose();
    await missing.clock.advance(25_000);
    expect(await missing.journal()).toMatchObject([{ outcome: 'REPAIR_COMMAND: missing: spawn missing ENOENT' }]);
    await missing.stop();
  });

  test.each<[string, object]>([
    ['a unit with spaces', { tors: [{ unit: 'tor; rm -rf /' }] }],
    ['a unit like an option', { tors: [{ unit: '--force' }] }],
    ['unit and command', { tors: [{ unit: 'tor.service', command: ['x'] }] }],
    ['an empty command', { tors: [{ command: [] }] }],
  ])('is not restarted by %s', async (_name, settings) => {
    await expect(stage(settings)).rejects.toThrow(/must be|either|must name/);
  });
});

describe('publications', () => {
  const operators = (s: Stage): string[] =>
    s.signals.flatMap(({ name, payload }) => (name === 'operator' ? [(payload as { why: string }).why] : []));

  test('that are lost are published again, then handed over; success begins anew', async () => {
    const s = await stage();
    await s.settle('unconfirmed', 3);
    expect(operators(s)).toEqual([]);
    await s.settle('unconfirmed', 3);
    expect(operators(s)).toEqual(['repair: 2 publications in a row are not at most of their HSDirs']);
    await s.settle('unconfirmed', 0);
    // Its back-off: not at once again.
    expect(operators(s)).toHaveLength(1);
    expect(s.stepDowns).toEqual([]);
    await s.settle('unconfirmed', 0);
    expect(s.stepDowns).toEqual(['4 publications in a row are not at most of their HSDirs']);
    await s.settle('published', 8);
    await s.settle('unconfirmed', 0);
    await s.settle('unconfirmed', 0);
    expect(operators(s)).toHaveLength(2);
    expect((await s.journal()).map(({ action, outcome }) => `${String(action)}: ${String(outcome)}`)).toEqual([
      'republish: done',
      'step-down: asked for',
      'republish: done',
    ]);
    await s.stop();
  });

  test('of which one or two are missing are no cause; nor is a standby', async () => {
    const s = await stage();
    for (let round = 0; round < 20; round++) await s.settle('unconfirmed', 6);
    for (const outcome of ['unconfirmed', 'standby'] as const)
      for (let round = 0; round < 5; round++) {
        await s.settle(outcome, 1);
        await s.settle('standby');
      }
    expect([operators(s), s.stepDowns, await s.journal()]).toEqual([[], [], []]);
    await s.stop();
  });

  test('that fail are written down; the election hands over by itself', async () => {
    const s = await stage();
    for (let round = 0; round < 10; round++) await s.settle('failed');
    expect(await s.journal()).toMatchObject([{ cause: { kind: 'cannot-publish', inARow: 2 }, action: 'none' }]);
    await s.stop();
  });

  test('a node without an election says that there is nobody', async () => {
    const s = await stage({ republish_after: 1, step_down_after: 1 }, undefined, true);
    await s.settle('unconfirmed', 0);
    expect(await s.journal()).toMatchObject([{ outcome: 'there is nobody to hand over to' }]);
    await s.stop();
  });

  test('not more often than the hour allows, whatever happens', async () => {
    const s = await stage({ per_hour: 3, backoff_min_ms: 100, backoff_max_ms: 100 });
    for (let minute = 0; minute < 59; minute++) {
      await s.settle('unconfirmed', 0);
      await s.clock.advance(60_000);
    }
    expect(operators(s).length).toBeLessThanOrEqual(3);
    expect(s.stepDowns).toHaveLength(3);
    await s.stop();
  });
});

const circuit = (address: string, state = 'HSSI_ESTABLISHED', purpose = 'HS_SERVICE_INTRO'): string =>
  `7 BUILT $AA~a,$BB~b BUILD_FLAGS=IS_INTERNAL,NEED_UPTIME PURPOSE=${purpose} HS_STATE=${state} REND_QUERY=${address} TIME_CREATED=2026-11-21T04:00:00.000000`;

describe('heads', () => {
  const [first, second, third] = [1, 2, 3].map((fill) =>
    addressOfKey(masterKeyFromSeed(new Uint8Array(32).fill(fill)).publicKey),
  ) as [OnionAddress, OnionAddress, OnionAddress];

  test('are read from the circuits of their tor', () => {
    const other = 'x'.repeat(56);
    const lines = [
      circuit(first),
      circuit(second, 'HSSI_CONNECTING'),
      circuit(other, 'HSSR_JOINED', 'HS_SERVICE_REND'),
      '8 LAUNCHED PURPOSE=GENERAL',
      '',
      `9 BUILT EVIL="PURPOSE=HS_SERVICE_INTRO" REND_QUERY=short`,
    ];
    expect([...reachableServices(lines.join('\r\n'))]).toEqual([first]);
    expect([...reachableServices(lines.join('\n'))]).toEqual([first]);
    expect([...reachableServices('')]).toEqual([]);
  });

  test('without an introduction circuit are left out, and taken in when they have one again', async () => {
    const known: { list: OwnHead[] } = { list: [] };
    const s = await stage({}, () => known.list);
    known.list = [
      { head: 'one/1', tor: s.tor, address: first, excluded: false },
      { head: 'one/2', tor: s.tor, address: second, excluded: false },
      { head: 'one/3', tor: s.tor, address: undefined, excluded: false },
    ];
    const excluded = (): string[] =>
      s
        .given(headControlContract)
        .heads()
        .flatMap(({ head, excluded: out }) => (out ? [head] : []));
    s.tor.info.set('circuit-status', [circuit(first), circuit(second)].join('\r\n'));
    await s.clock.advance(60_000);
    expect(excluded()).toEqual([]);
    s.tor.info.set('circuit-status', circuit(first));
    await s.clock.advance(15_000);
    expect(excluded()).toEqual([]);
    await s.clock.advance(20_000);
    expect(excluded()).toEqual(['one/2']);
    s.tor.info.set('circuit-status', [circuit(first), circuit(second)].join('\r\n'));
    await s.clock.advance(15_000);
    expect(excluded()).toEqual([]);
    expect((await s.journal()).map(({ why }) => why)).toEqual([
      expect.stringMatching(/^head one\/2 has had no introduction circuit for \d+ s$/),
      'head one/2 has introduction circuits again',
    ]);
    // One that comes and goes is not taken out and in for ever.
    for (let round = 0; round < 100; round++) {
      s.tor.info.set(
        'circuit-status',
        round % 2 === 0 ? circuit(first) : [circuit(first), circuit(second)].join('\r\n'),
      );
      await s.clock.advance(30_000);
    }
    expect((await s.journal()).filter(({ action }) => action === 'exclude-head').length).toBeLessThanOrEqual(7);
    await s.stop();
  });

  test('all without one: the tor by which the publisher publishes has no network, and another is to publish', async () => {
    const other = createScriptedTor(makeConsensus());
    const known: { list: OwnHead[] } = { list: [] };
    const s = await stage({}, () => known.list);
    known.list = [
      { head: 'one/1', tor: s.tor, address: first, excluded: false },
      { head: 'one/2', tor: s.tor, address: second, excluded: false },
      { head: 'one/3', tor: other, address: third, excluded: false },
    ];
    s.tor.info.set('circuit-status', circuit(first));
    other.info.set('circuit-status', '');
    await s.clock.advance(60_000);
    // One head of it is there, and what the other tor lacks is not what this node publishes by.
    expect(s.stepDowns).toEqual([]);
    s.tor.info.set('circuit-status', '');
    await s.clock.advance(26_000);
    expect(s.stepDowns).toEqual([
      expect.stringMatching(/^tor .* answers, and none of its heads has an introduction circuit$/),
    ]);
    expect((await s.journal()).at(-1)).toMatchObject({ action: 'step-down', outcome: 'asked for' });
    await s.clock.advance(600_000);
    expect(s.stepDowns.length).toBeLessThan(7);
    await s.stop();
  });

  test('of a tor that does not answer, or is gone, are condemned by nobody', async () => {
    const known: { list: OwnHead[] } = { list: [] };
    const s = await stage({}, () => known.list);
    known.list = [{ head: 'one/1', tor: s.tor, address: first, excluded: false }];
    await s.clock.advance(120_000);
    s.tor.setState('connecting');
    s.tor.info.set('circuit-status', '');
    await s.clock.advance(10_000);
    expect(await s.journal()).toEqual([]);
    await s.stop();
  });
});

test('a journal that cannot be read is not written over; one that was longer keeps its newest entries', async () => {
  const settings = { journal_entries: 10, republish_after: 1, backoff_min_ms: 100 };
  const s = await stage(settings);
  const before = `${Array.from({ length: 3_000 }, (_, index) => JSON.stringify({ old: index, why: 'x'.repeat(600) })).join('\n')}\n`;
  await s.store.write('/state/repair.log', before);
  const read = s.store.read.bind(s.store);
  Object.assign(s.store, { read: () => Promise.reject(new Error('EIO: input/output error')) });
  await s.settle('unconfirmed', 0);
  await s.clock.advance(1_000);
  Object.assign(s.store, { read });
  expect(Buffer.from((await s.store.read('/state/repair.log')) ?? []).toString()).toBe(before);
  expect(s.lines.filter(({ message }) => message.startsWith('the journal of repairs cannot be written'))).toHaveLength(
    1,
  );
  await s.settle('published', 8);
  await s.settle('unconfirmed', 0);
  await s.clock.advance(1_000);
  expect((await s.journal()).map(({ old, action }) => old ?? action)).toEqual([
    ...Array.from({ length: 8 }, (_, index) => 2_992 + index),
    'republish',
    'republish',
  ]);
  await s.stop();
});

test('the journal survives restarts, and is bounded', async () => {
  const s = await stage({
    journal_entries: 10,
    republish_after: 1,
    step_down_after: 100,
    backoff_min_ms: 100,
    per_hour: 1_000,
  });
  await s.store.write(
    '/state/repair.log',
    `${Array.from({ length: 8 }, (_, index) => JSON.stringify({ old: index })).join('\n')}\nrubbish\n`,
  );
  for (let round = 0; round < 4; round++) {
    await s.settle('unconfirmed', 0);
    await s.settle('published', 8);
    await s.clock.advance(1_000);
  }
  const journal = await s.journal();
  expect(journal).toHaveLength(10);
  expect(journal[0]).toEqual({ old: 2 });
  s.store.full = true;
  for (let round = 0; round < 3; round++) {
    await s.settle('unconfirmed', 0);
    await s.settle('published', 8);
    await s.clock.advance(1_000);
  }
  expect(s.lines.filter(({ message }) => message.startsWith('the journal of repairs cannot be written'))).toHaveLength(
    1,
  );
  await s.stop();
});

test('a budget never allows more than its hour, and doubles its waits', () => {
  const budget = createBudget({
    random: createSeededRandom('budget'),
    minimumMs: 1_000,
    maximumMs: 60_000,
    perHour: 20,
  });
  const taken: number[] = [];
  for (let now = 0; now < 10 * 3_600_000; now += 500) if (budget.take(now)) taken.push(now);
  for (const at of taken)
    expect(taken.filter((other) => other >= at && other < at + 3_600_000).length).toBeLessThanOrEqual(20);
  const waits = taken.slice(1, 6).map((at, index) => at - (taken[index] ?? 0));
  for (const [index, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(750 * 2 ** index);
});
