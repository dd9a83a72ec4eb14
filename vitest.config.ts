import { defineConfig } from 'vitest/config';

const isolated = 'test/**/*.isolated.test.ts';
const alone = ['test/scenarios/newcomer.test.ts', 'test/scenarios/guide.test.ts'];
// Real-component suites live in test/real and are run by their own script: they need Debian packages and minutes.
const elsewhere = ['test/real/**', 'node_modules/**', 'dist/**'];

export default defineConfig({
  test: {
    // For tests that hang: a shared machine may stand still for half a minute.
    testTimeout: 120_000,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'suite',
          include: ['test/**/*.test.ts'],
          exclude: [...elsewhere, ...alone, isolated],
          // Files share a process and its modules: to load them anew for each file costs more than most files do.
          isolate: false,
          // Half of the time is spent waiting: a core for the runner itself would stand idle.
          maxWorkers: '100%',
        },
      },
      {
        extends: true,
        // Put something in the place of a module.
        test: { name: 'isolated', include: [isolated], exclude: elsewhere, maxWorkers: '100%' },
      },
      {
        extends: true,
        // Whole processes in real time, with limits of the product's own, such as the two seconds that a stop may take.
        test: { name: 'alone', include: alone, maxWorkers: 1, isolate: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
