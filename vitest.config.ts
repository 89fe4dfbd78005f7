import { defineConfig } from 'vitest/config';
import { showToSweep } from './test/support/secrets-plugin.js';

export default defineConfig({
  plugins: [showToSweep()],
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/support/secrets-setup.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
});
