import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** Headers that are too large, too many or twice: 431, 400 or an end of the connection, and the server lives. */
afterEach(closeTestRelays);

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
/** Sends bytes and ends its half: whoever waits for more knows that there is none. Resolves with all that came. */
function send(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.end(bytes));
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += String(part);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}
const statusOf = (answer: string): string => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'ended';

describe.each(TRANSPORTS)('headers over %s', (transport) => {
  test.each<readonly [string, string]>([
    ['one of 20 KiB', `X-Long: ${'x'.repeat(20_000)}\r\n`],
    ['one of 1 MiB', `X-Long: ${'x'.repeat(1024 * 1024)}\r\n`],
    ['5,000 small ones', Array.from({ length: 5_000 }, (_, n) => `X-${n}: y\r\n`).join('')],
    ['a name of 20 KiB', `${'X'.repeat(20_000)}: y\r\n`],
    ['a cookie of 64 KiB', `Cookie: a=${'x'.repeat(65_536)}\r\n`],
    ['a token of 64 KiB', `Authorization: Bearer ${'x'.repeat(65_536)}\r\n`],
  ])('%s, to a route and to an upgrade, are refused, and the relay goes on', async (_what, lines) => {
    const { url, connect, logged } = await startTestRelay(transport);
    const subscriber = await connect();
    for (const head of ['GET /v1/sessions HTTP/1.1\r\n', `GET /v1/ws HTTP/1.1\r\n${UPGRADE}`]) {
      const answer = await send(url, `${head}Host: localhost\r\n${lines}\r\n`);
      expect(['431', '400', 'ended']).toContain(statusOf(answer));
    }
    const target = await send(url, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(['431', '414', '400', 'ended']).toContain(statusOf(target));
    expect(await subscriber.request('ping', 1)).toBe(1);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect(logged.filter((line) => /fail|error/i.test(line))).toEqual([]);
  });

  test.each<readonly [string, string]>([
    ['two lengths', 'Content-Length: 42\r\nContent-Length: 5\r\n'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
    ['chunks that are not chunked', 'Transfer-Encoding: chunked, identity\r\n'],
    ['a length that is none', 'Content-Length: +5\r\n'],
    ['a header that is folded', 'X-A: b\r\n Content-Length: 5\r\n'],
    ['a header without a name', ': b\r\n'],
    ['a name with a space', 'Content-Length : 5\r\n'],
  ])('%s: what follows is never taken for a request of its own (smuggling)', async (_what, lines) => {
    const { url, venue } = await startTestRelay(transport, { auth: { mode: 'none', commands: ['*.*:*', '*.*:act'] } });
    const inner = '{"source":"deribit.main","command":"act"}';
    const smuggled = `POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`;
    const answer = await send(
      url,
      `POST /v1/hooks/deribit/none HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n0\r\n\r\n${smuggled}`,
    );
    expect(answer).not.toContain('HTTP/1.1 200');
    expect(venue.calls).toEqual([]);
  });
});
