import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';

/** Many connections and many requests from one peer: it meets its limit, and nobody else notices. */
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await closeTestRelays();
});

/** Connects from one of this machine's loopback addresses; resolves with the status of the upgrade. */
function dial(url: string, from: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { localAddress: from, headers: { ...headers } });
    closing.push(() => socket.terminate());
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    socket.on('error', (error) => {
      if (!/Unexpected|closed before/.test(error.message)) reject(error);
    });
  });
}

describe.each(TRANSPORTS)('floods over %s', (transport) => {
  test('a flood of connections from one address ends at its limit with 429, and others still connect', async () => {
    const { url, connect: join, relay } = await startTestRelay(transport, { limits: { maxConnectionsPerAddress: 20 } });
    const statuses = await Promise.all(Array.from({ length: 100 }, () => dial(url, '127.0.0.1')));
    expect(statuses.filter((status) => status === 101)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(80);
    expect(await dial(url, '127.0.0.2')).toBe(101);
    expect(relay.transport).toBe(transport);
    await expect(join()).rejects.toMatchObject({ status: 429, headers: { 'retry-after': expect.any(String) } });
  });

  test('an address that is made up in X-Forwarded-For is nobody’s: the flood is counted all the same', async () => {
    const { url } = await startTestRelay(transport, { limits: { maxConnectionsPerAddress: 3 } });
    const statuses = await Promise.all(
      Array.from({ length: 10 }, (_, n) => dial(url, '127.0.0.1', { 'x-forwarded-for': `192.0.2.${n}` })),
    );
    expect(statuses.filter((status) => status === 101)).toHaveLength(3);
  });

  test('upgrades whose token is still being checked count: a flood of them meets the limit at once', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const waiting: ServerResponse[] = [];
    const keys = createServer((_request, response) => void waiting.push(response));
    keys.listen(0, '127.0.0.1');
    await until(() => keys.listening, 'the key server');
    closing.push(() => {
      keys.closeAllConnections();
      keys.close();
    });
    const jwks = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/jwks.json`;
    const { url, clock } = await startTestRelay(transport, {
      auth: { mode: 'jwt', jwks },
      limits: { maxConnectionsPerAddress: 3 },
    });
    const token = await new SignJWT({ channels: ['>'] })
      .setProtectedHeader({ alg: 'RS256', kid: 'r' })
      .setSubject('bot')
      .setExpirationTime(clock.now() / 1_000 + 600)
      .sign(rsa.privateKey);
    const headers = { authorization: `Bearer ${token}` };
    const pending = Array.from({ length: 3 }, () => dial(url, '127.0.0.1', headers));
    await until(() => waiting.length > 0, 'the first token is being checked');
    const more = await Promise.all(Array.from({ length: 20 }, () => dial(url, '127.0.0.1', headers)));
    expect(new Set(more)).toEqual(new Set([429]));
    const body = JSON.stringify({ keys: [{ ...(await exportJWK(rsa.publicKey)), kid: 'r' }] });
    for (const response of waiting) response.setHeader('content-type', 'application/json').end(body);
    expect(await Promise.all(pending)).toEqual([101, 101, 101]);
    expect(await dial(url, '127.0.0.2', headers)).toBe(101);
  });

  test('a place is given back by whoever is refused, and by whoever goes away', async () => {
    const sha256 = createHash('sha256').update('right').digest('hex');
    const { url, settled } = await startTestRelay(transport, {
      auth: { mode: 'keys', keys: [{ name: 'desk', sha256, channels: ['>'], commands: [], fields: 'full' }] },
      limits: { maxConnections: 2, maxConnectionsPerAddress: 2 },
    });
    for (let n = 0; n < 20; n++) expect(await dial(url, '127.0.0.1', { authorization: 'Bearer wrong' })).toBe(401);
    const { hostname, port } = new URL(url);
    for (let n = 0; n < 20; n++) {
      // Gone as soon as it has asked.
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(
            'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer right\r\n\r\n',
            () => socket.destroy(),
          );
        });
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
      });
      await settled();
    }
    let status = 0;
    for (let tries = 0; tries < 100 && status !== 101; tries++) {
      await settled();
      status = await dial(url, '127.0.0.1', { authorization: 'Bearer right' });
    }
    expect(status).toBe(101);
  });
});
