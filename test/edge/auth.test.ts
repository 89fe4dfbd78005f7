import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, type JWTHeaderParameters, SignJWT } from 'jose';
import { afterAll, describe, expect, test } from 'vitest';
import { createAuthenticator } from '../../src/edge/auth.js';
import { VirtualClock } from '../support/virtual-clock.js';

const clock = new VirtualClock();
const NOW = clock.now() / 1_000;
const SECRET = new TextEncoder().encode('a secret of at least thirty-two bytes');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const pem = (pair: typeof rsa): string => String(pair.publicKey.export({ type: 'spki', format: 'pem' }));
const folder = mkdtempSync(join(tmpdir(), 'auth-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Key = Parameters<SignJWT['sign']>[0];
const sign = (header: JWTHeaderParameters, key: Key, claims: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  new SignJWT({ sub: 'bot', exp: NOW + 600, channels: ['deribit.>'], fields: 'full', ...claims })
    .setProtectedHeader(header)
    .sign(key);
const hs = (claims?: Readonly<Record<string, unknown>>): Promise<string> => sign({ alg: 'HS256' }, SECRET, claims);
const unauthenticated = { code: 'unauthenticated' };

describe('keys', () => {
  const sha256 = (token: string): string => createHash('sha256').update(token, 'utf8').digest('hex');
  const grant = { channels: ['>'], commands: [], fields: 'full' } as const;

  test('a token is found by the SHA-256 of its UTF-8 bytes', async () => {
    const keys = [
      { name: 'one', sha256: sha256('eins'), ...grant },
      { name: 'two', sha256: sha256('zwölf'), ...grant },
    ];
    const { authenticate } = await createAuthenticator({ mode: 'keys', keys }, clock);
    expect(await authenticate('zwölf')).toEqual({ identity: 'two', ...grant });
    for (const wrong of ['', 'Eins', sha256('eins')])
      await expect(authenticate(wrong)).rejects.toMatchObject(unauthenticated);
  });
});

describe('JWT with a shared secret', () => {
  test('sub is the identity, and the grant is at the top level', async () => {
    const { authenticate } = await createAuthenticator(
      { mode: 'jwt', secret: new TextDecoder().decode(SECRET) },
      clock,
    );
    expect(await authenticate(await hs({ commands: ['deribit.main:act'] }))).toEqual({
      identity: 'bot',
      channels: ['deribit.>'],
      commands: ['deribit.main:act'],
      fields: 'full',
      expiresAtMs: (NOW + 600) * 1_000,
    });
    expect(await authenticate(await hs({ fields: undefined, channels: undefined }))).toMatchObject({
      channels: [],
      commands: [],
      fields: 'redacted',
    });
  });

  test.each([
    ['expired beyond the leeway', { exp: NOW - 6 }],
    ['without exp', { exp: undefined }],
    ['not valid yet', { nbf: NOW + 60 }],
    ['without sub', { sub: undefined }],
    ['with an empty sub', { sub: '' }],
    ['with a channel that is no pattern', { channels: ['a..b'] }],
    ['with fields that are none', { fields: 'all' }],
    ['with an exp that is no time', { exp: 1e17 }],
  ])('a token %s is refused', async (_what, claims) => {
    const { authenticate } = await createAuthenticator(
      { mode: 'jwt', secret: new TextDecoder().decode(SECRET) },
      clock,
    );
    await expect(authenticate(await hs(claims))).rejects.toMatchObject(unauthenticated);
  });

  test('5 s of difference between clocks are forgiven', async () => {
    const { authenticate } = await createAuthenticator(
      { mode: 'jwt', secret: new TextDecoder().decode(SECRET) },
      clock,
    );
    await authenticate(await hs({ exp: NOW - 4 }));
    await authenticate(await hs({ nbf: NOW + 4 }));
  });

  test('issuer and audience are asked for where they are configured', async () => {
    const options = {
      mode: 'jwt',
      secret: new TextDecoder().decode(SECRET),
      issuer: 'desk',
      audience: 'relay',
    } as const;
    const { authenticate } = await createAuthenticator(options, clock);
    await authenticate(await hs({ iss: 'desk', aud: 'relay' }));
    for (const claims of [{ iss: 'desk' }, { aud: 'relay' }, { iss: 'other', aud: 'relay' }])
      await expect(authenticate(await hs(claims))).rejects.toMatchObject(unauthenticated);
  });

  test('another secret, no signature, garbage and what is too long are refused without repeating the token', async () => {
    const { authenticate } = await createAuthenticator(
      { mode: 'jwt', secret: new TextDecoder().decode(SECRET) },
      clock,
    );
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${part({ alg: 'none' })}.${part({ sub: 'bot', exp: NOW + 600, channels: ['>'] })}.`;
    const other = await sign({ alg: 'HS256' }, new TextEncoder().encode('another secret of thirty-two bytes!'));
    for (const token of [unsigned, other, 'garbage', 'a.b.c', 'x'.repeat(10_000)]) {
      const refused = await authenticate(token).catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject(unauthenticated);
      expect(String(refused)).not.toContain(token);
    }
  });
});

describe('JWT with public keys', () => {
  test.each([
    ['RSA', pem(rsa), { alg: 'RS256' }, rsa.privateKey],
    ['RSA-PSS', pem(rsa), { alg: 'PS256' }, rsa.privateKey],
    ['EC', pem(ec), { alg: 'ES256' }, ec.privateKey],
    ['Ed25519', pem(ed), { alg: 'EdDSA' }, ed.privateKey],
  ])('%s tokens are checked against the PEM', async (_what, publicKey, header, key) => {
    const { authenticate } = await createAuthenticator({ mode: 'jwt', publicKey }, clock);
    expect(await authenticate(await sign(header, key))).toMatchObject({ identity: 'bot' });
  });

  test('a token cannot choose its algorithm: the public key is never taken for a secret', async () => {
    const publicKey = pem(rsa);
    const { authenticate } = await createAuthenticator({ mode: 'jwt', publicKey }, clock);
    const forged = await sign({ alg: 'HS256' }, new TextEncoder().encode(publicKey));
    const foreign = await sign({ alg: 'ES256' }, ec.privateKey);
    for (const token of [forged, foreign]) await expect(authenticate(token)).rejects.toMatchObject(unauthenticated);
  });

  test('with a secret configured, asymmetric tokens are refused', async () => {
    const { authenticate } = await createAuthenticator(
      { mode: 'jwt', secret: new TextDecoder().decode(SECRET) },
      clock,
    );
    await expect(authenticate(await sign({ alg: 'RS256' }, rsa.privateKey))).rejects.toMatchObject(unauthenticated);
  });

  test('a key set in a file: the key is found by its id, a secret in it is never used', async () => {
    const file = join(folder, 'jwks.json');
    const oct = { kty: 'oct', kid: 'oct', alg: 'HS256', k: Buffer.from(SECRET).toString('base64url') };
    const keys = [
      { ...(await exportJWK(rsa.publicKey)), kid: 'r' },
      { ...(await exportJWK(ec.publicKey)), kid: 'e' },
      oct,
    ];
    writeFileSync(file, JSON.stringify({ keys }));
    const { authenticate } = await createAuthenticator({ mode: 'jwt', jwks: file }, clock);
    await authenticate(await sign({ alg: 'RS256', kid: 'r' }, rsa.privateKey));
    await authenticate(await sign({ alg: 'ES256', kid: 'e' }, ec.privateKey));
    const tokens = [
      await sign({ alg: 'RS256', kid: 'e' }, rsa.privateKey),
      await sign({ alg: 'EdDSA', kid: 'x' }, ed.privateKey),
      await sign({ alg: 'HS256', kid: 'oct' }, SECRET),
    ];
    for (const token of tokens) await expect(authenticate(token)).rejects.toMatchObject(unauthenticated);
  });

  test('a key set that cannot be fetched says nothing about the token', async () => {
    const { authenticate } = await createAuthenticator({ mode: 'jwt', jwks: 'http://127.0.0.1:1/jwks.json' }, clock);
    await expect(authenticate(await sign({ alg: 'RS256', kid: 'r' }, rsa.privateKey))).rejects.toMatchObject({
      code: 'not_available',
    });
  });

  test.each([
    ['a PEM that is none', { publicKey: 'nonsense' }, 'auth.publicKey'],
    ['a file that is not there', { jwks: join(folder, 'none.json') }, 'auth.jwks'],
    ['an empty secret', { secret: '' }, 'auth.secret'],
    ['nothing at all', {}, 'auth'],
  ])('%s is a problem of the configuration', async (_what, options, key) => {
    await expect(createAuthenticator({ mode: 'jwt', ...options }, clock)).rejects.toMatchObject({
      code: 'config_invalid',
      problems: [{ key }],
    });
  });
});

test('without auth whoever is there may see everything and run reading commands', async () => {
  const { anonymous, loopbackOnly } = await createAuthenticator({ mode: 'none' }, clock);
  expect([loopbackOnly, anonymous]).toEqual([
    true,
    { identity: 'anonymous', channels: ['>'], commands: ['*.*:*'], fields: 'full' },
  ]);
});
