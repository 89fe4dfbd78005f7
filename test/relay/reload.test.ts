import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AuthOptions } from '../../src/edge/auth.js';
import { ConfigError } from '../../src/errors.js';
import { openStream, type StreamClient } from '../support/event-stream.js';
import { closeTestRelays, startTestRelay, type TestRelay, TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { secret } from '../support/secrets.js';

/** `relay.reload`, as an embedder calls it: who may do what, judged again for everybody who is there. */
const START_SECONDS = Date.UTC(2026, 10, 23, 8) / 1_000;
const streams: StreamClient[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) await stream.close();
  await closeTestRelays();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Key {
  readonly name: string;
  readonly channels?: readonly string[];
  readonly commands?: readonly string[];
  readonly fields?: 'full' | 'redacted';
}
const tokenOf = (name: string): string => secret(`token-of-${name}-for-reloads`);
const keys = (...list: readonly Key[]): AuthOptions => ({
  mode: 'keys',
  keys: list.map(({ name, channels = ['>'], commands = [], fields = 'full' }) => {
    return { name, sha256: createHash('sha256').update(tokenOf(name)).digest('hex'), channels, commands, fields };
  }),
});
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function stream(relay: TestRelay, query: string, token?: string): Promise<StreamClient> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const one = await openStream(`${relay.url}/v1/stream?${query}`, headers);
  streams.push(one);
  return one;
}

async function ticket({ url }: TestRelay, token: string): Promise<string> {
  const answer = await fetch(`${url}/v1/ticket`, { method: 'POST', ...bearer(token) });
  return z.object({ ticket: z.string() }).parse(await answer.json()).ticket;
}

const signed = (key: Parameters<SignJWT['sign']>[0], alg: string, claims: object, kid?: string): Promise<string> =>
  new SignJWT({ channels: ['>'], commands: [], fields: 'full', ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .setSubject('bot')
    .setExpirationTime(START_SECONDS + 600)
    .sign(key);

describe.each(TRANSPORTS)('reload over %s', (transport) => {
  test('a key that is gone closes its connections, a narrower one ends what it does not cover, others see nothing', async () => {
    const running = await startTestRelay(transport, {
      auth: keys({ name: 'a' }, { name: 'b' }, { name: 'c', commands: ['*.*:*'] }),
    });
    const { relay, venue, connect, settled } = running;
    venue.open('desk', 'bot');
    await settled();
    const [a, b, c] = [await connect(bearer(tokenOf('a'))), await connect(bearer(tokenOf('b'))), await connect()];
    await c.request('auth', { token: tokenOf('c') });
    for (const one of [a, b, c]) await one.request('subscribe', { channels: ['>', 'deribit.main.desk.>'] });
    const told = await relay.reload({
      auth: keys({ name: 'a' }, { name: 'c', channels: ['deribit.main.desk.>'] }),
    });
    expect(told).toMatchObject({ auth: 'replaced', subscribers: { kept: 1, changed: 1, closed: 1, pending: 0 } });
    expect(await b.closed).toMatchObject({ code: 4401 });
    expect(await c.next('unsubscribed')).toMatchObject({ channel: '>' });
    venue.update('desk', 3);
    venue.update('bot', 2);
    await a.until(() => a.events('>').length === 5);
    await c.until(() => c.events('deribit.main.desk.>').length === 3);
    expect(c.events('>')).toEqual([]);
    await expect(c.request('command', { source: 'deribit.main', command: 'read' })).rejects.toMatchObject({
      code: 4403,
    });
    await expect(connect(bearer(tokenOf('b')))).rejects.toMatchObject({ status: 401 });
    expect([...a.losses, ...c.losses]).toEqual([]);
  });

  test('fields that are redacted from now on end the subscription: nothing goes on in full', async () => {
    const { relay, venue, connect, settled } = await startTestRelay(transport, { auth: keys({ name: 'a' }) });
    venue.open('desk');
    await settled();
    const one = await connect(bearer(tokenOf('a')));
    await one.request('subscribe', { channels: ['>'] });
    await relay.reload({ auth: keys({ name: 'a', fields: 'redacted' }) });
    expect(await one.next('unsubscribed')).toMatchObject({ channel: '>' });
    const { sessions }: { sessions: unknown } = await one.request('get_sessions', { channel: 'deribit.main.desk' });
    expect(sessions).toMatchObject([{ attributes: { login: '[redacted]' } }]);
  });

  test('from none to keys, whoever has shown nothing is closed; back again, whoever is there stays', async () => {
    const { relay, connect } = await startTestRelay(transport);
    const open = await connect();
    expect(await relay.reload({ auth: keys({ name: 'a' }) })).toMatchObject({ subscribers: { closed: 1 } });
    expect(await open.closed).toMatchObject({ code: 4401 });
    expect((await fetch(`${relay.url}/v1/sessions`)).status).toBe(401);
    const [known, silent] = [await connect(bearer(tokenOf('a'))), await connect()];
    expect(await silent.next('welcome')).toMatchObject({ authRequired: true });
    const named = await connect({ headers: { ...bearer(tokenOf('a')).headers, host: 'relay.test' } });
    await relay.reload({ auth: { mode: 'none' } });
    await known.request('subscribe', { channels: ['>'] });
    await silent.request('auth', { token: 'whatever' });
    await silent.request('subscribe', { channels: ['>'] });
    expect((await fetch(`${relay.url}/v1/sessions`)).status).toBe(200);
    // Without auth the relay answers to loopback names alone, also to whoever was there before.
    expect(await named.closed).toMatchObject({ code: 4403 });
  });

  test('a key set on disk that was rotated: tokens of the key that is gone are refused, though its name is the same', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'jwks-'));
    folders.push(folder);
    const file = join(folder, 'keys.json');
    const [first, second] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
    const jwk = async (pair: typeof first, kid: string) => ({
      ...(await exportJWK(pair.publicKey)),
      kid,
      alg: 'ES256',
    });
    const both = [await jwk(first, 'one'), await jwk(second, 'two')];
    writeFileSync(file, JSON.stringify({ keys: both }));
    const auth: AuthOptions = { mode: 'jwt', jwks: file };
    const { relay, connect } = await startTestRelay(transport, { auth });
    const old = await connect(bearer(await signed(first.privateKey, 'ES256', {}, 'one')));
    const kept = await connect(bearer(await signed(second.privateKey, 'ES256', {}, 'two')));
    expect(await relay.reload({ auth })).toMatchObject({ subscribers: { kept: 2, closed: 0 } });
    writeFileSync(file, JSON.stringify({ keys: both.slice(1) }));
    expect(await relay.reload({ auth })).toMatchObject({ subscribers: { kept: 1, closed: 1 } });
    expect(await old.closed).toMatchObject({ code: 4401 });
    await kept.request('ping', {});
    writeFileSync(file, '{}');
    await expect(relay.reload({ auth })).rejects.toMatchObject({ code: 'config_invalid' });
    await kept.request('ping', {});
  });

  test('where tokens cannot be checked by the new rules now, nothing changes and nobody is sent away', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const auth: AuthOptions = { mode: 'jwt', publicKey: await exportSPKI(publicKey) };
    const { relay, connect } = await startTestRelay(transport, { auth });
    const token = await signed(privateKey, 'ES256', {});
    const one = await connect(bearer(token));
    const unreachable: AuthOptions = { mode: 'jwt', jwks: 'http://127.0.0.1:1/keys.json' };
    await expect(relay.reload({ auth: unreachable, limits: { maxChannels: 1 } })).rejects.toMatchObject({
      code: 'not_available',
    });
    await one.request('subscribe', { channels: ['deribit.>', 'ibkr.>'] });
    await connect(bearer(token));
  });

  test('event streams: one whose credentials are worth the same goes on, another ends; a ticket is worth what its token is', async () => {
    const running = await startTestRelay(transport, { auth: keys({ name: 'a' }, { name: 'b' }) });
    const { relay, venue, settled } = running;
    venue.open('desk');
    await settled();
    const [a, b] = [
      await stream(running, 'channel=deribit.>', tokenOf('a')),
      await stream(running, 'channel=deribit.>', tokenOf('b')),
    ];
    const [good, bad] = [await ticket(running, tokenOf('a')), await ticket(running, tokenOf('b'))];
    await relay.reload({ auth: keys({ name: 'a' }, { name: 'c' }) });
    await b.ended();
    venue.update('desk');
    await a.until(() => a.events().length === 1);
    expect((await stream(running, `channel=deribit.>&ticket=${bad}`)).status).toBe(401);
    const byTicket = await stream(running, `channel=deribit.>&ticket=${good}`);
    expect(byTicket.status).toBe(200);
    await relay.reload({ auth: keys({ name: 'a', channels: ['deribit.main.bot.>'] }) });
    await Promise.all([a.ended(), byTicket.ended()]);
    expect((await stream(running, `channel=deribit.>&ticket=${good}`)).status).toBe(401);
  });

  test('an origin that is not allowed any more is closed with 4403', async () => {
    const { relay, connect } = await startTestRelay(transport, { limits: { origins: ['https://desk.test'] } });
    const [page, bot] = [await connect({ headers: { origin: 'https://desk.test' } }), await connect()];
    expect(await relay.reload({ limits: { origins: [] } })).toMatchObject({ limits: ['origins'], auth: 'kept' });
    expect(await page.closed).toMatchObject({ code: 4403 });
    await bot.request('ping', {});
  });

  test('a rate holds for connections that live; a lower count ends none', async () => {
    const { relay, connect } = await startTestRelay(transport, { limits: { maxRequestsPerSecond: 1 } });
    const [one, two] = [await connect(), await connect()];
    await one.request('ping', {});
    await expect(one.request('ping', {})).rejects.toMatchObject({ code: 4429 });
    const told = await relay.reload({
      limits: { maxRequestsPerSecond: 3, maxConnections: 1, maxPayloadBytes: 2_048 },
      needsRestart: ['of.mine'],
    });
    expect(told).toMatchObject({
      limits: ['maxConnections', 'maxRequestsPerSecond'],
      needsRestart: ['limits.maxPayloadBytes', 'of.mine'],
      subscribers: { kept: 2, closed: 0 },
    });
    for (let times = 0; times < 3; times++) await one.request('ping', {});
    await expect(one.request('ping', {})).rejects.toMatchObject({ code: 4429 });
    await two.request('ping', {});
    await expect(connect()).rejects.toMatchObject({ status: 503 });
  });
});

test('one at a time, in the order of the calls; what a function throws is what it rejects with, and nothing has changed', async () => {
  const { relay, venue } = await startTestRelay('ws');
  const other = createScriptedVenue('other');
  const order: string[] = [];
  let end: () => void = () => {};
  venue.stopping = () =>
    new Promise((resolve) => {
      order.push('stopping');
      end = resolve;
    });
  const first = relay.reload({ venues: [other] });
  const second = relay.reload(() => {
    order.push('asked');
    throw new ConfigError([{ key: 'limits', message: 'is wrong' }]);
  });
  const third = relay.reload(async () => {
    order.push('asked');
    return { venues: [other] };
  });
  await expect.poll(() => order).toEqual(['stopping']);
  end();
  expect(await first).toMatchObject({ added: ['deribit.other'], removed: ['deribit.main'] });
  await expect(second).rejects.toMatchObject({ code: 'config_invalid' });
  expect(await third).toMatchObject({ kept: ['deribit.other'], added: [], removed: [] });
  expect(order).toEqual(['stopping', 'asked', 'asked']);
  const text = await (await fetch(`${relay.url}/metrics`)).text();
  expect(text).toContain('session_relay_reloads_total{outcome="applied"} 2');
  expect(text).toContain('session_relay_reloads_total{outcome="refused"} 1');
  const draining = relay.drain();
  await expect(relay.reload({})).rejects.toMatchObject({ code: 'closed' });
  await draining;
});

test('a drain in the middle of a reload leaves everything, and starts nothing', async () => {
  const { relay, venue } = await startTestRelay('ws', { drainTimeoutMs: 5_000 });
  let end: () => void = () => {};
  venue.stopping = () =>
    new Promise((resolve) => {
      end = resolve;
    });
  const other = createScriptedVenue('other');
  let starts = 0;
  other.start = () => {
    starts++;
  };
  const reloading = relay.reload({ venues: [other] });
  await expect.poll(() => venue.stopped).toEqual({ orders: 'leave' });
  const draining = relay.drain();
  end();
  expect(await reloading).toMatchObject({ removed: ['deribit.main'] });
  expect(await draining).toEqual({ journaled: true });
  expect([starts, other.stopped]).toEqual([0, { orders: 'leave' }]);
});
