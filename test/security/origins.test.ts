import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../src/edge/auth.js';
import { exchange } from '../support/raw-http.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/**
 * A web page of another origin, by itself or through a name of its own that points at this machine (DNS rebinding): it
 * reads nothing, sends no command, and is told nothing by a CORS header.
 */
afterEach(closeTestRelays);

const sha256 = createHash('sha256').update('right').digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [{ name: 'desk', sha256, channels: ['>'], commands: ['*.*:act'], fields: 'full' }],
};
const ORIGINS = [
  'https://evil.example',
  'http://localhost.evil.example',
  'http://127.0.0.1:1',
  'https://127.0.0.1.nip.example',
  'null',
  'file://',
  'chrome-extension://abc',
  'http://evil.example@localhost',
  '',
];
const NAMES = [
  'evil.example',
  'evil.example:80',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'localhost@evil.example',
  'evil.example#localhost',
  'x@localhost',
  'localhost/',
  '[::1].evil.example',
  'ip6-localhost.evil.example',
  '0x7f.evil.example',
];
/** Everything that a page might want to read or do. */
const ROUTES: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/v1/sessions'],
  ['GET', '/v1/sessions/deribit.main.bot'],
  ['GET', '/v1/events'],
  ['HEAD', '/v1/events'],
  ['POST', '/v1/commands'],
  ['GET', '/v1/stream'],
  ['POST', '/v1/ticket'],
  ['GET', '/metrics'],
  ['GET', '/'],
  ['GET', '/v1/ws'],
  ['OPTIONS', '/v1/commands'],
  ['OPTIONS', '/v1/sessions'],
];
const HEALTH: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/livez'],
  ['GET', '/readyz'],
  ['GET', '/readyz?sources=1'],
];
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const COMMAND = '{"source":"deribit.main","command":"read"}';

/** One request, byte for byte; resolves with the whole answer. */
async function ask(
  url: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const body = method === 'POST' ? COMMAND : '';
  const lines = Object.entries({
    Connection: 'close',
    ...headers,
    ...(body === '' ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  // uWebSockets.js keeps its connections open, whatever is asked: an answer ends with its body, if it has one.
  const isWhole = method === 'HEAD' ? /\r\n\r\n/ : /\r\n\r\n[\s\S]*[}>]$/;
  return exchange(url, `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`, isWhole);
}
const statusOf = (answer: string): string => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? answer;

describe.each(TRANSPORTS)('a foreign page over %s', (transport) => {
  test.each(ORIGINS)(
    'the origin %j is refused on every route, by every method, without a CORS header',
    async (origin) => {
      const { url, venue, settled } = await startTestRelay(transport);
      venue.open('bot');
      await settled();
      const { host } = new URL(url);
      for (const [method, path] of ROUTES) {
        const answer = await ask(url, method, path, { Host: host, Origin: origin });
        expect([method, path, statusOf(answer)]).toEqual([method, path, '403']);
        expect(answer).not.toContain('main.bot');
        expect(answer.toLowerCase()).not.toContain('access-control-');
      }
      const upgrade = await exchange(
        url,
        `GET /v1/ws HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\n${UPGRADE}\r\n`,
        /\}$/,
      );
      expect(statusOf(upgrade)).toBe('403');
      expect(venue.calls).toEqual([]);
    },
  );

  test.each(NAMES)(
    'the name %j reaches no route of a relay without auth, not even its health (DNS rebinding)',
    async (host) => {
      const { url, venue, settled } = await startTestRelay(transport);
      venue.open('bot');
      await settled();
      for (const [method, path] of [...ROUTES, ...HEALTH]) {
        // As a page of that name sends it: its own origin, which it thinks is the relay's.
        for (const headers of [{ Host: host }, { Host: host, Origin: `http://${host}` }]) {
          const answer = await ask(url, method, path, headers);
          // What is no host at all may be refused as no request.
          expect(['403', '400']).toContain(statusOf(answer));
          expect(answer).not.toMatch(/main|bot|links/);
        }
      }
      const upgrade = await exchange(
        url,
        `GET /v1/ws HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\n${UPGRADE}\r\n`,
        /\}$/,
      );
      expect(['403', '400']).toContain(statusOf(upgrade));
      expect(venue.calls).toEqual([]);
    },
  );

  test('a relay without a Host header answers nothing but its health', async () => {
    const { url } = await startTestRelay(transport);
    expect(['403', '400']).toContain(statusOf(await ask(url, 'GET', '/v1/sessions', {})));
  });

  test('with keys a foreign page is refused even with a token, and another name of the relay is served', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot');
    await settled();
    const authorization = { Authorization: 'Bearer right' };
    for (const [method, path] of ROUTES) {
      const answer = await ask(url, method, path, {
        Host: 'relay.example',
        Origin: 'https://evil.example',
        ...authorization,
      });
      expect([path, statusOf(answer)]).toEqual([path, '403']);
    }
    expect(statusOf(await ask(url, 'GET', '/v1/sessions', { Host: 'relay.example', ...authorization }))).toBe('200');
    // Without one there is nothing to be had by any name.
    expect(
      statusOf(await ask(url, 'GET', '/v1/sessions', { Host: 'evil.example', Origin: 'http://evil.example' })),
    ).toBe('401');
    expect(venue.calls).toEqual([]);
  });

  test('no answer carries a CORS header, whoever asks', async () => {
    const { url } = await startTestRelay(transport, { limits: { origins: ['https://desk.example'] } });
    for (const origin of [url, 'https://desk.example'])
      for (const path of ['/v1/sessions', '/v1/events', '/v1/none', '/livez', '/readyz'])
        for (const method of ['GET', 'OPTIONS']) {
          const { headers } = await fetch(url + path, { method, headers: { origin } });
          expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
        }
  });

  test('health is asked by address, from wherever the orchestrator is', async () => {
    const { url } = await startTestRelay(transport);
    const { port } = new URL(url);
    for (const host of ['10.1.2.3', `10.1.2.3:${port}`, '[2001:db8::1]:8080', '127.0.0.1', 'localhost'])
      expect(statusOf(await ask(url, 'GET', '/livez', { Host: host }))).toBe('200');
  });
});
