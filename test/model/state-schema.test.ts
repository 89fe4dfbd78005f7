import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import { state as stateSchema } from '../../src/model/state-schema.js';
import { anyHappening, journaled } from '../support/events.js';

test('every state that events can make is read back from JSON as it was', () => {
  const happenings = fc.array(anyHappening(EVENT_TYPES), { minLength: 1, maxLength: 20 });
  const subject = fc.constantFrom('deribit.main.relay', 'deribit.main.-', 'tradernet.desk.login');
  fc.assert(
    fc.property(subject, happenings, (key, all) => {
      let state: State | undefined;
      for (const event of journaled(key, all)) {
        state = fold(state, event);
        if (state === undefined) continue;
        const sent: unknown = JSON.parse(JSON.stringify(state));
        expect(stateSchema.parse(sent)).toEqual(sent);
      }
    }),
  );
});
