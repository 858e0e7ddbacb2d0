import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Real processes on a machine that does other things too: what fails by time alone passes when it is tried again.
    retry: process.env.CI === undefined ? 0 : 2,
    include: ['test/**/*.test.ts'],
    // Threads and processes share these cores with the servers under test: more files at once only adds noise.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: ['default'],
  },
});
