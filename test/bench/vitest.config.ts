import { defineConfig } from 'vitest/config';

/** The stopwatch at the door: a measurement that is written as tests, one after the other. */
export default defineConfig({
  test: { include: ['test/bench/join-timing.ts'], pool: 'forks', reporters: ['verbose'] },
});
