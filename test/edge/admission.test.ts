import { describe, expect, test } from 'vitest';
import { authorityProblem, tokenOfHeaders } from '../../src/edge/admission.js';
import { DEFAULT_LIMITS } from '../../src/edge/limits.js';

describe('the token of headers', () => {
  const encoded = Buffer.from('tökén').toString('base64url');
  test.each([
    [{ authorization: 'Bearer abc' }, 'abc'],
    [{ authorization: 'bearer  abc' }, 'abc'],
    [{ authorization: 'Basic abc' }, undefined],
    [{ 'sec-websocket-protocol': `session-relay.v1, bearer.${encoded}` }, 'tökén'],
    [{ 'sec-websocket-protocol': 'bearer.a.b.c' }, 'a.b.c'],
    [{ 'sec-websocket-protocol': 'session-relay.v1' }, undefined],
    [{ authorization: 'Bearer first', 'sec-websocket-protocol': 'bearer.a.b.c' }, 'first'],
    [{}, undefined],
  ])('%o is %s', (headers, token) => {
    expect(tokenOfHeaders(headers as Readonly<Record<string, string>>)).toBe(token);
  });
});

describe('host, origin and peer', () => {
  const limits = { ...DEFAULT_LIMITS, origins: ['https://desk.example'] };
  const problem = (headers: Readonly<Record<string, string>>, loopbackOnly = false, remoteAddress = '127.0.0.1') =>
    authorityProblem({ headers, remoteAddress }, { limits, authenticator: { loopbackOnly } });

  test.each(['localhost', 'localhost:8080', '127.0.0.1:8080', '127.9.9.9', '[::1]:8080', 'LOCALHOST:1'])(
    'without auth %s is a loopback name',
    (host) => expect(problem({ host }, true)).toBeUndefined(),
  );

  test.each(['', 'relay.example', '127.0.0.1.example', 'localhost.example:80', '[::2]', '10.0.0.1', 'a b'])(
    'without auth %s is none',
    (host) => expect(problem({ host }, true)).toContain('loopback'),
  );

  test.each(['192.0.2.1', '2001:db8::1', '', 'localhost.example'])('without auth the peer %s is refused', (peer) => {
    expect(problem({ host: 'localhost' }, true, peer)).toContain('loopback');
  });

  test.each([
    ['https://relay.example', true],
    ['http://relay.example', true],
    ['https://desk.example', true],
    ['https://relay.example.evil.example', false],
    ['https://desk.example:444', false],
    ['null', false],
    ['', false],
  ])('the origin %s of a request to relay.example: %s', (origin, allowed) => {
    expect(problem({ host: 'relay.example', origin }) === undefined).toBe(allowed);
  });
});
