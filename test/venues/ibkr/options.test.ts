import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ibkr, ibkrModule } from '../../../src/venues/ibkr/index.js';
import { ibkrConfig } from '../../../src/venues/ibkr/options.js';
import { socketUrl } from '../../../src/venues/ibkr/socket.js';
import { until } from '../../support/virtual-clock.js';
import { READY, SESSION, startLive, validAnswer } from './source.js';

describe('the configuration', () => {
  test('has a default for everything but the id', () => {
    expect(ibkrConfig.parse({ id: 'gw' })).toMatchObject({
      url: 'https://localhost:5000/v1/api',
      tickleSeconds: 60,
      compete: 'never',
      cooldown: 1_800_000,
      reauthenticate: { method: 'GET' },
      authStatus: { method: 'POST' },
      validateSeconds: 300,
      websocket: true,
      websocketAuth: 'auto',
      silence: 25_000,
      establish: 90_000,
      initRetry: { from: 60_000, to: 1_800_000 },
    });
    expect(ibkrModule.serveRole).toBe('trading');
    expect(ibkrModule.config).toBe(ibkrConfig);
  });

  test.each([
    ['an unknown key', { passwrd: 'x' }],
    ['a URL that is no HTTP', { url: 'wss://localhost:5000' }],
    ['a policy that there is not', { compete: 'always' }],
    ['a tickle that comes after the session has ended', { tickleSeconds: 600 }],
    ['a validation more often than the venue allows', { validateSeconds: 10 }],
    [
      'a time zone that there is not',
      { maintenance: [{ zone: 'Mars/One', days: ['mon'], from: '01:00', to: '02:00' }] },
    ],
    ['a silence that is over before it is asked about', { silence: '10s' }],
    ['a fingerprint that is none', { tls: { fingerprint: 'abc' } }],
  ])('%s is refused', (_name, options) => {
    expect(ibkrConfig.safeParse({ id: 'gw', ...options }).success).toBe(false);
  });

  test('a base URL may end in a slash', () => {
    expect(ibkrConfig.parse({ id: 'gw', url: 'https://gw.test/v1/api/' }).url).toBe('https://gw.test/v1/api');
  });

  test.each([
    ['https://localhost:5000/v1/api', 'wss://localhost:5000/v1/api/ws'],
    ['http://localhost:5000/v1/api', 'ws://localhost:5000/v1/api/ws'],
    ['https://user:secret@gw.test/v1/api', 'wss://gw.test/v1/api/ws'],
  ])('the socket of %s is at %s', (base, url) => {
    expect(socketUrl(base)).toBe(url);
  });

  test('each key is documented', () => {
    for (const [name, field] of Object.entries(ibkrConfig.shape)) {
      if (name === 'tls') continue; // documented where it is shared
      expect([name, field.description]).toEqual([name, expect.any(String)]);
    }
  });
});

describe('the trust in the certificate', () => {
  test.each([
    [undefined, 'info the certificate of the venue is verified {"source":"gw","by":"system roots"}'],
    [{ ca: '/etc/ca.pem' }, 'info the certificate of the venue is verified {"source":"gw","by":"ca"}'],
    [
      { fingerprint: Array.from({ length: 32 }, () => 'AB').join(':') },
      'info the certificate of the venue is verified {"source":"gw","by":"fingerprint"}',
    ],
    [{ insecure: true }, /^warn the certificate of the venue is not verified/],
  ] as const)('%j is said in the log', async (tls, line) => {
    const lines: string[] = [];
    const write = (level: string) => (message: string, fields?: object) =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    const world = await startLive(tls === undefined ? {} : { tls }, { log });
    expect(lines[0]).toEqual(typeof line === 'string' ? line : expect.stringMatching(line));
    expect(JSON.stringify(lines)).not.toContain(SESSION);
    await world.venue.stop({ orders: 'leave' });
  });
});

/** Answers as a gateway does, over a real socket, and keeps what it was asked. */
async function realGateway() {
  const requests: { readonly line: string; readonly length: string | undefined; readonly body: string }[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = '';
    request.on('data', (part) => {
      body += String(part);
    });
    request.on('end', () => {
      const path = request.url?.replace('/v1/api', '') ?? '';
      requests.push({ line: `${request.method} ${path}`, length: request.headers['content-length'], body });
      const valid = validAnswer();
      const answers: Record<string, unknown> = {
        '/tickle': { session: SESSION },
        '/sso/validate': typeof valid === 'object' && 'json' in valid ? valid.json : {},
        '/iserver/auth/status': { ...READY, authenticated: false },
      };
      if (path === '/iserver/auth/ssodh/init') {
        response.writeHead(302, { location: '/sso/Login?forwardTo=22' }).end();
        return;
      }
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answers[path] ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    requests,
    url: `http://127.0.0.1:${port}/v1/api`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

describe('over a real socket', () => {
  test('every POST has a Content-Length, and the redirect to the login page is never followed', async () => {
    const gateway = await realGateway();
    const venue = ibkr({ id: 'gw', url: gateway.url, websocket: false });
    const types: string[] = [];
    venue.facts$.subscribe(({ facts }) => {
      types.push(...facts.map(({ session, type }) => `${session} ${type}`));
    });
    venue.start();
    await until(() => types.includes('sso session.attention'), 'the login page');
    await venue.stop({ orders: 'leave' });
    await gateway.close();
    expect(gateway.requests.map(({ line }) => line)).toEqual([
      'GET /sso/validate',
      'POST /tickle',
      'POST /iserver/auth/status',
      'POST /iserver/auth/ssodh/init',
    ]);
    const posts = gateway.requests.filter(({ line }) => line.startsWith('POST'));
    expect(posts.map(({ length, body }) => [length, body])).toEqual([
      ['0', ''],
      ['0', ''],
      ['32', '{"publish":true,"compete":false}'],
    ]);
  });
});
