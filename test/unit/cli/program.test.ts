import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitCodeOf } from '../../../core/cli/exit.ts';
import type { RegisterCommand } from '../../../core/cli/context.ts';
import { ChimeraError, errorCodes, type ErrorCode } from '../../../core/errors.ts';
import { runCli } from './support.ts';

const root = resolve(import.meta.dirname, '../../..');

/** A command that throws. */
const failing =
  (error: unknown): RegisterCommand =>
  (program) => {
    program.command('fail').action(() => {
      throw error;
    });
  };

describe('the frame of the command line', () => {
  const debugCommands = ['show-onion', 'descriptor', 'merge', 'tor', 'hsdirs', 'fetch', 'connect'];

  test.each(debugCommands)('debug %s --help has an example and --debug', async (name) => {
    const { exitCode, out, err } = await runCli(['debug', name, '--help']);
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toContain(`Usage: chimera debug ${name}`);
    expect(out).toMatch(/\nExample:\n {2}chimera debug /);
    expect(out).toContain('--debug');
  });

  test('the group lists its commands', async () => {
    const { exitCode, out } = await runCli(['debug', '--help']);
    expect(exitCode).toBe(0);
    expect(debugCommands.filter((name) => !new RegExp(`^  ${name} `, 'm').test(out))).toEqual([]);
  });

  test.each([
    [['debgu'], 'unknown command', 'Did you mean debug?'],
    [['debug', 'descripter'], 'unknown command', 'Did you mean descriptor?'],
    [['debug', 'show-onion', '--kye', 'x'], "'--key <file>' not specified", 'Did you mean --key instead of --kye?'],
    [['debug', 'tor', '--contrl', 'x:1'], 'unknown option', 'Did you mean --control?'],
    [['debug', 'show-onion'], "required option '--key <file>' not specified", '--help'],
    [['debug', 'show-onion', '--key', 'x', 'y'], 'too many arguments', '--help'],
    [['debug', 'tor', '--control', 'nowhere'], 'It must be host:port, unix:/path or /path.', '--help'],
    [['debug', 'tor', '--timeout', '-1'], 'It must be a number of seconds above 0.', '--help'],
  ])('%j is a usage error that helps', async (args, what, hint) => {
    const { exitCode, out, err } = await runCli(args);
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toContain(what);
    expect(err).toContain(hint);
  });

  test('nothing at all prints the help, and is a usage error', async () => {
    const { exitCode, err } = await runCli([]);
    expect(exitCode).toBe(2);
    expect(err).toContain('Usage: chimera');
  });

  test('an unknown error asks for a report, and shows its stack with --debug', async () => {
    const commands = [failing(new Error('broken inside'))];
    const plain = await runCli(['fail'], { commands });
    expect(plain).toMatchObject({ exitCode: 70, out: '' });
    expect(plain.err).toMatch(/^error: broken inside\nThis is a fault in Chimera\. /);
    const debugged = await runCli(['fail', '--debug'], { commands });
    expect(debugged).toMatchObject({ exitCode: 70, out: '' });
    expect(debugged.err).toMatch(/^error: broken inside\nError: broken inside\n {4}at /);
  });

  test('a coded error prints its code, its message and its remedy', async () => {
    const error = new ChimeraError('TOR_CONNECT', 'no tor', { remedy: 'Start tor.' });
    const { exitCode, err } = await runCli(['fail'], { commands: [failing(error)] });
    expect([exitCode, err]).toEqual([3, 'error TOR_CONNECT: no tor\nfix: Start tor.\n']);
  });

  test('docs/cli.md documents every exit code and every debug command', () => {
    const text = readFileSync(join(root, 'docs/cli.md'), 'utf8');
    const used = new Set(
      (Object.keys(errorCodes) as ErrorCode[]).map((code) => exitCodeOf(new ChimeraError(code, ''))),
    );
    for (const code of [0, ...used, 70]) expect(text).toMatch(new RegExp(`^\\| ${code} +\\|`, 'm'));
    for (const name of debugCommands) expect(text).toContain(`### chimera debug ${name}\n`);
  });
});

describe('the executable', () => {
  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, ['--import', 'tsx', 'core/cli/main.ts', ...args], { cwd: root, encoding: 'utf8' });

  test('knows its version, and run, lab and debug', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(run('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
    const { status, stdout } = run('--help');
    expect(status).toBe(0);
    for (const name of ['run', 'lab', 'debug']) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  test('exits with the code of what happened', () => {
    const { status, stdout, stderr } = run('debug', 'show-onion', '--key', '/nonexistent');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toBe('error CLI_FILE: /nonexistent: no such file\nfix: check the path\n');
  });

  test('reads standard input', () => {
    const address = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid';
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'core/cli/main.ts', 'debug', 'descriptor', '-', '--address', address, '--json'],
      { cwd: root, encoding: 'utf8', input: 'not a descriptor' },
    );
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, problems: [{ code: 'ONION_DESCRIPTOR' }] });
  });
});
