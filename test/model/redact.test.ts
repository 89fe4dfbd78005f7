import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import {
  REDACTED,
  redactEvent,
  redactJson,
  redactPulse,
  redactState,
  sampleOf,
  withoutCredentials,
} from '../../src/model/grant.js';
import type { Json } from '../../src/model/json.js';
import { anyData, eventOf } from '../support/events.js';

/** Every spelling of a name that a venue may use. */
function spellings(name: string): readonly string[] {
  const words = name.split('_');
  const camel = words
    .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
    .join('');
  return [name, camel, name.toUpperCase(), name.replaceAll('_', '-'), camel.charAt(0).toUpperCase() + camel.slice(1)];
}

const PERSONAL = [
  'ip',
  'ip_client',
  'login',
  'owner_login',
  'user_login',
  'client_login',
  'auth_login',
  'email',
  'phone',
  'account',
  'account_id',
  'account_number',
  'user_id',
  'user_name',
  'paper_user_name',
  'key_current',
  'address',
  'city',
  'hardware_info',
];
const SECRETS = [
  'access_token',
  'refresh_token',
  'token',
  'client_secret',
  'user_secret',
  'consumer_key',
  'api_key',
  'secret_key',
  'private_key',
  'password',
  'signature',
  'authorization',
  'cookie',
  'set_cookie',
  'sid',
  'session_id',
  'live_session_token',
  'auth_code',
  'validation_key',
];

/** A value that no mask may let through, somewhere in a structure that a venue might answer with. */
const VALUE = 'qV7-needle-3R';
function buried(name: string): fc.Arbitrary<Json> {
  const leaf = fc.constantFrom<Json>({ [name]: VALUE }, { [name]: [VALUE] }, { [name]: { inner: VALUE } });
  const wrap = (inner: Json): readonly Json[] => [
    inner,
    [inner],
    { result: inner },
    [1, { list: [inner, 'x'] }],
    { a: { b: inner } },
  ];
  return leaf.chain((one) => fc.constantFrom(...wrap(one).flatMap(wrap)));
}

describe('personal data', () => {
  test.each(PERSONAL.flatMap(spellings))('under the name %s is hidden from a redacted grant, however deep', (name) => {
    fc.assert(
      fc.property(buried(name), (value) => {
        const shown = JSON.stringify(redactJson(value, 'redacted'));
        expect(shown).not.toContain(VALUE);
        expect(shown).toContain(REDACTED);
      }),
      { numRuns: 25 },
    );
  });

  test('is shown to a full grant as it is', () => {
    const value = { ip: '203.0.113.7', login: 'someone@example.com' };
    expect(redactJson(value, 'full')).toBe(value);
  });

  test('in texts is hidden whatever the field: e-mail and IPv4 addresses', () => {
    expect(
      redactJson(
        { scope: 'account:read ip:203.0.113.7 name:desk', reason: 'login of someone.else+x@mail.example.com' },
        'redacted',
      ),
    ).toEqual({ scope: `account:read ip:${REDACTED} name:desk`, reason: `login of ${REDACTED}` });
  });

  test.each([
    'ws://127.0.0.1:8080/ws/api/v2',
    'https://203.0.113.7/x',
    '4.4.0.prod',
    '1.2.26',
    '2026-11-22T13:15:02.123Z',
    'deribit.main.relay',
    '@home',
  ])('is not seen in %s', (text) => {
    expect(redactJson({ url: text }, 'redacted')).toEqual({ url: text });
  });

  test('is not seen in flags, in nothing, and in the state of a protection', () => {
    const value = { login: true, email: null, protection: { connection: 'armed', account: 'disarmed' } };
    expect(redactJson(value, 'redacted')).toBe(value);
  });

  test('does not cost the copy where there is none: the same value comes back', () => {
    const value = { a: [{ b: 1 }, 'text', null], kind: 'api' };
    expect(redactJson(value, 'redacted')).toBe(value);
  });

  test('is found quickly in long texts', () => {
    const text = `${'a'.repeat(200_000)} ${'1.'.repeat(50_000)}`;
    expect(redactJson(text, 'redacted')).toBe(text);
  });
});

describe('an event', () => {
  test('of the venue’s security log has its address hidden, and nothing else changed', () => {
    const event = eventOf('access.logged', { action: 'success', ip: '203.0.113.7', country: 'NL' });
    expect(redactEvent(event, 'redacted')).toEqual({
      ...event,
      data: { action: 'success', ip: REDACTED, country: 'NL' },
    });
    expect(redactEvent(event, 'full')).toBe(event);
    expect(event.data.ip).toBe('203.0.113.7');
  });

  test('of Tradernet’s sessions has logins and keys hidden', () => {
    const attributes = {
      ownerLogin: 'virtual@virtual.com',
      userLogin: 'virtual@virtual.com',
      keyCurrent: 'Login, password',
      ip: 'c5u7iip134fdfsxfqt4aq1osqchtg5b',
      ipClient: '19.16.32.32',
      safetyTypeId: 4,
    };
    const subject = 'tradernet.desk.7165011';
    const event = eventOf('session.opened', { kind: 'security', role: 'watch', attributes }, { subject });
    const hidden = {
      ownerLogin: REDACTED,
      userLogin: REDACTED,
      keyCurrent: REDACTED,
      ip: REDACTED,
      ipClient: REDACTED,
      safetyTypeId: 4,
    };
    expect(redactEvent(event, 'redacted').data).toMatchObject({ attributes: hidden });
    const changed = eventOf('session.updated', { changed: { ipClient: '19.16.32.33' } }, { subject });
    expect(redactEvent(changed, 'redacted').data).toEqual({ changed: { ipClient: REDACTED } });
  });

  test('of a command hides an identity that is an e-mail address, and shows any other', () => {
    const told = { command: 'logout', requestId: 'r-1' };
    expect(
      redactEvent(eventOf('command.accepted', { ...told, by: 'someone@example.com' }), 'redacted').data,
    ).toMatchObject({ by: REDACTED });
    expect(redactEvent(eventOf('command.accepted', { ...told, by: 'desk-ui' }), 'redacted').data).toMatchObject({
      by: 'desk-ui',
    });
  });

  test.each(EVENT_TYPES)('of the type %s keeps its envelope and the names of its fields', (type) => {
    fc.assert(
      fc.property(anyData[type], (data) => {
        const event = eventOf(type, data as never);
        const shown = redactEvent(event, 'redacted');
        expect({ ...shown, data: null }).toEqual({ ...event, data: null });
        expect(Object.keys(shown.data)).toEqual(Object.keys(event.data));
      }),
      { numRuns: 20 },
    );
  });

  test('that is a pulse goes as it is', () => {
    const pulse = {
      source: '/deribit/main',
      subject: 'deribit.main.relay',
      type: 'heartbeat.pulse',
      time: '2026-11-23T08:00:00.000Z',
      data: { rttMs: 11 },
    } as const;
    expect(redactPulse(pulse, 'redacted')).toBe(pulse);
  });
});

describe('a state', () => {
  const opened = eventOf('session.opened', {
    kind: 'api',
    role: 'trading',
    scope: 'session:relay ip:203.0.113.7 trade:read',
    attributes: { login: 'someone', wishes: { heartbeatSeconds: 10 } },
  });

  test('has its attributes and the addresses in its scope hidden, and nothing else', () => {
    const state = fold(undefined, opened);
    if (state === undefined) throw new Error('no state');
    expect(redactState(state, 'full')).toBe(state);
    expect(redactState(state, 'redacted')).toEqual({
      ...state,
      scope: `session:relay ip:${REDACTED} trade:read`,
      attributes: { login: REDACTED, wishes: { heartbeatSeconds: 10 } },
    });
  });

  test('keeps its protection, whose second scope is called account', () => {
    const read = { mechanism: 'cancel_on_disconnect', scope: 'account', readAt: '2026-11-23T08:00:00.000Z' } as const;
    const state = fold(fold(undefined, opened), eventOf('protection.armed', read, { offset: 2 }));
    if (state === undefined) throw new Error('no state');
    expect(redactState(state, 'redacted')).toMatchObject({ protection: { account: 'armed' } });
  });

  test('without anything personal is the same state', () => {
    const source = fold(undefined, eventOf('venue.locked', {}, { subject: 'deribit.main.-' }));
    if (source === undefined) throw new Error('no state');
    expect(redactState(source, 'redacted')).toBe(source);
  });
});

describe('a credential', () => {
  test.each(SECRETS.flatMap(spellings))(
    'under the name %s never survives, however deep and whatever the grant',
    (name) => {
      fc.assert(
        fc.property(buried(name), (value) => {
          const shown = JSON.stringify(withoutCredentials(value));
          expect(shown).not.toContain(VALUE);
          expect(shown).toContain(REDACTED);
        }),
        { numRuns: 25 },
      );
    },
  );

  test('in an answer of Deribit to a login is hidden; what says nothing of it stays', () => {
    expect(
      withoutCredentials({
        access_token: '1796961742820.1X8iNX52.zryvAz8d',
        expires_in: 31_536_000,
        refresh_token: '1796961742820.1TsgfAFL.dnDPkBoP',
        scope: 'connection trade:read_write',
        token_type: 'bearer',
      }),
    ).toEqual({
      access_token: REDACTED,
      expires_in: 31_536_000,
      refresh_token: REDACTED,
      scope: 'connection trade:read_write',
      token_type: 'bearer',
    });
  });

  test('is a SID of Tradernet in all three spellings of its answers', () => {
    expect(withoutCredentials({ SID: 'a1', sid: 'a1', sessionId: 'a1', SIDBETA: 'a1', user_id: 7 })).toEqual({
      SID: REDACTED,
      sid: REDACTED,
      sessionId: REDACTED,
      SIDBETA: REDACTED,
      user_id: 7,
    });
  });

  test('is a session where it is opaque, as IBKR’s is; the name of a session is none', () => {
    const names = { session: 'relay', sessions: ['deribit.main.relay', 'tradernet.desk.7165011'] };
    expect(withoutCredentials(names)).toBe(names);
    const id = { session: 'dc90a844-367b-4120-8b56-21040bfa6525' };
    expect(withoutCredentials(id)).toBe(id);
    expect(withoutCredentials({ session: '0123456789abcdef0123456789abcdef' })).toEqual({ session: REDACTED });
  });

  test('is found in URLs, behind Bearer, and as a JWT, whatever the field', () => {
    expect(
      withoutCredentials({
        url: 'wss://wss.tradernet.com/?SID=abc123&x=1',
        link: 'https://app.example/redeem?step=1&token=abc.def#top',
        said: 'Authorization was Bearer abc-123.x',
        jwt: 'x',
        other: '1796961742820.1X8iNX52.zryvAz8d',
        note: 'got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln back',
      }),
    ).toEqual({
      url: `wss://wss.tradernet.com/?SID=${REDACTED}&x=1`,
      link: `https://app.example/redeem?step=1&token=${REDACTED}#top`,
      said: `Authorization was Bearer ${REDACTED}`,
      jwt: REDACTED,
      other: REDACTED,
      note: `got ${REDACTED} back`,
    });
  });

  test('is neither a flag nor nothing', () => {
    const value = { password: null, token: false, hasToken: true };
    expect(withoutCredentials(value)).toBe(value);
  });
});

describe('a sample', () => {
  test.each([
    ['{"access_token":"1796961742820.1X8iNX52","x":1}', '1X8iNX52'],
    ['{"result":{"refresh_token": "abc"}}', 'abc'],
    ['{"client_secret":"s3cr3t-value"', 's3cr3t-value'],
    ['{"SID":"k1k2k3"}', 'k1k2k3'],
    ['GET /?SID=k1k2k3&x=1', 'k1k2k3'],
    ['{"password":"with \\" quote inside"}', 'quote'],
    ['{"token":"cut in the mid', 'cut'],
    ['Authorization: Bearer abc.def', 'abc'],
    ['got 1796961742820.1X8iNX52.zryvAz8d back', '1X8iNX52'],
    ['{"consumerKey":"kkk"}', 'kkk'],
    ['{"login":"virtual"}', 'virtual'],
    ['["userData",{"authLogin":"someone","mode":"demo"}]', 'someone'],
    ['{"key_current":"Login, password"}', 'Login, password'],
    ['{"sessionId":{"id":"zzz"}}', 'zzz'],
    ['{"ip_client":"19.16.32.32"}', '19.16'],
    ['from 203.0.113.7 today', '203.0'],
    ['mail to someone@example.com please', 'someone'],
    ['0123456789abcdef0123456789abcdef', '0123456789'],
    ['PMMU2psxJaJKaXCbv/EwRIt4s+rQ7flViugUXqnScl4=', 'PMMU2'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl', 'eyJ'],
  ])('of %s does not show %s', (text, hidden) => {
    expect(sampleOf(text)).not.toContain(hidden);
    expect(sampleOf(text)).toContain(REDACTED);
  });

  test.each([
    'platform_state',
    'user.lock',
    'platform_state.public_methods_state',
    'user.mmp_trigger.btc_usd',
    'the venue answered with error 11056: unauthenticated_public_requests_temporarily_disabled',
    'raw_subscriptions_not_available_for_unauthorized',
    '["quotes",{"bid":1.5}]',
    'BROKERAGE_AUTHENTICATION_INITIATED',
    'expire 85299',
  ])('of %s shows it whole', (text) => {
    expect(sampleOf(text)).toBe(text);
  });

  test('has at most 256 characters, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 6_000, unit: 'binary' }), (text) => {
        expect(sampleOf(text).length).toBeLessThanOrEqual(256);
      }),
    );
  });

  test('never shows the beginning of a token that its cut went through', () => {
    const token = 'Zq7'.repeat(20);
    const secret = fc
      .integer({ min: 4_000, max: 4_200 })
      .map((at) => `${'{"a":1},'.repeat(600).slice(0, at)} ${token}`);
    // What stands before is masked away, so that the end of what was read would come into the sample.
    const shrunk = fc.integer({ min: 3_900, max: 4_096 }).map((at) => `{"password":"${'p'.repeat(at)}" ${token}`);
    fc.assert(
      fc.property(fc.oneof(secret, shrunk), (text) => {
        expect(sampleOf(text)).not.toContain('Zq7');
      }),
    );
  });
});
