import { defineConfig } from 'vitest/config';

const isolated = 'test/**/*.isolated.test.ts';
// Real-component suites live in test/real and are run by their own script: they need Debian packages and minutes.
const elsewhere = ['test/real/**', 'node_modules/**', 'dist/**'];

export default defineConfig({
  test: {
    // For tests that hang: a shared machine may stand still for half a minute.
    testTimeout: 120_000,
    pool: 'forks',
    // Half of the time is spent waiting: a core for the runner itself would stand idle.
    maxWorkers: '100%',
    projects: [
      {
        extends: true,
        test: {
          name: 'suite',
          include: ['test/**/*.test.ts'],
          exclude: [...elsewhere, isolated],
          // Files share a process and its modules: to load them anew for each file costs more than most files do.
          isolate: false,
        },
      },
      {
        extends: true,
        // Put something in the place of a module.
        test: { name: 'isolated', include: [isolated], exclude: elsewhere },
      },
    ],
  },
});
