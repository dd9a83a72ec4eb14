import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { registerMatrix } from '../../../core/cli/commands/matrix.ts';
import { matrixHtml } from '../../../core/cli/matrix/html.ts';
import { matrixOf } from '../../../core/cli/matrix/model.ts';
import { matrixText } from '../../../core/cli/matrix/text.ts';
import { project } from '../../../core/pipeline/index.ts';
import { roulette } from '../../../strategies/roulette.ts';
import { stable } from '../../../strategies/stable.ts';
import { createSeededRandom } from '../../kit/sim/seeded-random.ts';
import { runCli, withFiles } from './support.ts';

const cluster = { heads: 6, pointsPerHead: 3, nowMs: Date.UTC(2026, 0, 1, 9, 17), seed: 'm' };
const span = { hours: 24, random: createSeededRandom('m') };
const matrix = matrixOf(
  'roulette',
  project(roulette({ live_heads: 3, every_secs: 600, jitter_secs: 60 }) as never, cluster, span),
);
const directory = await mkdtemp(join(tmpdir(), 'chimera-matrix-'));
afterAll(() => rm(directory, { recursive: true }));
const chimera = (...args: string[]) =>
  runCli(['matrix', '--from', '1795197600', ...args], { commands: [registerMatrix] });

describe('the figures', () => {
  test('two sets of three heads in turn: each head half of the time, three live at any time', () => {
    expect(matrix.rows).toHaveLength(6);
    expect(matrix.rows.reduce((sum, { coverage }) => sum + coverage, 0)).toBeCloseTo(3, 6);
    for (const { hours, coverage } of matrix.rows) {
      expect(hours).toHaveLength(24);
      expect(Math.max(...hours)).toBeLessThanOrEqual(1);
      expect(coverage).toBeGreaterThan(0.45);
      expect(coverage).toBeLessThan(0.55);
    }
    expect(matrix).toMatchObject({ shown: 18, points: [9, 9], exposure: { relays: 42 } });
    expect(matrix.changes.reduce((sum, count) => sum + count, 0)).toBe(144);
  });
  test('what never changes is covered wholly and never turned over', () => {
    const still = matrixOf('stable', project(stable as never, cluster, span));
    expect(still.rows.every(({ coverage }) => coverage === 1)).toBe(true);
    expect(still.turnoverMs).toBeUndefined();
  });
  test('by point: one row for each', () => {
    const points = matrixOf('stable', project(stable as never, cluster, span), 'point');
    expect(points.rows.map(({ name }) => name).slice(0, 2)).toEqual(['head-01#1', 'head-01#2']);
  });
});

describe('in the terminal', () => {
  test.each([120, 100, 80, 60, 40])('%i columns are enough', (columns) => {
    const lines = matrixText(matrix, columns);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(lines.filter((line) => line.startsWith('head-0'))).toHaveLength(6);
  });
  test('a row has a mark for each hour, and no colour', () => {
    const row = matrixText(matrix, 120).find((line) => line.startsWith('head-01')) ?? '';
    expect(row.match(/[·░▓█]/g)).toHaveLength(24);
    // oxlint-disable-next-line no-control-regex
    expect(matrixText(matrix, 120).join('')).not.toMatch(/\x1b/);
  });
});

describe('the page', () => {
  const page = matrixHtml(matrix);
  test('has no script, fetches nothing, and says so to the browser', () => {
    expect(page).not.toMatch(/<script|\son\w+=|javascript:|<link|<img|url\(|https?:/i);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });
  test('is a table that can be read aloud, light or dark', () => {
    expect(page.match(/<th scope="row">/g)).toHaveLength(8);
    expect(page.match(/<th scope="col"/g)).toHaveLength(27);
    expect(page).toContain('<table aria-describedby="legend">');
    expect(page).toMatch(/<p class="legend" id="legend">Which head is live in which hour/);
    expect(page).toContain('prefers-color-scheme: dark');
  });
  test('on a narrow screen the table scrolls, by keyboard too, and the names stay', () => {
    expect(page).toContain('<div class="frame" role="region" aria-labelledby="legend" tabindex="0">');
    expect(page).toMatch(/\.frame \{ overflow-x: auto; \}[\s\S]*th:first-child \{ position: sticky; left: 0;/);
  });
  test('nearly an hour is not 60 minutes, which would be all of it', () => {
    const [row] = matrix.rows;
    if (row === undefined) throw new Error('no row');
    const nearly = matrixHtml({ ...matrix, rows: [{ ...row, hours: row.hours.map(() => 0.997) }] });
    expect(nearly).toContain('<td class="s4">59′</td>');
  });
  test('names are text, not markup', () => {
    expect(matrixHtml({ ...matrix, strategy: '<script>"&' })).toContain('&#60;script&#62;&#34;&#38;');
  });
});

describe('chimera matrix', () => {
  test('shows a named strategy, as text and as JSON', async () => {
    const text = await chimera('--strategy', 'stacked', '--heads', '40');
    expect(text).toMatchObject({ exitCode: 0, err: '' });
    expect(text.out).toContain('stacked: 40 heads with 3 introduction points, 24 h from 2026-11-20 18:00 UTC');
    const json = (await chimera('--strategy', 'distinct', '--heads', '20', '--json')).json();
    expect(json).toMatchObject({ strategy: 'distinct', shown: 60, heads: 20 });
  });
  test('a preset’s strategy with its defaults', async () => {
    expect((await chimera('--preset', 'staggered', '--json')).json()).toMatchObject({ strategy: 'staggered' });
  });
  test('preset roulette: its wheel, by its own options, and that it turns in panic mode only', async () => {
    const usual = await chimera('--preset', 'roulette', '--heads', '8');
    expect(usual.out).toMatch(/^roulette: 8 heads/);
    expect(usual.out).toMatch(/^live at once +12 points$/m);
    expect(usual.out).toMatch(/^note +panic mode \(chimera panic on\)/m);
    const file = join(directory, 'c.toml');
    await writeFile(file, 'preset = "roulette"\n[roulette]\nlive_heads = 2\nevery_secs = 3600');
    expect((await chimera('--config', file, '--json')).json()).toMatchObject({ strategy: 'roulette', points: [6, 6] });
    await writeFile(file, 'preset = "roulette"\n[plugins]\nadd = ["roulette"]\nremove = ["roulette"]');
    // As for the node: what is added is there, whatever it takes the place of.
    expect((await chimera('--config', file, '--json')).json()).toMatchObject({ strategy: 'roulette' });
    await writeFile(file, 'preset = "roulette"\n[roulette]\nevery_secs = 5');
    expect((await chimera('--config', file)).err).toContain('error CONFIG_INVALID:');
  });
  test.each([
    [['--preset', 'hydra'], 'hydra is reactive: no timetable'],
    [['--preset', 'reactive'], 'reactive: no timetable'],
    [['--strategy', 'reactive'], 'reactive: no timetable'],
    [['--preset', 'stable'], undefined],
    [['--strategy', 'roulette'], undefined],
  ])('%j: what reacts has no timetable, and says so', async (args, note) => {
    const shown = (await chimera(...args, '--json')).json() as { note?: string };
    expect(shown.note?.slice(0, note?.length)).toBe(note);
    const matrixOfIt = { ...matrix, ...(shown.note === undefined ? {} : { note: shown.note }) };
    expect(matrixHtml(matrixOfIt).includes('<dt>note</dt>')).toBe(note !== undefined);
  });
  test('writes the page', async () => {
    const { runtime, store } = await withFiles({});
    const run = await runCli(['matrix', '-s', 'roulette', '--html', '/files/m.html'], {
      commands: [registerMatrix],
      runtime,
    });
    expect(run).toMatchObject({ exitCode: 0, err: 'written: /files/m.html\n' });
    expect(Buffer.from((await store.read('/files/m.html')) ?? '').toString()).toContain('<!doctype html>');
  });
  test.each([
    [['--strategy', 'rulette'], 'CLI_USAGE'],
    [['--preset', 'none'], 'CLI_USAGE'],
    [['--strategy', './none.mjs'], 'STRATEGY_FILE'],
    [['--strategy', 'stable', '--html', '/nowhere/at/all/m.html'], 'CLI_FILE'],
  ])('%j ends with %s', async (args, code) => {
    const run = await chimera(...args);
    expect(run.exitCode).not.toBe(0);
    expect(run.err).toContain(`error ${code}:`);
  });
  test('the documentation shows the command', async () => {
    expect(await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8')).toContain('## chimera matrix');
  });
});
