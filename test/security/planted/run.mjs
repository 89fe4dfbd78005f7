import { startVitest } from 'vitest/node';

/** Runs the planted leaks, which the ordinary run does not include, with everything else as it is there. */
const vitest = await startVitest('test', [], {
  watch: false,
  include: ['test/security/planted/leaks.ts'],
  reporters: ['default'],
});
await vitest.close();
