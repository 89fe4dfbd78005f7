import { expect, test } from 'vitest';
import type { ClientStatus } from '../../src/client/index.js';
import { statusWords } from '../../src/dashboard/status-words.js';

const counts = { gaps: 0, resubscribed: 0, faults: 0 } as const;
const said = (status: ClientStatus): readonly string[] => {
  const { tone, short, more } = statusWords(status, 10_000, 2);
  return [tone, short, more];
};

test.each<[ClientStatus, readonly string[]]>([
  [{ state: 'open', willRetry: true, rttMs: 3, ...counts }, ['good', 'Live', '3 ms']],
  [{ state: 'connecting', willRetry: true, attempt: 2, ...counts }, ['doubt', 'Connecting', 'attempt 2']],
  [
    { state: 'unreachable', willRetry: true, attempt: 3, retryAtMs: 14_000, code: 1006, reason: '', ...counts },
    ['bad', 'Reconnecting in 0:04', 'attempt 3; the connection broke, or the relay refused it'],
  ],
  [
    { state: 'replaying', willRetry: true, channels: ['>'], ...counts },
    ['doubt', 'Replaying 1 of 2', 'catching up with the relay'],
  ],
  [
    { state: 'blind', willRetry: true, sources: ['deribit.main'], ...counts },
    ['bad', 'Relay is partly blind', 'it cannot follow deribit.main'],
  ],
  [
    { state: 'draining', willRetry: true, retryAtMs: 12_000, ...counts },
    ['doubt', 'Relay shuts down', 'this page moves in 0:02'],
  ],
  [{ state: 'closed', willRetry: false, reason: 'closed', ...counts }, ['bad', 'Disconnected', 'closed']],
])('%o', (status, words) => {
  expect(said(status)).toEqual(words);
});
