import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { SessionRelayError } from '../../src/client/index.js';
import { commandWords, isKnownCommand } from '../../src/dashboard/command-words.js';
import { outcomeOfError, outcomeOfReply } from '../../src/dashboard/outcome.js';
import { fieldsOf, paramsOf } from '../../src/dashboard/params-form.js';
import { json } from '../../src/model/json.js';
import { deribitCommands } from '../../src/venues/deribit/commands.js';
import { ibkrCommands } from '../../src/venues/ibkr/commands.js';
import { snaptradeCommands } from '../../src/venues/snaptrade/commands.js';
import { tradernetCommands } from '../../src/venues/tradernet/commands.js';

const VENUES = {
  deribit: deribitCommands,
  ibkr: ibkrCommands,
  snaptrade: snaptradeCommands,
  tradernet: tradernetCommands,
} as const;
const ALL = Object.entries(VENUES).flatMap(([venue, specs]) => specs.map((spec) => ({ venue, ...spec })));
/** As the relay gives it. */
const schemaOf = (venue: string, command: string) => {
  const spec = ALL.find((one) => one.venue === venue && one.command === command);
  if (spec === undefined) throw new Error(`no ${command}`);
  return json.parse(z.toJSONSchema(spec.params, { unrepresentable: 'any', io: 'input' }));
};

describe('words', () => {
  test.each(ALL)('$venue $command has words of its own, and a danger where it acts', ({ venue, command, acts }) => {
    expect(isKnownCommand(venue, command)).toBe(true);
    const words = commandWords(venue, command, acts);
    expect([words.label, words.does]).not.toContain('');
    expect(words.danger?.({}) ?? '').toMatch(acts ? /\w{3}/ : /^$/);
  });

  test.each([
    ['deribit', 'disable_cancel_on_disconnect', {}],
    ['deribit', 'enable_cancel_on_disconnect', { scope: 'account' }],
    ['deribit', 'disable_heartbeat', {}],
    ['deribit', 'reconnect', { orders: 'cancel' }],
    ['deribit', 'logout', {}],
    ['ibkr', 'logout', {}],
    ['ibkr', 'init', { compete: true }],
    ['snaptrade', 'remove_connection', {}],
    ['snaptrade', 'disable_connection', {}],
    ['tradernet', 'not_known_yet', {}],
  ])('%s %s %o wants the name of the source typed', (venue, command, params) => {
    expect(commandWords(venue, command, true).typed?.(params)).toBe(true);
  });

  test('the danger is that of the very choice', () => {
    const { danger } = commandWords('deribit', 'reconnect', true);
    expect(danger?.({ orders: 'cancel' })).toContain('CANCELS every resting order');
    expect(danger?.({ orders: 'leave' })).toContain('STAY in the book');
    expect(commandWords('ibkr', 'logout', true).danger?.({})).toContain('A PERSON has to log in again');
    expect(commandWords('ibkr', 'init', true).typed?.({})).toBe(false);
  });
});

describe('the form', () => {
  test('fields come from the schema that the relay gives', () => {
    expect(fieldsOf(schemaOf('deribit', 'set_heartbeat'))).toMatchObject([
      { name: 'interval', kind: 'integer', required: true, min: 10, max: 3_600 },
    ]);
    expect(fieldsOf(schemaOf('deribit', 'disable_cancel_on_disconnect'))).toMatchObject([
      { name: 'scope', kind: 'choice', required: false, options: ['connection', 'account'], initial: 'connection' },
    ]);
    expect(fieldsOf(schemaOf('deribit', 'logout'))).toMatchObject([{ kind: 'boolean', initial: 'true' }]);
    expect(fieldsOf(schemaOf('ibkr', 'tickle'))).toEqual([]);
    expect(fieldsOf(schemaOf('snaptrade', 'session_events'))).toMatchObject([{ name: 'portals', kind: 'json' }]);
    expect(fieldsOf(null)).toEqual([]);
  });

  test('what is filled in fits the schema of the venue, and what does not is said', () => {
    const heartbeat = fieldsOf(schemaOf('deribit', 'set_heartbeat'));
    expect(paramsOf(heartbeat, { interval: '30' })).toEqual({ ok: true, params: { interval: 30 } });
    expect(paramsOf(heartbeat, { interval: '9' })).toMatchObject({
      ok: false,
      problem: 'interval is a number from 10 to 3600',
    });
    expect(paramsOf(heartbeat, {})).toMatchObject({ ok: false, problem: 'interval is needed' });
    const reconnect = fieldsOf(schemaOf('deribit', 'reconnect'));
    expect(paramsOf(reconnect, {})).toEqual({ ok: true, params: {} });
    expect(paramsOf(reconnect, { orders: 'sell' })).toMatchObject({ ok: false });
    const portals = fieldsOf(schemaOf('snaptrade', 'session_events'));
    expect(paramsOf(portals, { portals: '["a"]' })).toEqual({ ok: true, params: { portals: ['a'] } });
    expect(paramsOf(portals, { portals: '[' })).toMatchObject({ ok: false, problem: 'portals is JSON' });
  });

  test.each(ALL)('the defaults of $venue $command are what the venue takes', ({ venue, command, params }) => {
    const fields = fieldsOf(schemaOf(venue, command)).filter(({ required }) => !required);
    const filled = paramsOf(fields, {});
    expect(
      filled.ok && fields.length === fieldsOf(schemaOf(venue, command)).length
        ? params.safeParse(filled.params).success
        : true,
    ).toBe(true);
  });
});

describe('the outcome', () => {
  test('is never more than is known', () => {
    const error = (data: object) =>
      outcomeOfError(new SessionRelayError('venue_timeout', 'no answer', { data: { ...data } }));
    expect(error({ outcome: 'unknown', rpcCode: 4504, requestId: 'r' })).toMatchObject({
      kind: 'unknown',
      code: 'venue_timeout (4504)',
      requestId: 'r',
    });
    expect(error({ outcome: 'failed' }).kind).toBe('failed');
    expect(error({ outcome: 'not_done' }).says).toBe('It was not done. no answer');
    expect(error({}).kind).toBe('unknown');
    expect(outcomeOfError('thrown').kind).toBe('unknown');
    expect(outcomeOfError(new Error('boom')).says).toContain('Nobody knows whether it was done');
  });

  test('a first result that is given again says so', () => {
    expect(outcomeOfReply({ result: { a: 1 }, cursor: '1-1', requestId: 'r' })).toEqual({
      kind: 'done',
      says: 'It was carried out.',
      result: { a: 1 },
      requestId: 'r',
    });
    expect(outcomeOfReply({ result: null, cursor: '1-1', requestId: 'r', replayed: true }).says).toContain('before');
    expect(outcomeOfReply({ replayed: true, outcome: 'succeeded', cursor: '1-1', requestId: 'r' })).toMatchObject({
      kind: 'done',
    });
  });
});
