import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allowsChannel, allowsCommand, type Grant, showsSession } from '../../src/model/grant.js';

function grant(given: Partial<Grant>): Grant {
  return { identity: 'desk-ui', channels: [], commands: [], fields: 'redacted', ...given };
}

describe('a grant of channels', () => {
  test.each([
    [['>'], '>', true],
    [['>'], 'deribit.main.relay.session.opened', true],
    [['deribit.>'], 'deribit.main.>', true],
    [['deribit.>'], '>', false],
    [['deribit.>'], '*.main.>', false],
    [['deribit.>'], 'tradernet.desk.>', false],
    [['deribit.main.relay.session.opened'], 'deribit.main.relay.session.opened', true],
    [['deribit.main.relay.session.opened'], 'deribit.main.relay.session.*', false],
    [['*.*.*.protection.*'], 'deribit.main.relay.protection.armed', true],
    [['*.*.*.protection.*'], 'deribit.main.relay.>', false],
    [['deribit.a.>', 'deribit.b.>'], 'deribit.b.>', true],
    [['deribit.a.>', 'deribit.b.>'], 'deribit.*.>', false],
    [[], 'deribit.main.>', false],
  ])('%j and the subscription %s: %s', (channels, pattern, allowed) => {
    expect(allowsChannel(grant({ channels }), pattern)).toBe(allowed);
  });

  test('shows a state only where it contains all that the session says', () => {
    const key = 'deribit.main.relay';
    expect(showsSession(grant({ channels: ['deribit.>'] }), key)).toBe(true);
    expect(showsSession(grant({ channels: ['deribit.main.relay.>'] }), key)).toBe(true);
    expect(showsSession(grant({ channels: ['deribit.main.relay.*.*'] }), key)).toBe(true);
    expect(showsSession(grant({ channels: ['deribit.main.relay.session.>'] }), key)).toBe(false);
    expect(showsSession(grant({ channels: ['*.*.*.safety.changed'] }), key)).toBe(false);
    expect(showsSession(grant({ channels: ['deribit.main.other.>'] }), key)).toBe(false);
    expect(showsSession(grant({ channels: [] }), key)).toBe(false);
  });
});

describe('a grant of commands', () => {
  const READS = false;
  const ACTS = true;

  test.each([
    ['deribit.main:logout', 'deribit.main', 'logout', ACTS, true],
    ['deribit.*:logout', 'deribit.main', 'logout', ACTS, true],
    ['*.*:logout', 'deribit.main', 'logout', ACTS, true],
    ['*.*:*', 'deribit.main', 'logout', ACTS, false],
    ['deribit.main:*', 'deribit.main', 'logout', ACTS, false],
    ['*.*:*', 'deribit.main', 'get_cancel_on_disconnect', READS, true],
    ['deribit.main:*', 'deribit.main', 'get_cancel_on_disconnect', READS, true],
    ['deribit.main:get_cancel_on_disconnect', 'deribit.main', 'get_cancel_on_disconnect', READS, true],
    ['deribit.main:logout', 'deribit.main', 'log', ACTS, false],
    ['deribit.main:logout', 'deribit.other', 'logout', ACTS, false],
    ['deribit.main:logout', 'tradernet.main', 'logout', ACTS, false],
    ['snaptrade.partner~a:b@c:sid_info', 'snaptrade.partner~a:b@c', 'sid_info', READS, true],
    ['deribit.main', 'deribit.main', 'logout', ACTS, false],
    ['logout', 'deribit.main', 'logout', ACTS, false],
    ['*', 'deribit.main', 'get_cancel_on_disconnect', READS, false],
    ['*:*', 'deribit.main', 'get_cancel_on_disconnect', READS, false],
    ['', 'deribit.main', 'logout', ACTS, false],
    ['undefined.undefined:undefined', '', '', READS, false],
  ])('%s and %s %s (acts: %s): %s', (rule, source, command, acts, allowed) => {
    expect(allowsCommand(grant({ commands: [rule] }), source, command, acts)).toBe(allowed);
  });

  test('never lets a command act that no rule names, whatever the rules', () => {
    const part = fc.constantFrom('*', 'deribit', 'main', 'logout', 'reconnect', '');
    const rules = fc.array(
      fc.oneof(
        fc.tuple(part, part, part).map(([venue, source, command]) => `${venue}.${source}:${command}`),
        fc.string({ maxLength: 12 }),
      ),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(rules, (commands) => {
        const named = commands.some((rule) => rule.endsWith(':logout'));
        if (allowsCommand(grant({ commands }), 'deribit.main', 'logout', true)) expect(named).toBe(true);
      }),
    );
  });
});
