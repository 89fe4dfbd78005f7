import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AuthOptions } from '../../src/edge/auth.js';
import { VenueError } from '../../src/errors.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { exchange } from '../support/raw-http.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** PROTOCOL.md §5, on the port of the sockets. */
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [
    { name: 'desk', sha256: sha256('desk'), channels: ['deribit.main.desk.>'], commands: [], fields: 'redacted' },
    { name: 'all', sha256: sha256('all'), channels: ['>'], commands: ['*.*:*'], fields: 'full' },
  ],
};
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const keysOf = async (
  answer: Promise<Response>,
): Promise<{ readonly keys: string[]; readonly next: string | undefined }> => {
  const page = z
    .looseObject({ sessions: z.array(z.looseObject({ key: z.string() })), next: z.string().optional() })
    .parse(await (await answer).json());
  return { keys: page.sessions.map(({ key }) => key), next: page.next };
};
const updates = z.looseObject({
  events: z.array(z.looseObject({ data: z.looseObject({ changed: z.looseObject({ n: z.number() }) }) })),
  next: z.string().optional(),
  complete: z.literal(true),
});
afterEach(closeTestRelays);

describe.each(TRANSPORTS)('HTTP over %s', (transport) => {
  test('/v1/sessions pages through what the grant shows, in key order', async () => {
    const { url, venue, settled } = await startTestRelay(transport);
    venue.open('a', 'b', 'c');
    await settled();
    expect(await (await fetch(`${url}/v1/sessions?limit=2`)).json()).toMatchObject({
      cursor: expect.stringMatching(/^\d+-\d+$/),
      sessions: [{ key: 'deribit.main.-' }, { key: 'deribit.main.a', status: 'active' }],
    });
    const first = await keysOf(fetch(`${url}/v1/sessions?limit=2`));
    expect(first.next).toBe('deribit.main.a');
    const second = await keysOf(fetch(`${url}/v1/sessions?limit=2&after=${first.next}`));
    expect(second).toEqual({ keys: ['deribit.main.b', 'deribit.main.c'], next: undefined });
    const one = await keysOf(fetch(`${url}/v1/sessions?channel=deribit.main.b`));
    expect(one.keys).toEqual(['deribit.main.b']);
  });

  test('/v1/sessions/{key} is the bare state; a key with an encoded dot is found; others are 404', async () => {
    const { url, venue, settled } = await startTestRelay(transport);
    venue.open('bot', 'a.b');
    await settled();
    expect(await (await fetch(`${url}/v1/sessions/deribit.main.bot`)).json()).toMatchObject({ session: 'bot' });
    for (const key of ['deribit.main.a%2Eb', encodeURIComponent('deribit.main.a%2Eb')])
      expect(await (await fetch(`${url}/v1/sessions/${key}`)).json()).toMatchObject({ key: 'deribit.main.a%2Eb' });
    for (const key of ['deribit.main.none', '%', 'x', 'deribit.main.%zz']) {
      const answer = await fetch(`${url}/v1/sessions/${key}`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
    }
  });

  test('an ETag answers 304 until something changes, and differs by grant', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('desk');
    await settled();
    const ask = (token: string, etag = ''): Promise<Response> =>
      fetch(`${url}/v1/sessions`, { headers: { authorization: `Bearer ${token}`, 'if-none-match': etag } });
    const first = await ask('all');
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^W\/"/);
    expect(first.headers.get('vary')).toBe('Authorization');
    const same = await ask('all', etag);
    expect([same.status, await same.text(), same.headers.get('etag')]).toEqual([304, '', etag]);
    expect((await ask('desk', etag)).status).toBe(200);
    venue.update('desk');
    await settled();
    expect((await ask('all', etag)).status).toBe(200);
  });

  test('/v1/events pages in order, as JSON and as NDJSON', async () => {
    const { url, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    venue.update('bot', 7);
    await settled();
    const numbers: number[] = [];
    let since: string | undefined = '0-0';
    while (since !== undefined) {
      const answer: Response = await fetch(`${url}/v1/events?channel=*.*.*.session.updated&limit=3&since=${since}`);
      const page = updates.parse(await answer.json());
      numbers.push(...page.events.map(({ data }) => data.changed.n));
      since = page.next;
    }
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const lines = await fetch(`${url}/v1/events?limit=2`, { headers: { accept: 'application/x-ndjson' } });
    expect(lines.headers.get('content-type')).toBe('application/x-ndjson');
    const text = (await lines.text()).trimEnd().split('\n');
    expect(text.map((line) => JSON.parse(line).type)).toEqual(['link.up', 'session.opened']);
    expect(lines.headers.get('session-relay-next')).toBe(JSON.parse(text[1] ?? '{}').id);
  });

  test.each([
    ['/v1/events?limit=0', 400],
    ['/v1/events?limit=many', 400],
    ['/v1/events?unknown=1', 400],
    ['/v1/events?channel=a..b', 400],
    ['/v1/events?channel=a.>&channel=b.>', 400],
    ['/v1/events?since=now', 400],
    ['/v1/nothing', 404],
    ['/v1/ws', 426],
    ['/v1/stream', 400],
  ])('GET %s is %i, as problem+json', async (path, status) => {
    const { url } = await startTestRelay(transport);
    const answer = await fetch(`${url}${path}`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
    expect(await answer.json()).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  });

  test('a method that a path does not serve is 405 with Allow', async () => {
    const { url } = await startTestRelay(transport);
    const answer = await fetch(`${url}/v1/sessions`, { method: 'DELETE' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await fetch(`${url}/v1/commands`)).status).toBe(405);
  });

  test('HEAD says what GET would, without a body', async () => {
    const { url } = await startTestRelay(transport);
    const [head, get] = await Promise.all([
      fetch(`${url}/v1/sessions`, { method: 'HEAD' }),
      fetch(`${url}/v1/sessions`),
    ]);
    expect([head.status, await head.text(), head.headers.get('etag')]).toEqual([200, '', get.headers.get('etag')]);
    expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
  });

  test('credentials: none is 401, wrong is 401, a session outside the grant is 404 and a channel 403', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    for (const how of [{}, bearer('wrong')]) {
      const answer = await fetch(`${url}/v1/sessions`, how);
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    }
    expect((await fetch(`${url}/v1/sessions/deribit.main.bot`, bearer('desk'))).status).toBe(404);
    expect((await fetch(`${url}/v1/events?channel=>`, bearer('desk'))).status).toBe(403);
    const own = await fetch(`${url}/v1/sessions/deribit.main.desk`, bearer('desk'));
    expect(await own.json()).toMatchObject({ attributes: { login: '[redacted]' } });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test('POST /v1/commands runs a command once a requestId, and says errors with their status', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: { mode: 'none', commands: ['*.*:*'] } });
    venue.open('bot');
    await settled();
    const post = (body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
      fetch(`${url}/v1/commands`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      });
    const read = { source: 'deribit.main', command: 'read', requestId: 'r1' };
    const first = await (await post(read)).json();
    expect(first).toMatchObject({ result: { ok: true }, requestId: 'r1', cursor: expect.any(String) });
    expect(await (await post(read)).json()).toEqual(first);
    expect(venue.calls).toHaveLength(1);
    expect((await post({ ...read, params: { n: 1 } })).status).toBe(409);
    expect((await post({ ...read, command: 'act', requestId: 'r2' })).status).toBe(403);
    expect((await post({ ...read, source: 'deribit.none', requestId: 'r3' })).status).toBe(404);
    expect((await post({ ...read, params: { unknown: 1 }, requestId: 'r4' })).status).toBe(400);
    expect((await post({ source: 'deribit.main' })).status).toBe(400);
    venue.answer = () => Promise.reject(new VenueError(13_004, 'invalid_credentials for desk@example.test'));
    const failed = await post({ ...read, requestId: 'r5', params: { n: 5 } });
    expect(failed.status).toBe(424);
    expect(await failed.json()).toMatchObject({ code: 4424, data: { code: 13_004 } });
  });

  test('a command needs its content type and comes from no foreign page', async () => {
    const { url, venue } = await startTestRelay(transport);
    const body = JSON.stringify({ source: 'deribit.main', command: 'read' });
    const post = (headers: Readonly<Record<string, string>>): Promise<Response> =>
      fetch(`${url}/v1/commands`, { method: 'POST', body, headers });
    expect((await post({ 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post({ 'content-type': 'application/json', origin: 'https://evil.example' })).status).toBe(403);
    const invalid = await fetch(`${url}/v1/commands`, {
      method: 'POST',
      body: '{"source":',
      headers: { 'content-type': 'application/json' },
    });
    expect(invalid.status).toBe(400);
    expect(venue.calls).toEqual([]);
  });

  test('/readyz is red while the journal does not commit, and with sources=1 while a source is down', async () => {
    const journal = createFailingJournal();
    const { url, venue, settled, clock } = await startTestRelay(transport, { journal });
    const ready = async (query = ''): Promise<readonly [number, unknown]> => {
      const answer = await fetch(`${url}/readyz${query}`);
      return [answer.status, await answer.json()];
    };
    expect(await ready()).toMatchObject([
      200,
      { status: 'ready', transport, sources: [{ source: 'deribit.main', up: false }] },
    ]);
    expect((await ready('?sources=1'))[0]).toBe(503);
    venue.open('bot');
    await settled();
    expect((await ready('?sources=1'))[0]).toBe(200);
    journal.broken = true;
    venue.update('bot');
    await settled();
    expect(await ready()).toMatchObject([503, { checks: { journal: expect.stringContaining('no space left') } }]);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    journal.broken = false;
    await clock.advance(10_000);
    expect((await ready())[0]).toBe(200);
  });

  test('a body over 1 MiB is 413, said before it is read whole', async () => {
    const { url, venue } = await startTestRelay(transport);
    const answer = await exchange(
      url,
      `POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n{`,
    );
    expect(answer).toContain('413 ');
    const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`;
    const chunked = await exchange(
      url,
      `POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}0\r\n\r\n`,
    );
    expect(chunked).toContain('413 ');
    expect(venue.calls).toEqual([]);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test('what is no HTTP, or names no host that can be, is refused and disturbs nobody', async () => {
    const { url, connect } = await startTestRelay(transport);
    const subscriber = await connect();
    await exchange(url, 'nonsense\r\n\r\n');
    await exchange(url, 'GET /v1/sessions HTTP/1.1\r\nHost: a b c:/\r\nConnection: close\r\n\r\n');
    expect(await subscriber.request('ping', 1)).toBe(1);
  });

  test('two requests on one connection are answered in turn', async () => {
    const { url } = await startTestRelay(transport);
    const text = await exchange(
      url,
      'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    );
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '404']);
  });

  test('a request for an upgrade on another path is answered like any other', async () => {
    const { url } = await startTestRelay(transport);
    const upgrade = (path: string): Promise<string> =>
      exchange(
        url,
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
        /\}$/,
      );
    expect(await upgrade('/v1/none')).toContain('404 ');
    expect(await upgrade('/livez')).toContain('"status":"live"');
  });
});
