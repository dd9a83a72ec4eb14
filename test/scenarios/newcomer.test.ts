/**
 * Each failure of a newcomer, met with the real command: a clear message (code, place, remedy), the exit code that fits, and
 * nothing lost or left behind. On the embedded network, over real sockets.
 */
import { describe, vi } from 'vitest';
import { describeBackends } from './newcomer/backends.ts';
import { describeDisk } from './newcomer/disk.ts';
import { describeFiles } from './newcomer/files.ts';
import { describeStop } from './newcomer/stop.ts';
import { describeTor } from './newcomer/tor.ts';
import { createWorld } from './newcomer/world.ts';

// Dozens of processes: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000 });

const world = createWorld();
describe.concurrent('tor', () => {
  describeTor(world);
});
describe.concurrent('files', () => {
  describeFiles(world);
});
describe.concurrent('backends', () => {
  describeBackends(world);
});
describe.concurrent('a full disk', () => {
  describeDisk(world);
});
describe.concurrent('Ctrl-C', () => {
  describeStop(world);
});
