import { expect, test } from 'vitest';
import { originOf, peerAddress, targetUrl } from '../../src/transports/address.js';

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['0000:0000:0000:0000:0000:ffff:7f00:0001', '127.0.0.1'],
  ['0000:0000:0000:0000:0000:0000:0000:0001', '::1'],
  ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
  ['2001:DB8::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  ['', ''],
])('the socket address %s is counted as %s', (given, expected) => {
  expect(peerAddress(given, '192.0.2.9', false)).toBe(expected);
});

test.each([
  ['192.0.2.9', '192.0.2.9'],
  ['10.0.0.1, 192.0.2.9', '192.0.2.9'],
  ['192.0.2.9:4711', '192.0.2.9'],
  ['[2001:db8::1]:4711', '2001:db8::1'],
  ['::ffff:192.0.2.9', '192.0.2.9'],
  ['', '127.0.0.1'],
  [undefined, '127.0.0.1'],
])('a trusted proxy that says %s means %s', (forwarded, expected) => {
  expect(peerAddress('127.0.0.1', forwarded, true)).toBe(expected);
});

test('an IPv6 host stands in brackets in the URL', () => {
  expect([originOf('::1', 80), originOf('127.0.0.1', 80)]).toEqual(['http://[::1]:80', 'http://127.0.0.1:80']);
});

test.each([
  ['/metrics?a=1', 'relay.example:8080', 'http://relay.example:8080/metrics?a=1'],
  ['//x/metrics', 'relay.example', 'http://relay.example//x/metrics'],
  ['//x:y@z/metrics', 'relay.example', 'http://relay.example//x:y@z/metrics'],
  ['/\\x/metrics', 'relay.example', 'http://relay.example//x/metrics'],
  ['/', 'relay.example/metrics?', 'http://relay.example/'],
  ['http://elsewhere.example/metrics', 'relay.example', 'http://elsewhere.example/metrics'],
  ['/livez', undefined, 'http://relay/livez'],
])('the target %s at the host %s is %s', (target, host, url) => {
  expect(targetUrl(target, host).href).toBe(url);
});
