/** The main job, as `npm start` runs it: the command itself, on the embedded network over real sockets. */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { LabReport } from '../kit/lab/story.ts';

const main = resolve(import.meta.dirname, '../../core/cli/main.ts');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `chimera lab` with a temporary directory of its own; `onOutput` may interrupt it. */
function lab(args: readonly string[], onOutput?: (text: string, interrupt: () => void) => void): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--import', 'tsx', main, 'lab', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      onOutput?.(out, () => child.kill('SIGINT'));
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('close', (code) => done({ code, out, err }));
  });
}

const leftovers = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('chimera-lab-'));

test(
  'three nodes elect, merge and publish; a client reaches every head; one dies and is out',
  { timeout: 90_000 },
  async () => {
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
  },
);

test('OnionBalance backends, known by address only', { timeout: 90_000 }, async () => {
  const { code, out } = await lab(['--preset', 'standalone', '--nodes', '2']);
  expect(out).toContain('Everything held.');
  expect(code).toBe(0);
});

test('an interruption ends it, says so, and leaves nothing', { timeout: 60_000 }, async () => {
  const before = leftovers();
  let interrupted = false;
  const { code, out, err } = await lab([], (text, interrupt) => {
    if (interrupted || !text.includes('nodes start')) return;
    interrupted = true;
    interrupt();
  });
  expect(out).not.toContain('Everything held.');
  expect(err).toContain('LAB_NOT_HELD');
  expect(code).toBe(1);
  expect(leftovers().filter((name) => !before.includes(name))).toEqual([]);
});
