import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { runsOf } from './budget.js';
import { hostileText } from './hostile.js';

/** Bytes over real sockets, broken below the level of messages: the peer is answered or ended, and nobody else notices. */
afterEach(closeTestRelays);

const UPGRADE = [
  'GET /v1/ws HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '',
  '',
].join('\r\n');

/** One WebSocket frame, as wrong as its fields say. */
interface Broken {
  readonly isFinal: boolean;
  readonly reserved: number;
  readonly opcode: number;
  readonly isMasked: boolean;
  /** How the length is written; the longer forms are wrong for a short payload. */
  readonly length: 'as it is' | 'in 16 bits' | 'in 64 bits';
  readonly payload: Uint8Array;
}

function bytesOf({ isFinal, reserved, opcode, isMasked, length, payload }: Broken): Buffer {
  const size = payload.length;
  const form = length === 'in 64 bits' ? 127 : length === 'in 16 bits' || size > 125 ? 126 : size;
  const head = Buffer.from([(isFinal ? 0x80 : 0) | (reserved << 4) | opcode, (isMasked ? 0x80 : 0) | form]);
  const extra = form === 127 ? Buffer.alloc(8) : form === 126 ? Buffer.alloc(2) : Buffer.alloc(0);
  if (form === 127) extra.writeBigUInt64BE(BigInt(size));
  else if (form === 126) extra.writeUInt16BE(size);
  const key = isMasked ? randomBytes(4) : Buffer.alloc(0);
  const body = isMasked ? Buffer.from(payload.map((byte, at) => byte ^ (key[at % 4] ?? 0))) : Buffer.from(payload);
  return Buffer.concat([head, extra, key, body]);
}

const text = (value: string, changes: Partial<Broken> = {}): Broken => ({
  isFinal: true,
  reserved: 0,
  opcode: 1,
  isMasked: true,
  length: 'as it is',
  payload: Buffer.from(value),
  ...changes,
});
const LAST = '{"jsonrpc":"2.0","id":"the last","method":"ping"}';

const payload = fc.oneof(
  {
    weight: 3,
    arbitrary: hostileText([{ jsonrpc: '2.0', id: 1, method: 'ping' }]).map((value) =>
      Buffer.from(value).subarray(0, 60_000),
    ),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      Buffer.from([0x03, 0xe8]),
      Buffer.from([0x03]),
      Buffer.from([0xff, 0xff, 0xfe]),
      Buffer.from([0xc3, 0x28]),
    ),
  },
);
const broken: fc.Arbitrary<Broken> = fc.oneof(
  { weight: 2, arbitrary: payload.map((bytes) => text('', { payload: bytes })) },
  {
    weight: 3,
    arbitrary: fc.record({
      isFinal: fc.boolean(),
      reserved: fc.constantFrom(0, 0, 0, 1, 2, 4, 7),
      opcode: fc.constantFrom(0, 1, 1, 2, 3, 7, 8, 9, 10, 11, 15),
      isMasked: fc.constantFrom(true, true, true, false),
      length: fc.constantFrom('as it is', 'as it is', 'in 16 bits', 'in 64 bits'),
      payload,
    }),
  },
);

/** Sends bytes and ends its half; resolves with all that came until the other side ended too. */
function talk(url: string, bytes: Uint8Array, isEnough: (text: string) => boolean): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let heard = '';
    socket.on('data', (part: Buffer) => {
      heard += part.toString('latin1');
      if (isEnough(heard)) socket.end();
    });
    // Whoever is reset was ended.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(heard));
  });
}

const method = fc.constantFrom(
  'GET',
  'POST',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  'TRACE',
  'get',
  'G\u0000T',
  '',
  'PRI',
  'X'.repeat(300),
);
const target = fc.constantFrom(
  '/',
  '/livez',
  '/v1/sessions',
  '/v1/ws',
  '*',
  '//',
  '/%00',
  'http://evil.example/livez',
  'evil.example:443',
  '/\ud800',
  `/${'a'.repeat(9_000)}`,
  '/v1/events?since=%',
  '',
);
const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9.9', 'http/1.1', '');
const line = fc.oneof(
  fc.constantFrom(
    'Host: localhost',
    'Host: a b',
    'Host:',
    'Content-Length: 5',
    'Content-Length: -1',
    'Content-Length: 99999999999999999999',
    'Content-Length: 0x10',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity, chunked',
    'Transfer-Encoding: xchunked',
    'Connection: close',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Upgrade: h2c',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Version: 99',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Key: short',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99999',
    'Sec-WebSocket-Protocol: ,,,bearer.,session-relay.v1,session-relay.v1',
    'Expect: 100-continue',
    'Authorization: Bearer',
    `X-Long: ${'y'.repeat(10_000)}`,
    ': no name',
    'No colon',
    ' Folded: x',
    'X\u0000: y',
    'X: \u0000',
    'X: é\u0080ÿ',
  ),
  fc.string({ maxLength: 30 }),
);
const request = fc
  .tuple(
    method,
    target,
    version,
    fc.array(line, { maxLength: 8 }),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r'),
    fc.constantFrom('', 'hello', '5\r\nhello\r\n0\r\n\r\n', 'ffffffffffffffffff\r\n', '-1\r\n', '\u0000'.repeat(40)),
  )
  .map(
    ([verb, where, how, lines, end, body]) =>
      `${verb} ${where} ${how}${end}${lines.map((one) => one + end).join('')}${end}${body}`,
  );

describe.each(TRANSPORTS)('over %s', (transport) => {
  const half = runsOf('sockets', 2 * TRANSPORTS.length);

  test('broken WebSocket frames are answered or end their own connection, and the relay goes on', async () => {
    const { url, relay, connect: join, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const good = await join();
    await good.request('subscribe', { channels: ['>'] });
    await fc.assert(
      fc.asyncProperty(fc.array(broken, { minLength: 2, maxLength: 2 }), async (frames) => {
        const bytes = Buffer.concat([Buffer.from(UPGRADE), ...[...frames, text(LAST)].map(bytesOf)]);
        // Where a message was left open the last request is part of it: then the end of ours ends it.
        const heard = await talk(
          url,
          bytes,
          (all) => all.includes('the last') || all.includes('"error"') || all.includes('welcome'),
        );
        if (!heard.startsWith('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${heard.slice(0, 200)}`);
        venue.update('bot');
      }),
      half,
    );
    expect(await good.request('ping', 7)).toBe(7);
    expect(good.losses).toEqual([]);
    await good.close();
    await nobodyIsLeft(relay.url);
  });

  test('broken HTTP is refused or ends its own connection, and the relay goes on', async () => {
    const { url, connect: join } = await startTestRelay(transport);
    const good = await join();
    await fc.assert(
      fc.asyncProperty(request, async (bytes) => {
        const { hostname, port } = new URL(url);
        const heard = await new Promise<string>((resolve) => {
          const socket = connect(Number(port), hostname, () => socket.end(Buffer.from(bytes, 'latin1')));
          let all = '';
          socket.on('data', (part: Buffer) => {
            all += part.toString('latin1');
          });
          socket.on('error', () => undefined);
          socket.on('close', () => resolve(all));
        });
        if (heard !== '' && !/^HTTP\/1\.[01] [1-5]\d\d /.test(heard))
          throw new Error(`no HTTP: ${heard.slice(0, 200)}`);
        if (/^HTTP\/1\.[01] 500 /.test(heard)) throw new Error(heard.slice(0, 300));
      }),
      half,
    );
    expect(await good.request('ping', 7)).toBe(7);
    await good.close();
    await nobodyIsLeft(url);
  });
});

async function nobodyIsLeft(url: string): Promise<void> {
  let left: unknown;
  for (let tries = 0; tries < 500; tries++) {
    const body = (await (await fetch(`${url}/readyz`)).json()) as {
      readonly connections: number;
      readonly groups: number;
    };
    left = { connections: body.connections, groups: body.groups };
    if (body.connections === 0 && body.groups === 0) return;
  }
  throw new Error(`still there: ${JSON.stringify(left)}`);
}
