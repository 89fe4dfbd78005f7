import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createNames } from '../../src/hub/names.js';
import { sourceOfKey } from '../../src/hub/state-book.js';
import { sessionKey } from '../../src/model/subject.js';

const token = fc.oneof(fc.constantFrom('main', '-', 'a', 'constructor', '__proto__', ''), fc.string());

test('a name that was made before is the one that would be made now', () => {
  const namesOf = createNames();
  fc.assert(
    fc.property(fc.constantFrom('deribit', 'ibkr'), token, token, (venue, source, session) => {
      const subject = sessionKey(venue, source, session);
      for (let times = 0; times < 2; times++)
        expect(namesOf(venue, { source, session })).toEqual({ subject, source: sourceOfKey(subject) });
    }),
  );
});

test('names without end are right beyond what is kept', () => {
  const namesOf = createNames();
  for (let round = 0; round < 2; round++) {
    for (let session = 0; session < 25_000; session++) {
      const { subject, source } = namesOf('ibkr', { source: 'main', session: `${session}` });
      if (subject !== `ibkr.main.${session}` || source !== 'ibkr.main') throw new Error(subject);
    }
  }
});
