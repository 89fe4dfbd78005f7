import { describe, expect, test } from 'vitest';
import type { HttpReply } from '../../../src/net/http.js';
import { createSecrets } from '../../../src/venues/secrets.js';
import { type Auth, createApi, readLogin } from '../../../src/venues/tradernet/api.js';
import { createHttpLine, penaltyOf, readReply } from '../../../src/venues/tradernet/http-line.js';
import { hmacHex, presign, signV2, signV3, socketQuery } from '../../../src/venues/tradernet/signing.js';
import { FakeHttp } from '../../support/fake-http.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { row } from './source.js';

const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);
const KEY = { publicKey: 'public', secretKey: 'secret' } as const;

function reply(
  body: unknown,
  status = 200,
  cookies: readonly string[] = [],
  headers: Record<string, string> = {},
): HttpReply {
  return { status, headers, cookies, body: typeof body === 'string' ? body : JSON.stringify(body) };
}

function read(body: unknown, status = 200, cookies: readonly string[] = [], headers: Record<string, string> = {}) {
  return readReply(reply(body, status, cookies, headers), NOW, (text) => text);
}

describe('signatures', () => {
  // Made with `printf %s MESSAGE | openssl dgst -sha256 -hmac secret`.
  test('are HMAC-SHA256 in hex, as the official PHP SDK’s signer', () => {
    expect(hmacHex('secret', 'payload123')).toBe('2d0b504df2ec038ce920731d9e4a3e0e9743cabbb6fc2c88ab923f1c52368b61');
  });

  test('version 3 signs the body and the seconds after it', () => {
    const headers = signV3(KEY, '{"tickers":"USDT-RUB"}', 123_456_789);
    expect(headers).toEqual({
      'X-NtApi-PublicKey': 'public',
      'X-NtApi-Timestamp': '123456',
      'X-NtApi-Sig': 'abc294f60983fe3498ce10bc6f76aa66182cd6dec38ff608ba1fcf75d88f332e',
    });
  });

  test('a request without parameters and a socket sign the seconds alone', () => {
    const alone = '4a83854cf6f0112b4295bddd535a9b3fbe54a3f90e853b59d42e4bed553c55a4';
    expect(signV3(KEY, '', 123_456_000)['X-NtApi-Sig']).toBe(alone);
    expect(socketQuery(KEY, 123_456_999)).toEqual({
      'X-NtApi-PublicKey': 'public',
      'X-NtApi-Timestamp': '123456',
      'X-NtApi-Sig': alone,
    });
  });

  test('version 2 sorts keys at every depth', () => {
    expect(presign({ nonce: 2, cmd: 'x', params: { b: 1, a: 'y' }, apiKey: 'k' })).toBe(
      'apiKey=k&cmd=x&nonce=2&params=a=y&b=1',
    );
    const { body, headers } = signV2(KEY, 'getSecuritySessions', 7);
    expect(body).toBe('apiKey=public&cmd=getSecuritySessions&nonce=7');
    expect(headers).toEqual({ 'X-NtApi-Sig': 'b3378924c60971b4106bdca72e1eb740806c2b7eb3e321c488f92715b96c253a' });
  });
});

describe('what an answer means', () => {
  test.each([
    ['an error that is there and falsy is a success', { error: '', SID: 'x' }, 200, { kind: 'ok' }],
    ['so is an error of 0', { error: 0 }, 200, { kind: 'ok' }],
    ['an error with HTTP 200 is a refusal', { error: 'User is not found', code: 7 }, 200, { kind: 'refused', code: 7 }],
    ['so is errMsg', { errMsg: 'Bad json', code: 2 }, 200, { kind: 'refused', code: 2, message: 'Bad json' }],
    [
      'a limit in the body is a limit',
      { errMsg: 'Your request limit has been exceeded', code: 429 },
      200,
      { kind: 'throttled', waitMs: 60_000 },
    ],
    ['403 without JSON is a refused client', '<html>blocked</html>', 403, { kind: 'blocked' }],
    [
      '403 with an error of the API is its refusal',
      { error: 'Access denied', code: 12 },
      403,
      { kind: 'refused', code: 12 },
    ],
    ['5xx is a failure', '<html>oops</html>', 502, { kind: 'failed', sent: true }],
    ['a redirect is a failure', '', 302, { kind: 'failed' }],
    ['200 with garbage is a failure that shows it', '<html>', 200, { kind: 'failed', garbage: '<html>' }],
    ['a list is a success', [row(1)], 200, { kind: 'ok' }],
  ])('%s', (_name, body, status, expected) => {
    expect(read(body, status)).toMatchObject(expected);
  });

  test('Retry-After counts in seconds or names a time', () => {
    expect(penaltyOf('7', NOW)).toBe(7_000);
    expect(penaltyOf(new Date(NOW + 90_000).toUTCString(), NOW)).toBe(90_000);
    expect(penaltyOf(new Date(NOW - 90_000).toUTCString(), NOW)).toBe(0);
    expect(penaltyOf('soon', NOW)).toBe(60_000);
    expect(penaltyOf(undefined, NOW)).toBe(60_000);
  });
});

describe('a login', () => {
  test.each([
    ['SID in the body', { SID: 'abc', userId: 1 }, []],
    ['sid in the body', { sid: 'abc' }, []],
    ['sessionId in the body', { sessionId: 'abc', error: false }, []],
    ['SID as a cookie', {}, ['uid=1; path=/', 'SID=abc; path=/; HttpOnly']],
    ['SIDBETA as a cookie', {}, ['SIDBETA=abc']],
    ['an encoded cookie', {}, ['SID=%61bc; path=/']],
  ])('finds the SID: %s', (_name, body, cookies) => {
    expect(readLogin(read(body, 200, cookies))).toEqual({ kind: 'ok', sid: 'abc' });
  });

  test.each([
    ['mode sms', { mode: 'sms', auth_code_id: 4 }],
    ['a code that is bad or missing', { error: 'Bad code', code: 14 }],
    ['words', { error: 'Two-factor authentication is required' }],
    ['an SMS', { errMsg: 'Enter the code from the SMS', code: 5 }],
  ])('that asks a person for a code is told as that: %s', (_name, body) => {
    expect(readLogin(read(body))).toMatchObject({ kind: 'two_factor' });
  });

  test('that is refused is told as refused, and one without a SID as a failure', () => {
    expect(readLogin(read({ error: 'Incorrect login or password' }))).toMatchObject({ kind: 'refused' });
    expect(readLogin(read({ userId: 5 }))).toMatchObject({ kind: 'failed', sent: true });
  });
});

describe('requests', () => {
  function start() {
    const clock = new VirtualClock(NOW);
    const http = new FakeHttp();
    const facts: unknown[] = [];
    const line = createHttpLine({
      http: http.client,
      clock,
      source: 'desk',
      url: 'https://tradernet.com/',
      hide: (text) => text,
      tell: (told) => facts.push(...told),
      moved: () => {},
    });
    const api = createApi({
      line,
      clock,
      config: { httpUrl: 'https://tradernet.com/' },
      headers: { 'user-agent': 'x' },
    });
    return { http, api };
  }

  test('the list is asked for as on the reference page: everything in `q`', async () => {
    const { http, api } = start();
    http.answer = () => ({ json: [row(1)] });
    const answer = await api.sessions({ sid: 'a&b' });
    expect(answer).toMatchObject({ kind: 'ok', value: { unread: 0, rows: [{ id: '1' }] } });
    const [request] = http.requests;
    const url = new URL(request?.url ?? '');
    expect([request?.method, url.origin, url.pathname]).toEqual(['GET', 'https://tradernet.com', '/api/']);
    expect(JSON.parse(url.searchParams.get('q') ?? '')).toEqual({ cmd: 'getSecuritySessions', SID: 'a&b', params: {} });
  });

  test('a login is a form', async () => {
    const { http, api } = start();
    http.answer = () => ({ json: { SID: 'abc' } });
    await api.login('desk@example.org', 'a+b&c');
    const [request] = http.requests;
    expect(request).toMatchObject({
      method: 'POST',
      url: 'https://tradernet.com/api/check-login-password',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'x' },
    });
    expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
      login: 'desk@example.org',
      password: 'a+b&c',
      rememberMe: '1',
    });
  });

  test('API keys sign and never leave: version 3 with an empty body, version 2 with a growing nonce', async () => {
    const { http, api } = start();
    http.answer = () => ({ json: [] });
    const v3: Auth = { ...KEY, signature: 'v3' };
    const v2: Auth = { ...KEY, signature: 'v2' };
    await api.sessions(v3);
    await api.sessions(v2);
    await api.sessions(v2);
    const [third, second, last] = http.requests;
    expect(third).toMatchObject({ method: 'POST', url: 'https://tradernet.com/api/getSecuritySessions' });
    expect(third?.body).toBeUndefined();
    expect(third?.headers?.['X-NtApi-Timestamp']).toBe(String(NOW / 1_000));
    expect(second?.url).toBe('https://tradernet.com/api/v2/cmd/getSecuritySessions');
    const nonces = [second, last].map((one) => Number(new URLSearchParams(one?.body).get('nonce')));
    expect(nonces[1]).toBeGreaterThan(nonces[0] ?? Number.NaN);
    expect(JSON.stringify(http.requests)).not.toContain('secret');
  });

  test.each([
    ['a list that stands in a field', { sessions: [row(1)] }, { kind: 'ok' }],
    ['no list at all', { nothing: 1 }, { kind: 'failed', garbage: '{"nothing":1}' }],
  ])('%s', async (_name, json, expected) => {
    const { http, api } = start();
    http.answer = () => ({ json });
    expect(await api.sessions({ sid: 'x' })).toMatchObject(expected);
  });

  test.each([
    [
      { SID: 'x', user_id: 42 },
      { alive: true, userId: 42 },
    ],
    [{ SID: null, user_id: null }, { alive: false }],
  ])('getSidInfo %j', async (json, value) => {
    const { http, api } = start();
    http.answer = () => ({ json });
    expect(await api.sidInfo({ sid: 'x' })).toEqual({ kind: 'ok', value });
  });
});

test('known secrets are cut out of texts, encoded ones too, and the newest SIDs are never forgotten', () => {
  const secrets = createSecrets(['pass word']);
  for (let i = 0; i < 100; i++) secrets.add(`sid-number-${i}`);
  const shown = secrets.hide('wss://x/?SID=sid-number-99 failed for pass word and pass%20word');
  expect(shown).toBe('wss://x/?SID=[redacted] failed for [redacted] and [redacted]');
});
