/** The guide on strategies, run as it stands: its strategies under the laws by its own test files, its commands, its configuration. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { registerLab } from '../../../core/cli/commands/lab.ts';
import { registerSimulate } from '../../../core/cli/commands/simulate.ts';
import { registerMatrix } from '../../../core/cli/commands/matrix.ts';
import { loadConfig, resolveConfig } from '../../../core/config/index.ts';
import type { RotationStrategy } from '../../../core/pipeline/index.ts';
import { plugins } from '../../../plugins/index.ts';
import { presets } from '../../../presets/index.ts';
import { rotationLaws } from '../../kit/laws/rotation-strategy.ts';
import { runCli } from '../../unit/cli/support.ts';

const root = resolve(import.meta.dirname, '../../..');
/** What a user's own project finds by its name. */
const packages: Readonly<Record<string, string>> = {
  'chimera-mtd': join(root, 'core/index.ts'),
  'chimera-mtd/strategies/plan': join(root, 'strategies/plan.ts'),
  'chimera-mtd/testing': join(root, 'test/kit/index.ts'),
};

const place = await mkdtemp(join(tmpdir(), 'chimera-guide-'));
afterAll(() => rm(place, { recursive: true }));
const guide = await readFile(join(root, 'docs/guides/strategies.md'), 'utf8');
for (const [, path = '', text = ''] of guide.matchAll(/^```(?:ts|js|toml) (\S+)\n([\s\S]*?)^```$/gm)) {
  const linked = text.replaceAll(/from '([^.'][^']*)'/g, (_whole, name: string) => `from '${packages[name] ?? name}'`);
  await writeFile(join(place, path), linked);
}
await import(join(place, 'my-strategy.test.ts'));
await import(join(place, 'quiet-strategy.test.ts'));

const commandIn = (name: string): string[] =>
  (new RegExp(`^chimera ${name} (.*)$`, 'm').exec(guide)?.[1] ?? '')
    .split(' ')
    .map((word) => word.replace('./my-strategy.mjs', join(place, 'my-strategy.mjs')));

test('the ten lines fail the laws of rotation that the guide says they fail', async () => {
  const { default: mine } = (await import(join(place, 'my-strategy.mjs'))) as { default: RotationStrategy };
  const failed = rotationLaws.filter((law) => {
    if (law.kind !== 'rotation') return false;
    try {
      law.check(mine);
      return false;
    } catch {
      return true;
    }
  });
  expect(failed.map(({ name }) => name.split(':')[0])).toContain('nobody foresees it without the seed');
});

test('the matrix shows it', async () => {
  const run = await runCli(['matrix', ...commandIn('matrix')], { commands: [registerMatrix] });
  expect(run.err).toBe('');
  expect(run.out).toMatch(/^day-and-night: 6 heads/);
});

test('the simulator plays it against an attacker, beside another', { timeout: 120_000 }, async () => {
  const run = await runCli(['simulate', ...commandIn('simulate')], { commands: [registerSimulate] });
  expect(run.err).toBe('');
  expect(run.exitCode).toBe(0);
  expect(run.out).toMatch(/^strategy +attacker +reachability /);
  for (const line of [/^stable +poller +\d/m, /my-strategy\.mjs +poller +\d/]) expect(run.out).toMatch(line);
});

test('the configuration names it', async () => {
  const loaded = await loadConfig(join(place, 'chimera.toml'), place);
  const value = { ...(loaded.value as object), master: { identity_key_path: '/key' } };
  const resolved = await resolveConfig({ ...loaded, value }, { presets, plugins });
  expect(resolved.options.get('strategy/file')).toEqual({ file: join(place, 'my-strategy.mjs') });
});

test('the lab says at once that there is no such strategy', async () => {
  const run = await runCli(['lab', '--strategy', join(place, 'none.mjs')], { commands: [registerLab] });
  expect([run.exitCode, run.out]).toEqual([2, '']);
  expect(run.err).toContain('STRATEGY_FILE');
});

test('the lab runs it', { timeout: 120_000 }, async () => {
  const run = await runCli(['lab', ...commandIn('lab')], { commands: [registerLab] });
  // Half of the heads are live, and a client can reach no others: the lab says so. Everything before that holds.
  expect(run.out).toContain('a client fetched it');
  expect(run.err).not.toContain('STRATEGY_FILE');
});
