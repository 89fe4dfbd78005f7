import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventWords, weightOf } from '../../src/dashboard/event-words.js';
import { EVENT_TYPES } from '../../src/model/event.js';
import { anyData, eventOf } from '../support/events.js';

test.each(EVENT_TYPES)('%s has words, whatever its data', (type) => {
  fc.assert(
    fc.property(anyData[type], (data) => {
      const event = eventOf(type, data);
      const words = eventWords(event);
      expect(words).not.toBe('');
      expect(words).not.toMatch(/undefined|NaN|\[object/);
      expect(['bad', 'doubt', 'good', 'plain']).toContain(weightOf(event));
    }),
    { numRuns: 30 },
  );
});

test('what is read at night', () => {
  const said = [
    eventOf('safety.changed', { level: 'unsafe', previous: 'safe', reasons: ['contested'], notes: [] }),
    eventOf('session.lost', { reason: 'evicted', code: 13_009 }),
    eventOf('command.failed', {
      command: 'reconnect',
      by: 'desk',
      requestId: 'r',
      error: { code: 4409, message: 'protected' },
    }),
  ].map(eventWords);
  expect(said).toEqual([
    'safe → unsafe: contested: another login holds it, or takes it',
    'session lost: evicted (13009)',
    'reconnect failed: 4409 protected',
  ]);
});
