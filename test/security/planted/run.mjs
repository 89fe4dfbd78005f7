import { startVitest } from 'vitest/node';

const vitest = await startVitest('test', [], {
  root: process.cwd(),
  config: 'test/security/planted/vitest.config.ts',
  watch: false,
  reporters: ['default'],
});
await vitest.close();
