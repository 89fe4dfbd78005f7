import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { exportJWK } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../src/edge/auth.js';
import { createAuthenticator } from '../../src/edge/auth.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** Tokens that somebody made who does not have the key; what a right one looks like is in test/edge/auth.test.ts. */
afterEach(closeTestRelays);

const clock = new VirtualClock();
const NOW = clock.now() / 1_000;
const SECRET = 'a secret of at least thirty-two bytes';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }));
const CLAIMS = { sub: 'intruder', exp: NOW + 600, channels: ['>'], commands: ['*.*:act'], fields: 'full' };

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = (header: object, claims: object = CLAIMS): string => `${part(header)}.${part(claims)}`;
const hmac = (key: string | Buffer, header: object, claims?: object): string => {
  const text = unsigned(header, claims);
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
};
const rs256 = (key: typeof rsa, header: object, claims?: object): string => {
  const text = unsigned(header, claims);
  return `${text}.${sign('sha256', Buffer.from(text), key.privateKey).toString('base64url')}`;
};

const PUBLIC: AuthOptions = { mode: 'jwt', publicKey: pem };
const SHARED: AuthOptions = { mode: 'jwt', secret: SECRET, issuer: 'desk', audience: 'relay' };
const OURS = { ...CLAIMS, iss: 'desk', aud: 'relay' };

async function refusedBy(auth: AuthOptions, token: string): Promise<void> {
  const { authenticate } = await createAuthenticator(auth, clock);
  const thrown = await authenticate(token).then(
    (grant) => grant,
    (error: unknown) => error,
  );
  expect(thrown).toMatchObject({ code: 'unauthenticated' });
  for (const piece of token.split('.').filter(({ length }) => length > 8)) expect(String(thrown)).not.toContain(piece);
}

describe('alg confusion', () => {
  const jwk = createPublicKey(pem).export({ format: 'jwk' });
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  test.each<readonly [string, string | Buffer]>([
    ['the PEM as it is configured', pem],
    ['the PEM without its last line break', pem.trimEnd()],
    ['the PEM of PKCS#1', String(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }))],
    ['the DER bytes', der],
    ['the JWK as JSON', JSON.stringify(jwk)],
    ['the modulus in base64url', jwk.n ?? ''],
    ['the modulus as bytes', Buffer.from(jwk.n ?? '', 'base64url')],
    ['nothing', ''],
  ])('HS256 with %s for a secret is refused where the key is public', async (_what, key) => {
    await refusedBy(PUBLIC, hmac(key, { alg: 'HS256', typ: 'JWT' }));
  });

  test.each([
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    'hs256',
    'HS512',
    'RSA1_5',
    'dir',
    'A128KW',
    null,
    0,
    ['RS256'],
    { alg: 'RS256' },
  ])('the algorithm %j without a signature, or with one of another, is refused', async (alg) => {
    const header = { alg, typ: 'JWT' };
    for (const auth of [PUBLIC, SHARED]) {
      await refusedBy(auth, `${unsigned(header, OURS)}.`);
      await refusedBy(auth, `${unsigned(header, OURS)}.${Buffer.alloc(256).toString('base64url')}`);
      await refusedBy(auth, unsigned(header, OURS));
    }
    await refusedBy(PUBLIC, hmac(pem, header));
  });

  test('an RS256 token is refused where the key is a secret, even one that is signed with the key that it names itself', async () => {
    const key = await exportJWK(other.publicKey);
    await refusedBy(SHARED, rs256(other, { alg: 'RS256' }, OURS));
    await refusedBy(SHARED, rs256(other, { alg: 'RS256', jwk: key }, OURS));
    await refusedBy(SHARED, hmac('', { alg: 'HS256' }, OURS));
  });

  test.each<readonly [string, object]>([
    ['a key of its own', { jwk: other.publicKey.export({ format: 'jwk' }) }],
    ['a key set elsewhere', { jku: 'http://127.0.0.1:1/jwks.json' }],
    ['a certificate', { x5c: ['MIIB'], x5u: 'http://127.0.0.1:1/x' }],
    ['a kid that is a path', { kid: '../../../../dev/null' }],
    ['a kid that is a query', { kid: "x' UNION SELECT 'key" }],
    ['a kid of the prototype', { kid: '__proto__' }],
    ['an extension that must be understood', { crit: ['exp'], exp: 1 }],
    ['a payload that is not encoded', { b64: false, crit: ['b64'] }],
  ])('a token that brings %s is refused: keys come from the configuration alone', async (_what, header) => {
    await refusedBy(PUBLIC, rs256(other, { alg: 'RS256', ...header }));
    await refusedBy(SHARED, rs256(other, { alg: 'RS256', ...header }, OURS));
  });
});

describe('time and claims', () => {
  test.each<readonly [string, object]>([
    ['expired', { exp: NOW - 6 }],
    ['expired long ago', { exp: 0 }],
    ['with an expiry in the past that is negative', { exp: -1 }],
    ['not yet valid', { nbf: NOW + 6 }],
    ['without an expiry', { exp: undefined }],
    ['with an expiry that is a text', { exp: '9999999999' }],
    ['with an expiry beyond all time', { exp: 1e300 }],
    ['of another issuer', { iss: 'other' }],
    ['of no issuer', { iss: undefined }],
    ['of a list of issuers', { iss: ['desk'] }],
    ['for another audience', { aud: 'other' }],
    ['for no audience', { aud: undefined }],
    ['for an empty list of audiences', { aud: [] }],
    ['without an identity', { sub: undefined }],
    ['with an identity that is a list', { sub: ['desk'] }],
    ['with channels that are a text', { channels: '>' }],
    ['with a channel that is no pattern', { channels: ['>', '..'] }],
    ['with commands that are none', { commands: [1] }],
    ['with fields that are none', { fields: 'all' }],
  ])('a well signed token %s is refused', async (_what, claims) => {
    await refusedBy(SHARED, hmac(SECRET, { alg: 'HS256' }, { ...OURS, ...claims }));
  });

  test('the same token with nothing wrong in it is taken: what is refused above is refused for its one fault', async () => {
    const { authenticate } = await createAuthenticator(SHARED, clock);
    expect(await authenticate(hmac(SECRET, { alg: 'HS256' }, OURS))).toMatchObject({ identity: 'intruder' });
    const { authenticate: byKey } = await createAuthenticator(PUBLIC, clock);
    expect(await byKey(rs256(rsa, { alg: 'RS256' }))).toMatchObject({ identity: 'intruder' });
  });

  test('claims of the prototype give nothing', async () => {
    const { authenticate } = await createAuthenticator(SHARED, clock);
    const claims = JSON.parse(
      `{"sub":"bot","exp":${NOW + 600},"iss":"desk","aud":"relay","__proto__":{"channels":[">"],"commands":["*.*:act"],"fields":"full"},"constructor":{"channels":[">"]}}`,
    ) as object;
    expect(await authenticate(hmac(SECRET, { alg: 'HS256' }, claims))).toMatchObject({
      channels: [],
      commands: [],
      fields: 'redacted',
    });
  });

  test('a huge token is refused unread', async () => {
    await refusedBy(SHARED, hmac(SECRET, { alg: 'HS256' }, { ...OURS, padding: 'x'.repeat(50_000) }));
    await refusedBy(SHARED, 'a.'.repeat(30_000));
    await refusedBy(PUBLIC, '.'.repeat(60_000));
  });
});

describe.each(TRANSPORTS)('over %s', (transport) => {
  const forged = hmac(pem, { alg: 'HS256' });
  const expired = rs256(rsa, { alg: 'RS256' }, { ...CLAIMS, exp: NOW - 60 });

  test.each([
    ['forged', forged],
    ['expired', expired],
    ['cut', forged.slice(0, -10)],
  ])('a token that is %s is refused wherever it is given, and repeated nowhere', async (_what, token) => {
    const { connect, url, logged, venue } = await startTestRelay(transport, { auth: PUBLIC });
    for (const how of [
      { headers: { authorization: `Bearer ${token}` } },
      { protocols: ['session-relay.v1', `bearer.${token}`] },
    ])
      await expect(connect(how)).rejects.toMatchObject({ status: 401, body: expect.not.stringContaining(token) });
    const subscriber = await connect();
    await expect(subscriber.request('auth', { token })).rejects.toMatchObject({ code: 4401 });
    for (const path of ['/v1/sessions', '/v1/events', '/v1/sessions/deribit.main.bot']) {
      const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } });
      expect([answer.status, await answer.text()]).toEqual([401, expect.not.stringContaining(token)]);
    }
    const command = await fetch(`${url}/v1/commands`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ source: 'deribit.main', command: 'act' }),
    });
    expect(command.status).toBe(401);
    expect(venue.calls).toEqual([]);
    expect(logged.join('\n') + JSON.stringify(subscriber.messages)).not.toContain(token.slice(0, 40));
  });

  test('a token in the URL is none', async () => {
    const token = rs256(rsa, { alg: 'RS256' });
    const { url } = await startTestRelay(transport, { auth: PUBLIC });
    for (const name of ['token', 'access_token', 'bearer', 'ticket', 'authorization'])
      expect([400, 401]).toContain((await fetch(`${url}/v1/sessions?${name}=${token}`)).status);
  });

  test('a token of 60 KiB in auth is refused, and the connection goes on', async () => {
    const { connect } = await startTestRelay(transport, { auth: PUBLIC });
    const subscriber = await connect();
    await expect(subscriber.request('auth', { token: 'x'.repeat(60_000) })).rejects.toMatchObject({ code: 4401 });
    expect(await subscriber.request('ping', 1)).toBe(1);
  });
});
