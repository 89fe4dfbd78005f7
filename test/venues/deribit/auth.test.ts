import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/net/timer.js';
import { authParams, digestOf, missingScopes, scopeText, signatureOf } from '../../../src/venues/deribit/auth.js';
import { parseToken } from '../../../src/venues/deribit/messages.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const KEY = { clientId: 'AMANDA', clientSecret: 'AMANDASECRET' } as const;
const ports = () => ({ clock: new VirtualClock(1_576_074_319_000), random: seededRandom(3) });

describe('a login', () => {
  // The secret is spelled as the vendor's page has it.
  test('is signed as the official vector is (Deribit docs, "Authentication")', () => {
    expect(signatureOf('AMANDASECRECT', 1_576_074_319_000, '1iqt2wls', '')).toBe(
      '56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1',
    );
  });

  test('by client_signature sends a signature of its own time and nonce, and no secret', () => {
    const params = authParams({ ...KEY, grant: 'client_signature' }, 'session:bot', ports());
    const { timestamp, nonce, signature } = params as { timestamp: number; nonce: string; signature: string };
    expect(params).toMatchObject({ grant_type: 'client_signature', client_id: 'AMANDA', scope: 'session:bot' });
    expect(timestamp).toBe(1_576_074_319_000);
    expect(nonce).toMatch(/^[a-z0-9]{16}$/);
    expect(signature).toBe(signatureOf('AMANDASECRET', timestamp, nonce));
    expect(JSON.stringify(params)).not.toContain('AMANDASECRET');
  });

  test('draws another nonce each time: one is good once', () => {
    const same = ports();
    const nonces = [1, 2, 3].map(() => {
      const { nonce } = authParams({ ...KEY, grant: 'client_signature' }, 'connection', same) as { nonce: string };
      return nonce;
    });
    expect(new Set(nonces).size).toBe(3);
  });

  test('by client_credentials sends the secret, and says the connection scope that the venue would assume', () => {
    expect(authParams({ ...KEY, grant: 'client_credentials' }, 'trade:read expires:60', ports())).toEqual({
      grant_type: 'client_credentials',
      client_id: 'AMANDA',
      client_secret: 'AMANDASECRET',
      scope: 'connection trade:read expires:60',
    });
  });
});

describe('granted scopes', () => {
  /** Recorded: granted to `connection`, in the order of the wire. */
  const recorded = new Set(
    'block_trade:read connection trade:read_write account:read wallet:read mainaccount'.split(' '),
  );

  test('are a set: their order is nobody’s business', () => {
    expect(missingScopes('connection trade:read_write', recorded)).toEqual([]);
    expect(missingScopes('trade:read account:read', recorded)).toEqual([]);
    expect(scopeText(recorded)).toBe(scopeText(new Set([...recorded].reverse())));
  });

  test('that fall short are found, more than was asked is no lack', () => {
    expect(missingScopes('account:read_write', recorded)).toEqual(['account:read_write']);
    expect(missingScopes('session:bot', recorded)).toEqual(['session:bot']);
    expect(missingScopes('custody:read', recorded)).toEqual(['custody:read']);
    expect(missingScopes('custody:none expires:60 ip:*', recorded)).toEqual([]);
  });
});

test('a digest tells two secrets apart and holds neither', () => {
  expect(digestOf('SID-ONE')).toBe(digestOf('SID-ONE'));
  expect(digestOf('SID-ONE')).not.toBe(digestOf('SID-TWO'));
  expect(digestOf('SID-ONE')).not.toContain('SID');
});

test('the recorded reply of public/auth is read, and one without a token is none', () => {
  /** Recorded on production, 2025-12; tokens made up. */
  const reply = {
    enabled_features: [],
    access_token: '1796961742820.1X8iNX52.zryvAz8d',
    expires_in: 31536000,
    refresh_token: '1796961742820.1TsgfAFL.dnDPkBoP',
    scope: 'block_trade:read connection trade:read_write account:read wallet:read mainaccount',
    token_type: 'bearer',
  };
  expect(parseToken(reply)).toMatchObject({ expiresInMs: 31_536_000_000, refreshToken: reply.refresh_token });
  expect(parseToken(reply)).not.toHaveProperty('sid');
  expect(parseToken({ ...reply, sid: 'abc' })?.sid).toBe('abc');
  expect(parseToken({ ...reply, access_token: '' })).toBeUndefined();
  expect(parseToken(null)).toBeUndefined();
});
