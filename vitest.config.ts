import { defineConfig } from 'vitest/config';
import { base, plugins } from './test/support/vitest-base.js';

/**
 * Small files that start no process, mock no module and measure no memory: they share what a worker has loaded, which is
 * half of their time. Each passes alone, too. What makes much garbage is not among them: a worker's heap grows.
 */
const SHARING = ['bus', 'client', 'commands', 'http', 'library', 'model', 'net', 'simulators', 'venues'].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);

export default defineConfig({
  plugins,
  test: {
    ...base,
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      { extends: true, test: { name: 'sharing', include: SHARING, isolate: false } },
      { extends: true, test: { name: 'alone', include: ['test/**/*.test.ts'], exclude: SHARING } },
    ],
  },
});
