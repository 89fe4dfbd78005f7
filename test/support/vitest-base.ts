import { showToSweep } from './secrets-plugin.js';

/** What every run of tests has, also the one that is to find planted leaks. */
export const plugins = [showToSweep()];
export const base = {
  setupFiles: './test/support/secrets-setup.ts',
  testTimeout: 20_000,
  hookTimeout: 20_000,
  pool: 'forks',
  maxWorkers: 2,
} as const;
