/** The main job, as `npm start` runs it: the command itself, on the embedded network over real sockets. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabReport } from '../kit/lab/story.ts';
import { buildCommand, type Command, type Ended } from './newcomer/command.ts';

let command: Command;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'chimera-lab-test-'));
  command = buildCommand();
}, 60_000);
afterAll(async () => {
  await command.remove();
  rmSync(directory, { recursive: true });
});

/** Runs `chimera lab` with a temporary directory of its own, in which it leaves nothing; `interruptAt` is Ctrl-C at that text. */
async function lab(args: readonly string[], interruptAt?: string): Promise<Ended> {
  const own = mkdtempSync(join(directory, 'run-'));
  const run = command.start(['lab', ...args], { environment: { TMPDIR: own } });
  if (interruptAt !== undefined) await run.said(interruptAt);
  if (interruptAt !== undefined) run.kill('SIGINT');
  const ended = await run.ended;
  expect(readdirSync(own)).toEqual([]);
  return ended;
}

describe.concurrent('chimera lab', { timeout: 90_000 }, () => {
  test('three nodes elect, merge and publish; a client reaches every head; one dies and is out', async () => {
    const { code, out } = await lab(['--json']);
    const report = JSON.parse(out) as LabReport;
    expect(report.events.filter(({ held }) => held === false)).toEqual([]);
    expect(code).toBe(0);
    const told = report.events.map(({ text }) => text).join('\n');
    for (const claim of [
      'elected by all 3 nodes',
      'introduction points of 3 heads',
      'reached every head',
      'introduction points of 2 heads',
    ]) {
      expect(told).toContain(claim);
    }
  });

  test('OnionBalance backends, known by address only', async () => {
    const { code, out } = await lab(['--preset', 'standalone', '--nodes', '2']);
    expect(out).toContain('Everything held.');
    expect(code).toBe(0);
  });

  test('preset distinct: a client has what one HSDir has', async () => {
    const { code, out } = await lab(['--preset', 'distinct']);
    expect(out).toContain('Everything held.');
    expect(code).toBe(0);
  });

  test('preset cluster is what init and join make: it is not offered', async () => {
    const { code, err } = await lab(['--preset', 'cluster']);
    expect(err).toContain('It must be one of stable, standalone,');
    expect(code).toBe(2);
  });

  test('an interruption ends it, says so, and leaves nothing', async () => {
    const { code, out, err } = await lab([], 'nodes start');
    expect(out).not.toContain('Everything held.');
    expect(err).toContain('LAB_NOT_HELD');
    expect(err).toContain('let it run to its end');
    expect(code).toBe(1);
  });
});
