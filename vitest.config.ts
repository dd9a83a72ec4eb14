import { defineConfig } from 'vitest/config';

// Real-component suites live in test/real and are run by their own script: they need Debian packages and minutes.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/real/**', 'node_modules/**', 'dist/**'],
    testTimeout: 30_000,
    pool: 'forks',
    // Half of the time is spent waiting: a core for the runner itself would stand idle.
    maxWorkers: '100%',
  },
});
