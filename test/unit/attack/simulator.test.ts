import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registerSimulate } from '../../../core/cli/commands/simulate.ts';
import { errorCodes } from '../../../core/errors.ts';
import {
  attackers,
  defences,
  figureOf,
  findAttacker,
  metricNames,
  plotLines,
  plotSvg,
  runAttacks,
  summarize,
  type AttackJob,
} from '../../kit/attack/index.ts';
import { poisson } from '../../kit/attack/chance.ts';
import { clockLeak, disruption, timingLeak, unpredictability } from '../../kit/attack/measure.ts';
import { EventQueue } from '../../kit/attack/queue.ts';
import { defaultScenario } from '../../kit/attack/scenario.ts';
import { Service } from '../../kit/attack/service.ts';
import { IntroFailures, replaces, RequestHistory } from '../../kit/network/rules/client.ts';
import { DescriptorShelf } from '../../kit/network/rules/hsdir.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { runCli } from '../cli/support.ts';

const scenario = { hours: 0.5, clients: 200, sessionsPerSecond: 1, attackAtMs: 300_000 };
const jobs = (strategy: string, attacker: string, count = 3): AttackJob[] =>
  Array.from({ length: count }, (_none, index) => ({ strategy, attacker, seed: index + 1, scenario, directory: '.' }));

describe('the event queue', () => {
  test('gives the earliest first, and of one instant the first that came', () => {
    const queue = new EventQueue();
    const random = createSeededRandom('queue');
    const events = Array.from({ length: 5_000 }, (_none, subject) => ({ atMs: random.int(500), subject }));
    for (const { atMs, subject } of events) queue.add(atMs, 1, subject);
    const out: number[] = [];
    while (queue.next()) out.push(queue.subject);
    const sorted = [...events].sort((a, b) => a.atMs - b.atMs || a.subject - b.subject);
    expect(out).toEqual(sorted.map(({ subject }) => subject));
  });
});

describe('the rules that the embedded network shares', () => {
  test('a failed point is tried again after 120 s; an unreachable one fails at the fifth time', () => {
    const failures = new IntroFailures<string>();
    failures.note('refused', 'nack', 0);
    for (let time = 0; time < 4; time++) failures.note('far', 'unreachable', 0);
    expect([failures.usable('refused', 119), failures.usable('refused', 120), failures.usable('far', 1)]).toEqual([
      false,
      true,
      true,
    ]);
    failures.note('far', 'unreachable', 1);
    expect(failures.usable('far', 2)).toBe(false);
  });
  test('an HSDir is asked once in its time, for each key', () => {
    const history = new RequestHistory<string>();
    history.note('one', 'key', 0);
    expect([history.mayAsk('one', 'key', 900, 900), history.mayAsk('one', 'key', 901, 900)]).toEqual([false, true]);
    expect([history.mayAsk('one', 'other', 1, 900), history.mayAsk('two', 'key', 1, 900)]).toEqual([true, true]);
    history.forget('key');
    expect(history.mayAsk('one', 'key', 1, 900)).toBe(true);
  });
  test('a client keeps the higher counter, an HSDir wants a higher one, until the lifetime is over', () => {
    expect([replaces(2n, 1n), replaces(1, 1), replaces(undefined, 1)]).toEqual([false, true, true]);
    const shelf = new DescriptorShelf<{ revision: number; lifetimeSeconds: number }>();
    expect(shelf.store('key', { revision: 5, lifetimeSeconds: 60 }, 0)).toBe(true);
    expect(shelf.store('key', { revision: 5, lifetimeSeconds: 60 }, 1)).toBe(false);
    expect(shelf.store('key', { revision: 4, lifetimeSeconds: 60 }, 60)).toBe(true);
  });
});

describe('a run', () => {
  test('is the same again by its seed, however many threads work', async () => {
    const all = jobs('hydra', 'poller');
    const once = await runAttacks(all, { threads: 1 });
    const again = await runAttacks(all, { threads: 2 });
    expect(again).toEqual(once);
    expect(summarize(again).digest).toBe(summarize(once).digest);
    expect(summarize(await runAttacks(jobs('hydra', 'poller', 2), { threads: 1 })).digest).not.toBe(
      summarize(once).digest,
    );
  });
  test('brings the same visitors to every strategy', async () => {
    const [calm] = await runAttacks(jobs('stable', 'observer', 1), { threads: 1 });
    const [other] = await runAttacks(jobs('distinct', 'observer', 1), { threads: 1 });
    expect(calm?.metrics.reachability).toBe(1);
    expect(other?.metrics.reachability).toBe(1);
    const count = (series: readonly (number | null)[]): number => series.filter((one) => one !== null).length;
    expect(count(calm?.series ?? [])).toBe(count(other?.series ?? []));
  });
  test.each([...attackers.keys()])('%s acts on every defence, and all figures are numbers', async (attacker) => {
    for (const strategy of defences.keys()) {
      const [run] = await runAttacks(
        [{ strategy, attacker, seed: 1, scenario: { ...scenario, hours: 0.3 }, directory: '.' }],
        { threads: 1 },
      );
      for (const name of metricNames) {
        const value = run?.metrics[name] ?? null;
        expect(value === null || Number.isFinite(value), `${strategy} ${name} ${value}`).toBe(true);
      }
    }
  });
  test('passes a day: the period at 12:00, the shared random value at 00:00', async () => {
    const day = { hours: 20, clients: 300, sessionsPerSecond: 0.1 };
    const [run] = await runAttacks(
      [{ strategy: 'stable', attacker: 'observer', seed: 1, scenario: day, directory: '.' }],
      {
        threads: 1,
      },
    );
    // The midnight flip costs who had fetched: their points are gone, and a minute passes until all HSDirs have the new ones.
    expect(run?.metrics.reachability).toBeGreaterThan(0.98);
    expect(run?.counts.nacks).toBeGreaterThan(50);
  });
});

describe('a poller that asks every HSDir', () => {
  test('has the whole of what distinct spreads over them, and of one descriptor no more', async () => {
    const isolation = async (strategy: string, every_hsdir: boolean): Promise<number> => {
      const setup = {
        strategy,
        attacker: 'poller',
        seed: 1,
        scenario: { ...scenario, uploadMs: 1_000 },
        directory: '.',
      };
      const [run] = await runAttacks([{ ...setup, attackerOptions: { every_hsdir } }], { threads: 1 });
      return run?.metrics.isolation ?? NaN;
    };
    expect(await isolation('distinct', false)).toBeGreaterThan(0.2);
    expect(await isolation('distinct', true)).toBeLessThan(0.1);
  });
});

test('an attacker cannot tell the head of a point from its name', async () => {
  const { points } = new Service(
    defaultScenario,
    { detects: false, ghost: undefined, relayShare: 0 },
    createSeededRandom('x'),
  );
  for (const { id, head } of points) {
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect(id).not.toContain(head.name);
  }
  expect(new Set(points.map(({ id }) => id)).size).toBe(points.length);
});

describe('figures', () => {
  test('mean, Student’s interval, quantiles', () => {
    const figure = figureOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(figure?.mean).toBe(5.5);
    // scipy.stats.t.interval(0.95, 9, 5.5, 3.0277/sqrt(10)): 3.334 … 7.666
    expect(figure?.low).toBeCloseTo(3.334, 2);
    expect(figure?.high).toBeCloseTo(7.666, 2);
    expect(figure?.p50).toBe(5.5);
    expect(figure?.p95).toBeCloseTo(9.55, 9);
    expect(figureOf([])).toBeUndefined();
  });
  test('the Poisson draw has its mean and variance, small and large', () => {
    const random = createSeededRandom('poisson');
    for (const mean of [0.5, 8, 200]) {
      const values = Array.from({ length: 20_000 }, () => poisson(random, mean));
      const average = values.reduce((sum, one) => sum + one, 0) / values.length;
      const variance = values.reduce((sum, one) => sum + (one - average) ** 2, 0) / values.length;
      expect(Math.abs(average / mean - 1)).toBeLessThan(0.03);
      expect(Math.abs(variance / mean - 1)).toBeLessThan(0.05);
    }
  });
  test('disruption, and recovery', () => {
    const series = [1, 1, 0.8, 0.4, 0.3, 0.7, 0.95, 1];
    expect(disruption(series, 120_000)).toEqual({ disruptSecs: 60, recoverSecs: 180, minutes: 2, well: 2 / 6 });
    expect(disruption([1, 1], 0)).toMatchObject({ disruptSecs: null, recoverSecs: null, minutes: 0 });
  });
  test('a clock shows, chance does not', () => {
    const random = createSeededRandom('leak');
    const clock = Array.from({ length: 36 }, (_none, index) => index * 600_000);
    const chance = Array.from({ length: 36 }, () => random.int(21_600_000)).sort((a, b) => a - b);
    expect(timingLeak(clock, 21_600_000)).toBeGreaterThan(0.9);
    expect(timingLeak(chance, 21_600_000)).toBeLessThan(0.3);
    const publications = chance.map((atMs) => ({ atMs, revision: atMs * 3, sets: [], content: '' }));
    expect(clockLeak(publications)).toBeCloseTo(1, 6);
    expect(clockLeak(publications.map((one, index) => ({ ...one, revision: index })))).toBe(0);
  });
  test('unpredictability: none for a cycle, one bit for a coin', () => {
    const of = (contents: string): number =>
      unpredictability(contents.split('').map((content, atMs) => ({ atMs, revision: atMs, sets: [], content })));
    expect(of('abcabcabcabc')).toBe(0);
    expect(of('abacabacabacabac')).toBeGreaterThan(0.4);
  });
});

describe('pictures', () => {
  test('of characters', () => {
    const lines = plotLines([1, 1, 0.5, 0, null, 1], 2, 40);
    expect(lines).toHaveLength(10);
    expect(lines[0]).toBe('100 % │██   █');
  });
  test('as SVG without scripts, names as text', () => {
    const svg = plotSvg('<b>', [{ name: 'a&"b', series: [1, null, 0.5] }], 1);
    expect(svg).toContain('&lt;b&gt;');
    expect(svg).toContain('a&amp;&quot;b');
    expect(svg).not.toMatch(/script|href|on\w+=/);
  });
});

describe('an attacker of one’s own', () => {
  let folder = '';
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'chimera-attack-'))));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('the one of the documentation runs, in threads too', async () => {
    const page = await readFile(new URL('../../../docs/attack-simulator.md', import.meta.url), 'utf8');
    const [, code = ''] = /```js\n(\/\/ mine\.mjs[\s\S]*?)```/.exec(page) ?? [];
    const path = await file('mine.mjs', code);
    const runs = await runAttacks(jobs('stable', path, 2), { threads: 2 });
    expect(runs.map(({ metrics }) => (metrics.attackCells ?? 0) > 0)).toEqual([true, true]);
  });
  test.each([
    [
      'throws',
      'export default { name: "bad", initial: () => 0, act: () => { throw new Error("no"); } }',
      /fails when it acts: no/,
    ],
    ['is none', 'export default 5', /no attacker as its default export/],
    [
      'floods with text',
      'export default { name: "bad", initial: () => 0, act: () => ({ attack: { flood: new Map([["a", "b"]]), nextMs: 5 } }) }',
      /flood/,
    ],
    [
      'never waits',
      'export default { name: "bad", initial: () => 0, act: () => ({ attack: { flood: new Map(), nextMs: 0 } }) }',
      /nextMs/,
    ],
    ['cannot be read', 'export default {', /cannot be loaded/],
  ])('one that %s is refused with its code', async (name, text, message) => {
    const path = await file(`${name.replaceAll(' ', '-')}.mjs`, text);
    await expect(findAttacker(path)).rejects.toMatchObject({
      code: 'ATTACKER_FILE',
      message: expect.stringMatching(message),
    });
  });
  test('an error in a thread keeps its code', async () => {
    const text =
      'export default { name: "late", initial: () => 0, act: (view) => { if (view.sinceMs > 100000) throw new Error("late"); return { attack: { flood: new Map(), nextMs: 30000 }, state: 0 }; } }';
    const path = await file('late.mjs', text);
    await expect(runAttacks(jobs('stable', path, 2), { threads: 2 })).rejects.toMatchObject({
      name: 'ChimeraError',
      code: 'ATTACKER_FILE',
    });
  });
});

describe('chimera simulate', () => {
  const run = (...args: string[]) =>
    runCli(['simulate', '--hours', '0.3', '--clients', '100', '--sessions', '1', '--threads', '1', ...args], {
      commands: [registerSimulate],
    });
  test('prints a table, a plot and a digest', async () => {
    const text = await run('--strategy', 'stable', '--attacker', 'poller', '--seeds', '2');
    expect(text.exitCode).toBe(0);
    for (const part of ['stable against poller', 'reachability', '95 % interval', '▲ attack', 'digest ']) {
      expect(text.out).toContain(part);
    }
    // No screen, no bar.
    expect(text.err).toBe('');
  });
  test('as JSON, the same twice; several at once', async () => {
    const once = await run('--strategy', 'stable,hydra', '--attacker', 'static-list', '--seeds', '2', '--json');
    const twice = await run('--strategy', 'stable,hydra', '--attacker', 'static-list', '--seeds', '2', '--json');
    expect(twice.out).toBe(once.out);
    const { results } = once.json() as { results: { metrics: Record<string, unknown> }[] };
    expect(results).toHaveLength(2);
    expect(Object.keys(results[0]?.metrics ?? {})).toEqual([...metricNames]);
  });
  test('a bar on a screen alone, which it leaves as it was', async () => {
    const { err } = await runCli(
      ['simulate', '--hours', '0.1', '--clients', '10', '--sessions', '0.1', '--threads', '1', '--seeds', '2'],
      { commands: [registerSimulate], progress: true },
    );
    const lines = err.split('\r').map((line) => line.replace('\u001b[K', '').replace(/, \d+ s, about \d+ s left/, ''));
    expect(lines).toEqual(['', `${'░'.repeat(30)} 0 of 2 runs`, `${'█'.repeat(15)}${'░'.repeat(15)} 1 of 2 runs`, '']);
  });
  test('several at once, one line each', async () => {
    const { out, err } = await run('--strategy', 'stable,stacked', '--attacker', 'observer', '--seeds', '1');
    expect(out).toMatch(/^strategy +attacker .*reachability over time\nstable +observer +100.0 % .*█+\nstacked/);
    expect(err).toBe('');
  });
  test('a typo in one of several names is found before anything runs, with the likely name', async () => {
    const { out, err } = await run('--strategy', 'stable,hydr', '--attacker', 'poller');
    expect(out).toBe('');
    expect(err).toMatch(
      /^error CLI_USAGE: there is no strategy hydr \(did you mean hydra\?\)\nfix: name one of stable,/,
    );
  });
  test('a typo in an option is told the options', async () => {
    const { err } = await run('--attacker-option', 'perod_secs=5');
    expect(err).toMatch(
      /did you mean "period_secs"\?\nfix: options of poller: period_secs, lag_secs, every_hsdir, budget/,
    );
  });
  test('lists what there is', async () => {
    const { out } = await run('--list');
    for (const name of [...defences.keys(), ...attackers.keys()]) expect(out).toContain(name);
  });
  test.each([
    [['--attacker', 'poler'], 'CLI_USAGE'],
    [['--strategy', 'stabel'], 'CLI_USAGE'],
    [['--attacker-option', 'period_secs'], 'CLI_USAGE'],
    [['--attacker-option', 'period=5'], 'CONFIG_INVALID'],
    [['--strategy', './none.mjs'], 'STRATEGY_FILE'],
    [['--attacker', './none.mjs'], 'ATTACKER_FILE'],
    [['--seeds', '1', '--plot', '/nowhere/at/all.svg'], 'CLI_FILE'],
  ])('%j ends with %s', async (args, code) => {
    const { exitCode, err } = await run(...args);
    expect(exitCode).not.toBe(0);
    expect(err).toContain(`error ${code}:`);
    expect(Object.keys(errorCodes)).toContain(code);
  });
  test('the documentation knows every attacker, metric and the command', async () => {
    const page = await readFile(new URL('../../../docs/attack-simulator.md', import.meta.url), 'utf8');
    for (const name of [...attackers.keys(), ...defences.keys(), ...metricNames]) expect(page).toContain(`\`${name}\``);
    expect(await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8')).toContain('## chimera simulate');
  });
  test('what the guides say of attacks is what the table says', async () => {
    const read = (path: string): Promise<string> => readFile(new URL(`../../../docs/${path}`, import.meta.url), 'utf8');
    const [table, guide, found] = await Promise.all([
      read('attack-table.md'),
      read('guides/under-attack.md'),
      read('attack-simulator.md'),
    ]);
    for (const name of [...attackers.keys(), ...defences.keys()]) expect(table).toContain(`\`${name}\``);
    const [limited = '', unlimited = ''] = table.split('### reachability\n').slice(1);
    const cell = (part: string, strategy: string, attacker: string): string | undefined => {
      const rows = part.split('\n').map((line) => line.split('|').map((text) => text.trim()));
      const column = rows.find((row) => row.includes('`stable`'))?.indexOf(`\`${strategy}\``) ?? -1;
      const row = rows.find(([, name]) => name === `\`${attacker}\``);
      return row?.[column]?.split(' ±')[0];
    };
    const claims = [
      [limited, 'hydra', 'static-list', '99.9 %', guide],
      [limited, 'stable', 'static-list', '94.8 %', guide],
      [limited, 'stable', 'poller', '86.5 %', guide],
      [limited, 'hydra', 'poller', '84.0 %', guide],
      [limited, 'distinct', 'poller', '99.1 %', guide],
      [limited, 'distinct', 'poller every_hsdir', '99.1 %', found],
      [limited, 'staggered', 'poller', '96.8 %', guide],
      [limited, 'roulette', 'harvester', '98.7 %', guide],
      [limited, 'roulette', 'poller', '74.6 %', guide],
      [limited, 'reactive', 'poller', '64.3 %', guide],
      [limited, 'roulette-fast', 'observer', '87.4 %', found],
      [limited, 'roulette-fresh', 'poller', '50.2 %', found],
      [unlimited, 'stable', 'poller', '100.0 %', guide],
      [unlimited, 'hydra', 'poller', '73.7 %', guide],
      [unlimited, 'hydra', 'vanilla-bots', '63.4 %', found],
      [unlimited, 'distinct', 'poller', '87.0 %', found],
      [unlimited, 'stable', 'hybrid-cpu', '98.2 %', found],
    ] as const;
    for (const [part, strategy, attacker, share, page] of claims) {
      expect(`${strategy} against ${attacker}: ${cell(part, strategy, attacker)}`).toBe(
        `${strategy} against ${attacker}: ${share}`,
      );
      expect(page).toContain(share);
    }
  });
});
