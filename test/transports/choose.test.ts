import { expect, test, vi } from 'vitest';
import { silentLog } from '../../src/net/log.js';
import { chooseTransport } from '../../src/transports/choose.js';

/** As on a machine where no binary of uWebSockets.js fits. */
vi.mock('uWebSockets.js', () => {
  throw new Error('This version supports other machines.\n\nError: cannot open shared object file');
});

test('where the binary does not load the ws transport serves, and the log says why', async () => {
  const warnings: string[] = [];
  const log = {
    ...silentLog,
    warn: (text: string, fields?: object) => warnings.push(`${text} ${JSON.stringify(fields)}`),
  };
  expect((await chooseTransport(log)).kind).toBe('ws');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('does not load here');
});

test('whoever asks for uws gets it or not_available, never another transport without a word', async () => {
  await expect(chooseTransport(silentLog, 'uws')).rejects.toMatchObject({ code: 'not_available' });
  expect((await chooseTransport(silentLog, 'ws')).kind).toBe('ws');
});
