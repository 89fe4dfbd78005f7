import { defineConfig } from 'vitest/config';
import { base, plugins } from './test/support/vitest-base.js';

/**
 * Files here start no process, mock no module and measure no memory: they share what a worker has loaded, which is half
 * of their time. Each passes alone, too.
 */
const SHARING = [
  'bus',
  'client',
  'commands',
  'conformance',
  'edge',
  'faults',
  'http',
  'library',
  'model',
  'net',
  'restart',
  'simulators',
  'venues',
].map((folder) => `test/${folder}/**/*.test.ts`);

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
