import { describe, expect, test } from 'vitest';
import {
  asSessionRelayError,
  ConfigError,
  describeProblem,
  messageOf,
  SessionRelayError,
  VenueError,
  VenueTimeoutError,
} from '../src/errors.js';

describe('an error of the family', () => {
  test('is an Error with a stable code, its message, its data and its cause', () => {
    const cause = new Error('ECONNREFUSED');
    const error = new SessionRelayError('source_unavailable', 'deribit.main is not connected', {
      cause,
      data: { retryAfterMs: 5 },
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'SessionRelayError',
      code: 'source_unavailable',
      message: 'deribit.main is not connected',
      data: { retryAfterMs: 5 },
    });
    expect(error.cause).toBe(cause);
    expect(String(error)).toBe('SessionRelayError: deribit.main is not connected');
  });

  test('without a cause has no cause at all, and without data none', () => {
    const error = new SessionRelayError('closed', 'used after stop()');
    expect('cause' in error).toBe(false);
    expect(error.data).toBeUndefined();
  });
});

describe('the error of a venue', () => {
  test('keeps the venue’s own code and message, as numbers and as texts', () => {
    expect(new VenueError(13_009, 'unauthorized')).toMatchObject({
      name: 'VenueError',
      code: 'venue_error',
      venueCode: 13_009,
      message: 'the venue answered with error 13009: unauthorized',
      data: { code: 13_009, message: 'unauthorized' },
    });
    expect(new VenueError('no bridge', 'init first', { data: { detail: { param: 'x' } } }).data).toEqual({
      code: 'no bridge',
      message: 'init first',
      detail: { param: 'x' },
    });
  });

  test('and a timeout, whose outcome is unknown, are told apart by their codes', () => {
    const code = (error: SessionRelayError): string => error.code;
    expect(code(new VenueError(1, 'x'))).toBe('venue_error');
    expect(code(new VenueTimeoutError('no answer'))).toBe('venue_timeout');
    expect(new VenueTimeoutError('no answer')).toBeInstanceOf(SessionRelayError);
  });
});

describe('a configuration that cannot be used', () => {
  test('says each problem on a line of its own, with file, line and key where they are known', () => {
    const problems = [
      { file: 'relay.yaml', line: 3, key: 'sources.0.url', message: 'is missing' },
      { key: 'auth.mode', message: 'is none of none, keys, jwt' },
      { file: 'relay.yaml', key: '', message: 'is not YAML' },
    ];
    const error = new ConfigError(problems);
    expect(error).toMatchObject({ name: 'ConfigError', code: 'config_invalid' });
    expect(error.problems).toEqual(problems);
    expect(error.message.split('\n')).toEqual([
      'relay.yaml:3: sources.0.url: is missing',
      'auth.mode: is none of none, keys, jwt',
      'relay.yaml: is not YAML',
    ]);
    expect(describeProblem({ line: 7, key: 'x', message: 'y' })).toBe('7: x: y');
  });
});

describe('anything that was thrown', () => {
  test('of the family stays what it is', () => {
    const error = new VenueTimeoutError('no answer');
    expect(asSessionRelayError(error)).toBe(error);
  });

  test.each([
    [new TypeError('x is not a function'), 'x is not a function'],
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [{ toString: (): string => 'an object' }, 'an object'],
  ])('becomes internal, with the original as its cause: %s', (thrown, message) => {
    const error = asSessionRelayError(thrown);
    expect(error.code).toBe('internal');
    expect(error.message).toBe(`a fault in session-relay: ${message}`);
    if (thrown !== undefined) expect(error.cause).toBe(thrown);
    expect(messageOf(thrown)).toBe(message);
  });
});
