import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../src/edge/auth.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** PROTOCOL.md §4, Credentials, Grants and what is refused at the upgrade. */
const SECRET = 'a secret of at least thirty-two bytes';
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [
    { name: 'desk', sha256: sha256('desk-token'), channels: ['deribit.main.desk.>'], commands: [], fields: 'redacted' },
    { name: 'all', sha256: sha256('all-token'), channels: ['>'], commands: ['deribit.*:*'], fields: 'full' },
    {
      name: 'ops',
      sha256: sha256('ops-token'),
      channels: ['>'],
      commands: ['*.*:*', 'deribit.main:act'],
      fields: 'redacted',
    },
  ],
};
const JWT: AuthOptions = { mode: 'jwt', secret: SECRET };
const START_SECONDS = Date.UTC(2026, 10, 23, 8) / 1_000;

function jwt(claims: Readonly<Record<string, unknown>>, expiresInSeconds: number): Promise<string> {
  return new SignJWT({ channels: ['>'], commands: [], fields: 'full', ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('bot')
    .setExpirationTime(START_SECONDS + expiresInSeconds)
    .sign(new TextEncoder().encode(SECRET));
}

afterEach(closeTestRelays);

describe.each(TRANSPORTS)('credentials over %s', (transport) => {
  test.each([
    ['the Authorization header', { headers: { authorization: 'Bearer all-token' } }],
    [
      'a subprotocol entry in base64url',
      { protocols: ['session-relay.v1', `bearer.${Buffer.from('all-token').toString('base64url')}`] },
    ],
  ])('a token in %s is taken, and never echoed', async (_what, how) => {
    const { connect } = await startTestRelay(transport, { auth: KEYS });
    const subscriber = await connect(how);
    expect(await subscriber.next('welcome')).toMatchObject({ authRequired: false });
    expect(['', 'session-relay.v1']).toContain(subscriber.socket.protocol);
    await subscriber.request('subscribe', { channels: ['>'] });
  });

  test('a JWT is a subprotocol entry as it stands', async () => {
    const { connect } = await startTestRelay(transport, { auth: JWT });
    const subscriber = await connect({ protocols: ['session-relay.v1', `bearer.${await jwt({}, 600)}`] });
    expect(await subscriber.next('welcome')).toMatchObject({ authRequired: false });
  });

  test('credentials that are given and wrong are refused with 401 at the upgrade', async () => {
    const { connect, logged } = await startTestRelay(transport, { auth: KEYS });
    await expect(connect({ headers: { authorization: 'Bearer wrong-token' } })).rejects.toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Bearer', 'content-type': 'application/problem+json' },
      body: expect.not.stringContaining('wrong-token'),
    });
    expect(logged.join()).not.toContain('wrong-token');
  });

  test('without credentials everything but auth and ping is 4401, and after 10 s the socket is closed with 4401', async () => {
    const { connect, clock } = await startTestRelay(transport, { auth: KEYS });
    const subscriber = await connect();
    expect(await subscriber.next('welcome')).toMatchObject({ authRequired: true });
    await expect(subscriber.request('subscribe', { channels: ['>'] })).rejects.toMatchObject({ code: 4401 });
    await expect(subscriber.request('get_sessions')).rejects.toMatchObject({ code: 4401 });
    expect(await subscriber.request('ping', 1)).toBe(1);
    await clock.advance(9_999);
    expect(await subscriber.request('ping', 2)).toBe(2);
    await clock.advance(1);
    expect(await subscriber.closed).toMatchObject({ code: 4401 });
  });

  test('auth within 10 s keeps the socket, says the grant, and what comes right behind it is served', async () => {
    const { connect, clock } = await startTestRelay(transport, { auth: KEYS });
    const subscriber = await connect();
    const said = subscriber.request('auth', { token: 'desk-token' });
    const subscribed = subscriber.request('subscribe', { channels: ['deribit.main.desk.>'] });
    expect(await said).toEqual({
      identity: 'desk',
      channels: ['deribit.main.desk.>'],
      commands: [],
      fields: 'redacted',
    });
    await subscribed;
    await clock.advance(11_000);
    expect(await subscriber.request('ping', 1)).toBe(1);
  });

  test('a wrong token in auth is 4401, and the deadline stands', async () => {
    const { connect, clock } = await startTestRelay(transport, { auth: KEYS });
    const subscriber = await connect();
    await expect(subscriber.request('auth', { token: 'wrong' })).rejects.toMatchObject({ code: 4401 });
    await clock.advance(10_000);
    expect(await subscriber.closed).toMatchObject({ code: 4401 });
  });

  test('a subscription must be contained in the grant: else 4403 with the channel', async () => {
    const { connect } = await startTestRelay(transport, { auth: KEYS });
    const subscriber = await connect({ headers: { authorization: 'Bearer desk-token' } });
    for (const channel of ['>', 'deribit.>', 'deribit.main.*.>', 'deribit.main.bot.>', '*.*.desk.>']) {
      await expect(subscriber.request('subscribe', { channels: [channel] })).rejects.toMatchObject({
        code: 4403,
        data: { channel },
      });
    }
    await subscriber.request('subscribe', { channels: ['deribit.main.desk.session.*'] });
  });

  test('a grant of some types shows events of these, and no state', async () => {
    const token = await jwt({ channels: ['*.*.*.session.*'] }, 600);
    const { connect, venue, settled } = await startTestRelay(transport, { auth: JWT });
    venue.open('bot');
    await settled();
    const subscriber = await connect({ headers: { authorization: `Bearer ${token}` } });
    await expect(subscriber.request('subscribe', { channels: ['>'] })).rejects.toMatchObject({ code: 4403 });
    expect(await subscriber.request('get_sessions')).toMatchObject({ sessions: [] });
    expect(await subscriber.request('get_sources')).toEqual({ sources: [] });
    const { events } = await subscriber.request('get_events');
    expect((events as { type: string }[]).map(({ type }) => type)).toEqual(['session.opened']);
  });

  test('another session is nowhere to be seen by a grant of one', async () => {
    const { connect, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    const subscriber = await connect({ headers: { authorization: 'Bearer desk-token' } });
    await subscriber.request('subscribe', { channels: ['deribit.main.desk.>'] });
    venue.update('bot', 3);
    venue.update('desk', 1);
    await subscriber.until(() => subscriber.events('deribit.main.desk.>').length > 0);
    await subscriber.request('get_sessions');
    await subscriber.request('get_events');
    expect(JSON.stringify(subscriber.messages)).not.toContain('main.bot');
  });

  test('personal data is redacted in events, snapshots and pages, unless the grant shows it in full', async () => {
    const { connect, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    const login = 'desk@example.test';
    const seen: Record<string, boolean> = {};
    for (const token of ['desk-token', 'all-token']) {
      const subscriber = await connect({ headers: { authorization: `Bearer ${token}` } });
      await subscriber.request('subscribe', { channels: ['deribit.main.desk.>'] });
      venue.open('desk');
      venue.tell({
        source: 'main',
        session: 'desk',
        type: 'access.logged',
        data: { action: 'login', ip: '192.0.2.7' },
        key: `access-${token}`,
      });
      await settled();
      await subscriber.request('subscribe', { channels: ['deribit.main.desk.>'] });
      await subscriber.request('get_sessions', { channel: 'deribit.main.desk' });
      await subscriber.request('get_events', { channel: 'deribit.main.desk.>' });
      await subscriber.request('ping');
      const all = JSON.stringify(subscriber.messages);
      seen[token] = all.includes(login) && all.includes('192.0.2.7');
      if (token === 'desk-token') {
        expect(all).not.toContain(login);
        expect(all).not.toContain('192.0.2.7');
        expect(all).toContain('[redacted]');
      }
      await subscriber.close();
    }
    expect(seen).toEqual({ 'desk-token': false, 'all-token': true });
  });

  test('auth again with a smaller grant ends what it does not cover with unsubscribed, and nothing follows', async () => {
    const { connect, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    const subscriber = await connect({ headers: { authorization: 'Bearer ops-token' } });
    const channels = ['deribit.main.bot.>', 'deribit.main.desk.>'];
    await subscriber.request('subscribe', { channels, snapshot: false });
    await subscriber.request('auth', { token: 'desk-token' });
    expect(await subscriber.next('unsubscribed')).toMatchObject({
      channel: 'deribit.main.bot.>',
      cursor: expect.any(String),
      reason: expect.any(String),
    });
    venue.update('bot', 3);
    venue.update('desk', 3);
    await subscriber.until(() => subscriber.events('deribit.main.desk.>').length >= 3);
    expect(subscriber.losses).toEqual([]);
  });

  test('a token is warned of 60 s before exp and the socket closed with 4401 at exp; auth in between replaces it', async () => {
    const { connect, clock } = await startTestRelay(transport, { auth: JWT });
    const subscriber = await connect({ headers: { authorization: `Bearer ${await jwt({}, 600)}` } });
    await clock.advance(539_000);
    expect(subscriber.messages.filter(({ method }) => method === 'token_expiring')).toEqual([]);
    await clock.advance(1_000);
    expect(await subscriber.next('token_expiring')).toEqual({ inMs: 60_000 });
    expect(await subscriber.request('auth', { token: await jwt({}, 1_200) })).toMatchObject({
      expiresAt: '2026-11-23T08:20:00.000Z',
    });
    await clock.advance(500_000);
    expect(await subscriber.request('ping', 1)).toBe(1);
    await clock.advance(160_000);
    expect(await subscriber.closed).toMatchObject({ code: 4401 });
  });

  test('a token that lives for a year does not expire at once', async () => {
    const { connect, clock } = await startTestRelay(transport, { auth: JWT });
    const subscriber = await connect({ headers: { authorization: `Bearer ${await jwt({}, 366 * 86_400)}` } });
    await clock.advance(15_000);
    await subscriber.next('heartbeat');
    expect(subscriber.messages.filter(({ method }) => method === 'token_expiring')).toEqual([]);
  });

  test('commands: the grant is asked for, acting ones must be named, and the identity owns its requestIds', async () => {
    const { connect, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot');
    await settled();
    const command = (name: string, requestId?: string): object => ({
      source: 'deribit.main',
      command: name,
      requestId,
    });
    const desk = await connect({ headers: { authorization: 'Bearer desk-token' } });
    await expect(desk.request('command', command('read'))).rejects.toMatchObject({
      code: 4403,
      data: { command: 'read' },
    });
    const all = await connect({ headers: { authorization: 'Bearer all-token' } });
    await expect(all.request('command', command('act'))).rejects.toMatchObject({
      code: 4403,
      data: { command: 'act' },
    });
    await expect(all.request('command', command('none'))).rejects.toMatchObject({ code: 4404 });
    expect(await all.request('command', command('read', 'one'))).toMatchObject({
      requestId: 'one',
      result: { ok: true },
    });
    const ops = await connect({ headers: { authorization: 'Bearer ops-token' } });
    const [first, again] = await Promise.all([
      ops.request('command', command('act', 'one')),
      ops.request('command', command('act', 'one')),
    ]);
    expect(again).toEqual(first);
    expect(venue.calls.filter(({ command: name }) => name === 'act')).toHaveLength(1);
    await expect(ops.request('command', command('read', 'one'))).rejects.toMatchObject({ code: 4409 });
  });

  test.each([
    ['an origin that is not the relay’s own', { origin: 'https://evil.example' }, 403],
    ['the opaque origin', { origin: 'null' }, 403],
    ['a host name that is not loopback, without auth', { host: 'relay.example:80' }, 403],
  ])('%s is refused with 403', async (_what, headers, status) => {
    const { connect } = await startTestRelay(transport);
    await expect(connect({ headers })).rejects.toMatchObject({ status });
  });

  test('the relay’s own origin and one that is named are let in', async () => {
    const { connect, url } = await startTestRelay(transport, { limits: { origins: ['https://desk.example'] } });
    await connect({ headers: { origin: url } });
    await connect({ headers: { origin: 'https://desk.example' } });
  });

  test('a peer that is not on this machine is refused without auth, whatever its Host says', async () => {
    const { connect } = await startTestRelay(transport, { limits: { trustProxy: true } });
    await expect(connect({ headers: { 'x-forwarded-for': '127.0.0.1, 192.0.2.1' } })).rejects.toMatchObject({
      status: 403,
    });
    await connect({ headers: { 'x-forwarded-for': '192.0.2.1, ::ffff:127.0.0.1' } });
  });

  test('connections over the limits: 429 for an address and for an identity, 503 with Retry-After where full', async () => {
    const perAddress = await startTestRelay(transport, { limits: { maxConnectionsPerAddress: 2 } });
    await perAddress.connect();
    const second = await perAddress.connect();
    await expect(perAddress.connect()).rejects.toMatchObject({ status: 429 });
    await second.close();
    await perAddress.settled();
    await perAddress.connect();

    const full = await startTestRelay(transport, { limits: { maxConnections: 1 } });
    await full.connect();
    await expect(full.connect()).rejects.toMatchObject({ status: 503, headers: { 'retry-after': expect.any(String) } });

    const perIdentity = await startTestRelay(transport, { auth: KEYS, limits: { maxConnectionsPerIdentity: 1 } });
    await perIdentity.connect({ headers: { authorization: 'Bearer desk-token' } });
    await expect(perIdentity.connect({ headers: { authorization: 'Bearer desk-token' } })).rejects.toMatchObject({
      status: 429,
    });
    const late = await perIdentity.connect();
    await expect(late.request('auth', { token: 'desk-token' })).rejects.toMatchObject({ code: 4429 });
    await late.request('auth', { token: 'all-token' });
  });

  test('addresses behind a trusted proxy are counted one by one', async () => {
    const limits = { maxConnectionsPerAddress: 1, trustProxy: true };
    const { connect } = await startTestRelay(transport, { auth: KEYS, limits });
    const from = (address: string): Promise<unknown> =>
      connect({ headers: { 'x-forwarded-for': `9.9.9.9, ${address}` } });
    await from('192.0.2.1');
    await from('192.0.2.2');
    await expect(from('::ffff:192.0.2.1')).rejects.toMatchObject({ status: 429 });
  });
});
