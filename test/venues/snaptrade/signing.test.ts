import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { Snaptrade as Sdk9 } from 'snaptrade-sdk-9';
import { Snaptrade as Sdk11, SnaptradeAuth } from 'snaptrade-sdk-11';
import { describe, expect, test } from 'vitest';
import { presign, queryOf, signRequest } from '../../../src/venues/snaptrade/signing.js';

/** Made with Python 3's `json` and `hmac` from the algorithm of SnapTrade's docs, request signatures. */
const VECTORS = [
  {
    key: 'YOUR_CONSUMER_KEY',
    path: '/api/v1/symbols',
    query: 'clientId=YOUR_CLIENT_ID&timestamp=1715123456',
    content: { substring: 'AAPL' },
    signature: 'XURYf7Z+QeT+M7Y4OPdK/NaYhDQsds4cEKunvbtu5sE=',
  },
  {
    key: 'k3y',
    path: '/api/v1/authorizations',
    query: 'clientId=CID&userId=u1&userSecret=s1&timestamp=1700000000',
    signature: 'd25hATiCiJJjJxs8qF6NMVoKC/TeaijpsBXcv2ztF/4=',
  },
  {
    key: 'k3y',
    path: '/authorizations',
    query: 'clientId=CID&userId=u1&userSecret=s1&timestamp=1700000000',
    signature: 'qFSwmhU27IRYloXcaOfIf37btdr40G9huAJuSdru1d4=',
  },
  {
    key: 'consumer_key',
    path: '/accounts',
    query: 'timestamp=1700000000',
    signature: '3VkE1AkN6sr1yxWbl8JA7v9O9MFXfMFDVgzhC9GhptU=',
  },
];

describe('a request’s signature', () => {
  test.each(VECTORS)('of $path is the one of the vendor’s algorithm', ({ key, signature, ...signable }) => {
    expect(signRequest(key, signable)).toBe(signature);
  });

  test('is over null where there is no body, or an empty one, with keys in order and no space', () => {
    const text = '{"content":null,"path":"/a","query":"b=1"}';
    expect(presign({ path: '/a', query: 'b=1' })).toBe(text);
    expect(presign({ path: '/a', query: 'b=1', content: {} })).toBe(text);
    expect(presign({ path: '/a', query: '', content: { z: [1, { y: null, b: 'ü' }], a: 1.5 } })).toBe(
      '{"content":{"a":1.5,"z":[1,{"b":"\\u00fc","y":null}]},"path":"/a","query":""}',
    );
  });

  test('is keyed with the consumer key as it is, not with what a URL would make of it', () => {
    const signable = { path: '/a', query: '' };
    expect(signRequest('kéy %', signable)).not.toBe(signRequest(encodeURI('kéy %'), signable));
  });

  test('is over a query that is built once, as a form writes it', () => {
    expect(
      queryOf([
        ['userId', 'a,b c'],
        ['x', 'é&='],
      ]),
    ).toBe('userId=a%2Cb+c&x=%C3%A9%26%3D');
  });

  test('never fails, whatever is signed', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.jsonValue(), (path, query, value) => {
        expect(signRequest('k', { path, query, content: { value: value as never } })).toMatch(/^[\w+/]{43}=$/);
      }),
    );
  });
});

interface Seen {
  readonly path: string;
  readonly query: string;
  readonly signature: string;
  readonly method: string;
}

/** A server that notes what was requested and signed, and answers with an empty list. */
async function listen(): Promise<{ readonly url: string; readonly seen: Seen[]; close(): Promise<void> }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?');
    seen.push({ path, query, signature: String(request.headers.signature), method: request.method ?? '' });
    response.writeHead(200, { 'content-type': 'application/json' }).end('[]');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const KEY = 'a-consumer-key_1';
const USER = { userId: 'user one+two@example.org', userSecret: 'secret/with=signs&more' };
const CONNECTION = 'dc90a844-367b-4120-8b56-21040bfa6525';

/** What an SDK was asked to do, in either of its versions. */
async function use(connections: Sdk9['connections']): Promise<void> {
  await connections.listBrokerageAuthorizations(USER);
  await connections.detailBrokerageAuthorization({ ...USER, authorizationId: CONNECTION });
  await connections.refreshBrokerageAuthorization({ ...USER, authorizationId: CONNECTION });
  await connections.disableBrokerageAuthorization({ ...USER, authorizationId: CONNECTION });
  await connections.removeBrokerageAuthorization({ ...USER, authorizationId: CONNECTION });
  await connections.sessionEvents({ partnerClientId: 'CID', userId: 'u1,u2', sessionId: 's1' });
}

describe('the vendor’s SDK signs what it sends as the relay does', () => {
  test.each([
    ['9.0.200, below /api/v1', '/api/v1'],
    ['11.0.3, at the root', ''],
  ])('%s', async (version, root) => {
    const { url, seen, close } = await listen();
    try {
      const basePath = `${url}${root}`;
      const sdk = version.startsWith('9')
        ? new Sdk9({ clientId: 'CID', consumerKey: KEY, basePath })
        : new Sdk11({ auth: SnaptradeAuth.commercialApiKey({ clientId: 'CID', consumerKey: KEY }), basePath } as never);
      await use(sdk.connections as unknown as Sdk9['connections']);
    } finally {
      await close();
    }
    expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `GET ${root}/authorizations`,
      `GET ${root}/authorizations/${CONNECTION}`,
      `POST ${root}/authorizations/${CONNECTION}/refresh`,
      `POST ${root}/authorizations/${CONNECTION}/disable`,
      `DELETE ${root}/authorizations/${CONNECTION}`,
      `GET ${root}/sessionEvents`,
    ]);
    for (const { path, query, signature } of seen) expect(signRequest(KEY, { path, query })).toBe(signature);
  });
});
