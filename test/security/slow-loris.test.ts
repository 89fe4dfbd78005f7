import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/**
 * Peers that take their time on purpose: each is ended within `handshakeTimeout` (uWebSockets.js: within its own 10 s,
 * which is the one real wait here), and takes no subscriber's place meanwhile.
 */
const HANDSHAKE_MS = 600;
const UPGRADE =
  'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
const EVERY_MS = 100;

/** What is sent at once, and what drips after it. */
const ATTACKS: readonly (readonly [what: string, first: string, drop: string])[] = [
  ['says nothing at all', '', ''],
  ['lets its request line drip', 'GET /liv', 'e'],
  ['lets headers drip', 'GET /livez HTTP/1.1\r\nHost: localhost\r\n', 'X-A: b\r\n'],
  ['never finishes its upgrade', UPGRADE, 'X-A: b\r\n'],
  ['stops in the middle of its upgrade', UPGRADE, ''],
  [
    'lets a body drip',
    'POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n',
    ' ',
  ],
  [
    'lets a chunked body drip',
    'POST /v1/hooks/deribit/main HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1\r\n \r\n',
  ],
  [
    'announces a body and sends none',
    'POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n',
    '',
  ],
];

const open = new Set<Socket>();
afterEach(async () => {
  for (const socket of open) socket.destroy();
  open.clear();
  await closeTestRelays();
});

/** Resolves when the other side has ended the connection. */
function drip(url: string, first: string, drop: string): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(first));
    const timer = setInterval(() => {
      if (drop !== '' && socket.writable) socket.write(drop);
    }, EVERY_MS);
    open.add(socket);
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
      resolve();
    });
  });
}

describe.each(TRANSPORTS)('slow loris over %s', (transport) => {
  test('whoever dawdles is ended, and takes no place that a subscriber could have', async () => {
    const limits = { handshakeTimeoutMs: HANDSHAKE_MS, maxConnections: 2, maxConnectionsPerAddress: 2 };
    const { url, connect: join, venue } = await startTestRelay(transport, { limits });
    const still = new Set(ATTACKS.map(([what]) => what));
    const ends = ATTACKS.flatMap(([what, first, drop]) =>
      Array.from({ length: 3 }, () => drip(url, first, drop).then(() => void still.delete(what))),
    );
    // While they all hold their connections, those who behave are let in and served.
    const one = await join();
    const other = await join();
    expect(await one.request('ping', 1)).toBe(1);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    await Promise.all(ends);
    expect([...still]).toEqual([]);
    expect(await other.request('ping', 2)).toBe(2);
    expect(venue.calls).toEqual([]);
  });
});
