import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decideRecovery } from '../../src/edge/recovery.js';

const asked = fc.record({
  since: fc.option(fc.constant('5-1'), { nil: undefined }),
  held: fc.boolean(),
  hasSnapshot: fc.boolean(),
  snapshot: fc.option(fc.boolean(), { nil: undefined }),
});

test('what cannot be served is always said, and never replayed as if it could', () => {
  fc.assert(
    fc.property(asked, (given) => {
      const recovery = decideRecovery(given);
      if (given.since === undefined) expect(recovery.how).toBe('live');
      else expect(recovery.how).toBe(given.held ? 'replay' : 'gap');
    }),
  );
});

test('a snapshot is sent only of a channel that has one: where it was asked for, by default without since, always after a gap', () => {
  fc.assert(
    fc.property(asked, (given) => {
      const recovery = decideRecovery(given);
      const wanted = recovery.how === 'gap' || (given.snapshot ?? given.since === undefined);
      expect(recovery.snapshot).toBe(given.hasSnapshot && wanted);
    }),
  );
});
