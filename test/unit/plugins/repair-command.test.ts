/**
 * Restarting by a unit of systemd, with real processes: no systemd is started here, a program of that name stands in for
 * `systemctl`, and writes down how it was called.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemRuntime } from '../../../core/runtime/index.ts';
import { restartCommand, runCommand, type CommandLine } from '../../../plugins/repair/command.ts';

const runtime = systemRuntime();
const path = process.env.PATH;
let directory: string;
const called = (): string => readFileSync(join(directory, 'called'), 'utf8');
const standIn = (ends: string): void =>
  writeFileSync(join(directory, 'systemctl'), `#!/bin/sh\nprintf '%s\\n' "$#" "$@" > ${directory}/called\n${ends}\n`, {
    mode: 0o755,
  });
const run = (limitMs = 20_000): Promise<void> =>
  runCommand(
    runtime,
    restartCommand('tor@default.service', undefined) as CommandLine,
    limitMs,
    new AbortController().signal,
  );

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chimera-systemctl-'));
});
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  rmSync(join(directory, 'called'), { force: true });
  rmSync(join(directory, 'systemctl'), { force: true });
  // Nothing else is on it: the machine's own systemctl must never be called by a test.
  process.env.PATH = directory;
});
afterEach(() => {
  process.env.PATH = path;
});

test('systemctl is called with restart and the unit, each an argument of its own', async () => {
  standIn('exit 0');
  await run();
  expect(called()).toBe('2\nrestart\ntor@default.service\n');
});

test('what systemctl says when it fails is in the error', async () => {
  standIn('echo "Failed to restart tor@default.service: Access denied" >&2; exit 4');
  await expect(run()).rejects.toMatchObject({
    code: 'REPAIR_COMMAND',
    message: 'systemctl: it ended with 4: Failed to restart tor@default.service: Access denied',
    remedy: expect.stringContaining('polkit') as string,
  });
});

test('one that does not end is killed at the limit', async () => {
  standIn(`echo $$ > ${directory}/pid; exec /bin/sleep 600`);
  await expect(run(1_000)).rejects.toMatchObject({
    code: 'REPAIR_COMMAND',
    message: 'systemctl: it was not done within 1 s',
  });
  const pid = readFileSync(join(directory, 'pid'), 'utf8').trim();
  while (existsSync(`/proc/${pid}`)) await runtime.clock.sleep(50);
});

test('without systemctl the error says so, and what to use instead', async () => {
  await expect(run()).rejects.toMatchObject({
    code: 'REPAIR_COMMAND',
    message: 'systemctl: there is no such command on this machine',
    remedy: expect.stringContaining('repair.tors, command') as string,
  });
});

test('a unit, a command, or neither', () => {
  expect(restartCommand('tor.service', undefined)).toEqual(['systemctl', 'restart', 'tor.service']);
  expect(restartCommand(undefined, ['restart-tor', '2'])).toEqual(['restart-tor', '2']);
  expect(restartCommand(undefined, undefined)).toBeUndefined();
});
