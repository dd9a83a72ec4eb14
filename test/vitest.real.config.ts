import { defineConfig } from 'vitest/config';

// Suites that need Debian packages and minutes. One file at a time: each may start dozens of processes.
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
