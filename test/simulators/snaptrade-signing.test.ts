import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.js';
import { dumps, pythonFloat } from '../../src/simulators/snaptrade/python-json.js';
import { isSigned, webhookSignature } from '../../src/simulators/snaptrade/signing.js';

/** The vectors were computed with the vendor's documented algorithm, in Python 3. */
describe('a request is signed over its path and query as they came', () => {
  const query = 'clientId=CID&userId=u1&userSecret=s1&timestamp=1700000000';
  test.each([
    [
      'YOUR_CONSUMER_KEY',
      '/api/v1/symbols',
      'clientId=YOUR_CLIENT_ID&timestamp=1715123456',
      { substring: 'AAPL' },
      'XURYf7Z+QeT+M7Y4OPdK/NaYhDQsds4cEKunvbtu5sE=',
    ],
    ['k3y', '/api/v1/authorizations', query, null, 'd25hATiCiJJjJxs8qF6NMVoKC/TeaijpsBXcv2ztF/4='],
    ['k3y', '/authorizations', query, null, 'qFSwmhU27IRYloXcaOfIf37btdr40G9huAJuSdru1d4='],
    ['consumer_key', '/accounts', 'timestamp=1700000000', null, '3VkE1AkN6sr1yxWbl8JA7v9O9MFXfMFDVgzhC9GhptU='],
  ])('%s %s', (key, path, given, content, signature) => {
    expect(isSigned(key, { path, query: given, content }, signature)).toBe(true);
    expect(isSigned(`${key}!`, { path, query: given, content }, signature)).toBe(false);
    expect(isSigned(key, { path: `${path}/`, query: given, content }, signature)).toBe(false);
    expect(isSigned(key, { path, query: `${given}&`, content }, signature)).toBe(false);
    expect(isSigned(key, { path, query: given, content: {} }, signature)).toBe(false);
  });

  test('a body beyond ASCII is taken in either of the forms that the vendor SDKs have', () => {
    const signed = { path: '/p', query: '', content: { name: 'Börse' } };
    expect(isSigned('k3y', signed, 'XAmW+V32upMsnYcLu1QF6opF0YHeDcA1QIWjdLgfU7Q=')).toBe(true);
    expect(isSigned('k3y', signed, 'fHwPspHdorS3mYDItNomvR2RdaVcsa/eVHdcOAyzx84=')).toBe(true);
  });
});

describe('a webhook is signed as Python writes its payload', () => {
  const broken = {
    webhookId: '434d23af-5f89-44f8-9415-5029557e64c7',
    clientId: 'yLNANjmwau',
    eventTimestamp: '2022-05-31T11:37:50.590720+00:00',
    userId: 'DbjLqtPsj6G1MlDLtZaps4YhtckD0jWOuLQjl6GPW4FmpUa8eo',
    eventType: 'CONNECTION_BROKEN',
    webhookSecret: 'SCNsZYmJcuXRiznplDdL',
    brokerageAuthorizationId: 'dc90a844-367b-4120-8b56-21040bfa6525',
  };

  test("the sample of the vendor's docs", () => {
    expect(webhookSignature('k3y', broken)).toBe('PMMU2psxJaJKaXCbv/EwRIt4s+rQ7flViugUXqnScl4=');
  });

  test('the same with what JavaScript would write otherwise', () => {
    const traps = { total_value: pythonFloat(1), n: 1e21, emoji: '😀', z: null };
    expect(webhookSignature('k3y', { ...broken, userId: 'Ünï-ß', details: traps })).toBe(
      'FAjfEl+4Xc4A2S/RSAR3Dbrdr0sYImhGBM7E7rQrhVc=',
    );
  });

  test('keys by code point at every depth, controls, DEL and line separators', () => {
    const payload = {
      'a\uffff': 1,
      'a\u{1f600}': 2,
      'a\x7f\t"\\/': '\u2028\u0000é',
      n: [pythonFloat(1), 1e21, 1e-7, pythonFloat(-0), 12],
      N: { z: true, b: null },
    };
    expect(webhookSignature('k3y', payload)).toBe('F/z9sG1oK8vNle4FVRgYstxgz1CTkf7W2urlkZCsYhw=');
    expect(dumps(payload)).toBe(
      String.raw`{"a\uffff": 1, "a\ud83d\ude00": 2, "a\u007f\t\"\\/": "\u2028\u0000\u00e9", "n": [1.0, 1e+21, 1e-07, -0.0, 12], "N": {"z": true, "b": null}}`,
    );
  });
});

describe('a float is written as Python writes it', () => {
  test.each([
    [1, '1.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [0.1, '0.1'],
    [5.276, '5.276'],
    [1e16, '1e+16'],
    [9999999999999998, '9999999999999998.0'],
    [1e15, '1000000000000000.0'],
    [123456789012345680000, '1.2345678901234568e+20'],
    [1e21, '1e+21'],
    [1e22, '1e+22'],
    [1e-4, '0.0001'],
    [1e-5, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [1e-10, '1e-10'],
    [5e-324, '5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [100, '100.0'],
    [12345.678, '12345.678'],
    [-2.5, '-2.5'],
    [0.00012345, '0.00012345'],
  ])('%d is %s', (value, expected) => {
    expect(dumps(pythonFloat(value))).toBe(expected);
  });

  test('and so is what JavaScript holds as an integer and cannot count to', () => {
    expect(dumps([1, -0, 2 ** 53 - 1, 1e16, 1e21])).toBe('[1, 0, 9007199254740991, 1e+16, 1e+21]');
  });

  test('whatever the float, it reads back as itself', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(dumps(pythonFloat(value)))).toBe(value);
      }),
    );
  });
});

test('whatever is written, it is ASCII and reads back as it was, in each form', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), fc.boolean(), fc.boolean(), (value, sortKeys, compact) => {
      const text = dumps(value as Json, { sortKeys, compact });
      expect(text).toMatch(/^[\x20-\x7e]*$/);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});
