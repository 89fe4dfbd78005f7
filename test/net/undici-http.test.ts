import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { SessionRelayError } from '../../src/errors.js';
import type { HttpClient, HttpOptions } from '../../src/net/http.js';
import { createHttpClient } from '../../src/net/undici-http.js';
import { CERT, CERT_PATH, FINGERPRINT, KEY } from '../support/tls/localhost.js';
import { until } from '../support/virtual-clock.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

interface Request {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A venue on a real server, over TLS or not, that keeps what it was asked. */
async function venue(
  answer: RequestListener,
  { tls = false } = {},
): Promise<{ readonly url: string; readonly asked: Request[] }> {
  const asked: Request[] = [];
  const listener: RequestListener = async (request, response) => {
    let body = '';
    for await (const part of request) body += String(part);
    const { method, url, headers } = request;
    asked.push({ method, url, headers, body });
    answer(request, response);
  };
  const server = tls ? createTlsServer({ cert: CERT, key: KEY }, listener) : createServer(listener);
  closing.push(() => server.closeAllConnections());
  const port = await listen(server);
  return { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, asked };
}

function client(options: HttpOptions = {}): HttpClient {
  const made = createHttpClient(options);
  closing.push(() => made.close());
  return made;
}

const ok: RequestListener = (_request, response) => {
  response.end('ok');
};

async function failureOf(promise: Promise<unknown>): Promise<SessionRelayError> {
  const thrown = await promise.then(
    () => new Error('it resolved'),
    (caught: unknown) => caught,
  );
  if (!(thrown instanceof SessionRelayError)) throw thrown;
  return thrown;
}

describe('an answer', () => {
  test('is its status, its headers in lower case, its cookies whole, and its text', async () => {
    const there = await venue((_request, response) => {
      response.setHeader('Set-Cookie', ['SID=abc; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT', 'uid=7; HttpOnly']);
      response.setHeader('Retry-After', '7');
      response.setHeader('X-Part', ['one', 'two']);
      response.statusCode = 429;
      response.end('Ünï 😀');
    });
    const reply = await client().request({ method: 'GET', url: `${there.url}/api?x=1` });
    expect(reply).toMatchObject({
      status: 429,
      headers: { 'retry-after': '7', 'x-part': 'one, two' },
      cookies: ['SID=abc; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT', 'uid=7; HttpOnly'],
      body: 'Ünï 😀',
    });
    expect(reply.headers).not.toHaveProperty('set-cookie');
  });

  test('with one cookie, and with none, is a list all the same', async () => {
    const there = await venue((request, response) => {
      if (request.url === '/one') response.setHeader('Set-Cookie', 'SID=abc');
      response.end();
    });
    const http = client();
    expect((await http.request({ method: 'GET', url: `${there.url}/one` })).cookies).toEqual(['SID=abc']);
    expect((await http.request({ method: 'GET', url: `${there.url}/none` })).cookies).toEqual([]);
  });

  test.each([200, 204, 301, 302, 307, 308, 400, 401, 404, 500, 503])(
    'of any status resolves, and no redirect is followed: %i',
    async (status) => {
      const there = await venue((_request, response) => {
        response.writeHead(status, status >= 300 && status < 400 ? { Location: '/elsewhere' } : {}).end();
      });
      const reply = await client().request({ method: 'POST', url: `${there.url}/start`, body: 'x' });
      expect(reply.status).toBe(status);
      expect(there.asked.map(({ url }) => url)).toEqual(['/start']);
    },
  );

  test('that is larger than 8 MiB is refused', async () => {
    const there = await venue((_request, response) => {
      response.end(Buffer.alloc(8 * 1024 * 1024 + 1, 'x'));
    });
    const error = await failureOf(client().request({ method: 'GET', url: `${there.url}/big?sid=s3cr3t` }));
    expect(error.code).toBe('venue_error');
    expect(error.message).toMatch(/larger than 8388608 bytes/);
  });
});

describe('a request', () => {
  test('carries method, headers and body as they were given', async () => {
    const there = await venue(ok);
    const http = client();
    await http.request({
      method: 'POST',
      url: `${there.url}/a`,
      headers: { 'X-NtApi-Sig': 'abc', 'content-type': 'application/json' },
      body: '{"ü":1}',
    });
    await http.request({ method: 'DELETE', url: `${there.url}/b` });
    expect(there.asked).toMatchObject([
      { method: 'POST', url: '/a', headers: { 'x-ntapi-sig': 'abc', 'content-length': '8' }, body: '{"ü":1}' },
      { method: 'DELETE', url: '/b', body: '' },
    ]);
  });

  test.each(['POST', 'PUT'] as const)('of %s without a body says Content-Length: 0', async (method) => {
    const there = await venue(ok);
    await client().request({ method, url: there.url });
    expect(there.asked[0]?.headers['content-length']).toBe('0');
  });

  test('of GET says no length', async () => {
    const there = await venue(ok);
    await client().request({ method: 'GET', url: there.url });
    expect(there.asked[0]?.headers).not.toHaveProperty('content-length');
  });
});

describe('a request that fails', () => {
  test('because nothing listens is source_unavailable: it was not sent', async () => {
    const server = createTcpServer();
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    const error = await failureOf(client().request({ method: 'GET', url: `http://127.0.0.1:${port}/x?SID=s3cr3t` }));
    expect(error.code).toBe('source_unavailable');
    expect(error.message).toBe(
      `GET http://127.0.0.1:${port}/x: the venue cannot be reached: connect ECONNREFUSED 127.0.0.1:${port}`,
    );
  });

  test('because there is no such host is source_unavailable', async () => {
    const error = await failureOf(client().request({ method: 'GET', url: 'http://venue.invalid/' }));
    expect(error.code).toBe('source_unavailable');
    expect(error.message).toContain('venue.invalid');
  });

  test('because no answer came in time is venue_timeout: it may have arrived', async () => {
    const there = await venue(() => {});
    const error = await failureOf(
      client().request({ method: 'POST', url: `${there.url}/x?sig=s3cr3t`, timeoutMs: 200 }),
    );
    expect(error.code).toBe('venue_timeout');
    expect(error.message).toMatch(/whether the venue acted is unknown/);
    expect(there.asked).toHaveLength(1);
  });

  test('because the answer stopped in the middle is venue_timeout', async () => {
    const there = await venue((_request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('half');
    });
    const error = await failureOf(client({ timeoutMs: 200 }).request({ method: 'GET', url: there.url }));
    expect(error.code).toBe('venue_timeout');
  });

  test('because the connection broke after it was sent is venue_timeout', async () => {
    const there = await venue((request) => request.socket.destroy());
    const error = await failureOf(client().request({ method: 'POST', url: there.url, body: 'x' }));
    expect(error.code).toBe('venue_timeout');
    expect(there.asked).toHaveLength(1);
  });

  test('because the answer is no HTTP is venue_timeout', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('SSH-2.0-OpenSSH\r\n'));
    });
    const error = await failureOf(
      client().request({ method: 'GET', url: `http://127.0.0.1:${await listen(server)}/` }),
    );
    expect(error.code).toBe('venue_timeout');
  });

  test.each([
    '',
    'nowhere',
    'ftp://venue.example/?sid=s3cr3t',
    'http://',
    'https//venue.example/?sid=s3cr3t',
    'http://a b/?sid=s3cr3t',
  ])('because its URL is none is source_unavailable: %j', async (url) => {
    const error = await failureOf(client().request({ method: 'GET', url }));
    expect(error.code).toBe('source_unavailable');
    expect(inspect(error, { depth: 10 })).not.toContain('s3cr3t');
  });

  test('because a header cannot be sent is source_unavailable, and does not repeat its value', async () => {
    const there = await venue(ok);
    const error = await failureOf(
      client().request({ method: 'GET', url: there.url, headers: { Cookie: 'SID=s3cr3t\n' } }),
    );
    expect(error.code).toBe('source_unavailable');
    expect(inspect(error, { depth: 10 })).not.toContain('s3cr3t');
    expect(there.asked).toEqual([]);
  });

  test('in any of these ways repeats neither its query nor its user info, not even in a cause', async () => {
    const there = await venue((request) => request.socket.destroy());
    const urls = [
      `${there.url}/x?SID=s3cr3t#s3cr3t`,
      `${there.url.replace('//', '//user:s3cr3t@')}/x`,
      'http://user:s3cr3t@127.0.0.1:1/?q=s3cr3t',
    ];
    for (const url of urls) {
      const error = await failureOf(client().request({ method: 'GET', url }));
      expect(inspect(error, { depth: 10 })).not.toContain('s3cr3t');
      expect(JSON.stringify({ ...error, message: error.message, stack: error.stack })).not.toContain('s3cr3t');
    }
  });

  test('because the client is closed is `closed`; what was under way is unknown', async () => {
    const there = await venue(() => {});
    const http = client();
    const pending = failureOf(http.request({ method: 'POST', url: there.url }));
    await until(() => there.asked.length > 0, 'the request at the venue');
    await http.close();
    expect((await pending).code).toBe('venue_timeout');
    expect((await failureOf(http.request({ method: 'GET', url: there.url }))).code).toBe('closed');
  });
});

describe('TLS', () => {
  test.each([
    ['with its certificate as CA', { ca: CERT }],
    ['with the path of its certificate as CA', { ca: CERT_PATH }],
    ['with its fingerprint', { fingerprint: FINGERPRINT }],
    [
      'with its fingerprint in lower case, without colons',
      { fingerprint: FINGERPRINT.replaceAll(':', '').toLowerCase() },
    ],
    ['unverified', { insecure: true }],
  ])('to a self-signed venue works %s, on new connections and old', async (_, tls) => {
    const there = await venue(
      (_request, response) => {
        response.setHeader('Connection', there.asked.length < 2 ? 'close' : 'keep-alive');
        response.end('ok');
      },
      { tls: true },
    );
    const http = client({ tls });
    for (let times = 0; times < 4; times++) {
      expect(await http.request({ method: 'GET', url: there.url })).toMatchObject({ status: 200, body: 'ok' });
    }
  });

  test.each([
    ['without any trust in it', {}],
    [
      'with another fingerprint',
      { fingerprint: FINGERPRINT.replace(/^../, FINGERPRINT.startsWith('00') ? '01' : '00') },
    ],
  ])('to a self-signed venue is refused %s, before anything was sent', async (_, tls) => {
    const there = await venue(ok, { tls: true });
    const error = await failureOf(client({ tls }).request({ method: 'POST', url: there.url, body: 'password' }));
    expect(error.code).toBe('source_unavailable');
    expect(error.message).toMatch(/certificate/);
    expect(there.asked).toEqual([]);
  });

  test('that is pinned is demanded: a venue without it gets nothing', async () => {
    const there = await venue(ok);
    const error = await failureOf(
      client({ tls: { fingerprint: FINGERPRINT } }).request({ method: 'GET', url: there.url }),
    );
    expect(error.code).toBe('source_unavailable');
    expect(there.asked).toEqual([]);
  });

  test('is a matter of one agent: trusting a venue with one trusts it with no other', async () => {
    const there = await venue(ok, { tls: true });
    await client({ tls: { insecure: true } }).request({ method: 'GET', url: there.url });
    expect((await failureOf(client().request({ method: 'GET', url: there.url }))).code).toBe('source_unavailable');
    expect(process.env.NODE_TLS_REJECT_UNAUTHORIZED).toBeUndefined();
  });

  test('spoken to a port that does not speak it is source_unavailable', async () => {
    const there = await venue(ok);
    const error = await failureOf(client().request({ method: 'GET', url: there.url.replace('http:', 'https:') }));
    expect(error.code).toBe('source_unavailable');
  });

  test('with a CA whose file cannot be read is config_invalid, before any request', () => {
    expect(() => createHttpClient({ tls: { ca: '/nowhere/ca.pem' } })).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
});
