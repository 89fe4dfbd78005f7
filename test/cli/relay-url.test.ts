import { describe, expect, test } from 'vitest';
import { relayOrigin, socketUrl, tokenOf } from '../../src/cli/relay-url.js';
import { ConfigError } from '../../src/errors.js';

describe("a relay's URL", () => {
  test.each([
    [undefined, 'http://127.0.0.1:8080'],
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
    ['http://relay.test/', 'http://relay.test'],
    ['ws://127.0.0.1:9000/v1/ws', 'http://127.0.0.1:9000'],
    ['wss://relay.test/v1/ws', 'https://relay.test'],
    ['https://relay.test:8443', 'https://relay.test:8443'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
  ])('%s is the relay at %s', (given, origin) => {
    expect(relayOrigin(given)).toBe(origin);
  });

  test('has its socket at /v1/ws', () => {
    expect(socketUrl('https://relay.test:8443')).toBe('wss://relay.test:8443/v1/ws');
  });

  test.each(['nonsense', 'localhost:8080', '127.0.0.1:8080', 'ftp://relay.test', 'http://relay.test/dashboard', ''])(
    '%s is refused',
    (given) => {
      expect(() => relayOrigin(given)).toThrow(ConfigError);
    },
  );

  test.each(['http://user:s3cret@relay.test', 'http://relay.test/?token=s3cret', 'ftp://a:s3cret@relay.test'])(
    'credentials in it are refused and not repeated',
    (given) => {
      expect(() => relayOrigin(given)).toThrow(ConfigError);
      expect(() => relayOrigin(given)).not.toThrow(/s3cret/);
    },
  );
});

describe('a token', () => {
  test('is that of --token, else that of SESSION_RELAY_TOKEN', () => {
    const env = { SESSION_RELAY_TOKEN: 'of-the-environment' };
    expect(tokenOf('of-the-flag', env)).toBe('of-the-flag');
    expect(tokenOf(undefined, env)).toBe('of-the-environment');
    expect(tokenOf(undefined, {})).toBeUndefined();
  });

  test('that is empty is none, and the line break of a file is no part of it', () => {
    expect(tokenOf(undefined, { SESSION_RELAY_TOKEN: '' })).toBeUndefined();
    expect(tokenOf(undefined, { SESSION_RELAY_TOKEN: 'abc\n' })).toBe('abc');
  });

  test('that no header can carry is refused and not repeated', () => {
    for (const wrong of ['s3 cret', 's3cret\r\nx: y', 's3crét']) {
      expect(() => tokenOf(wrong, {})).toThrow(ConfigError);
      expect(() => tokenOf(wrong, {})).not.toThrow(/s3/);
    }
  });
});
