import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { connectWs } from '../../src/net/ws-socket.js';
import type { CarrierEnd } from '../../src/venues/tradernet/carriers/carrier.js';
import { openSocketIo2 } from '../../src/venues/tradernet/carriers/socketio2.js';
import { openSocketIo4 } from '../../src/venues/tradernet/carriers/socketio4.js';
import { openWebSocket } from '../../src/venues/tradernet/carriers/websocket.js';
import type { Frame } from '../../src/venues/tradernet/messages.js';
import { PROD, row } from '../venues/tradernet/source.js';
import { runsOf } from './budget.js';
import { hostileText } from './hostile.js';

/**
 * Tradernet's three carriers against a server that breaks their protocols: what comes out is frames and one end. The
 * socket.io clients run their own parsers on it, and throw from inside their own listeners.
 */
const list = hostileText([[row(1), row(2)], [{ response: { res: [row(3)] } }], PROD, { a: 1 }]);
/** Packets of engine.io and socket.io, right but for what they carry, and wrong. */
const packet: fc.Arbitrary<string | Buffer> = fc.oneof(
  {
    weight: 3,
    arbitrary: hostileText([['sup_iitr_notify_sessions_json', null, [{ response: { res: [row(1)] } }]]]).map(
      (text) => `42${text}`,
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(
          '0',
          '1',
          '2',
          '3',
          '4',
          '5',
          '6',
          '40',
          '41',
          '43',
          '44',
          '45',
          '46',
          '49',
          '4',
          '42/other,',
          '427',
          '451-',
          '459999999999-',
          '45-1-',
          'b4',
          '\u001e',
        ),
        list,
      )
      .map(([head, body]) => head + body),
  },
  { weight: 1, arbitrary: list },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '451-["sessions",{"_placeholder":true,"num":0}]',
      '451-["x",{"_placeholder":true,"num":-1}]',
      '42["error",{"a":1}]',
      '42["disconnect"]',
      '42["connect"]',
      '42["__proto__",1]',
      '42[1]',
      '42',
      '',
    ),
  },
);

let server: WebSocketServer;
let port: number;
/** What the next connection is sent. */
let script: readonly (string | Buffer)[] = [];
beforeAll(async () => {
  const http = createServer();
  server = new WebSocketServer({ server: http });
  server.on('connection', (socket, request) => {
    const generation = /EIO=(\d)/.exec(request.url ?? '')?.[1];
    if (generation === undefined) return play(socket);
    socket.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    if (generation === '3') socket.send('40');
    let begun = generation === '3';
    if (begun) play(socket);
    socket.on('message', (bytes) => {
      if (begun || !String(bytes).startsWith('40')) return;
      begun = true;
      socket.send('40{"sid":"b"}');
      play(socket);
    });
    return undefined;
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  port = (http.address() as AddressInfo).port;
});
afterAll(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
  server.options.server?.close();
});

function play(socket: WebSocket): void {
  for (const one of script) socket.send(one);
  socket.close(1000);
}

const PACKETS = 5;
const KINDS = new Set<Frame['kind']>([
  'userData',
  'sessions',
  'keepAlive',
  'refused',
  'error',
  'passed',
  'unknown',
  'bad',
]);

describe.each([
  ['websocket', openWebSocket],
  ['socketio2', openSocketIo2],
  ['socketio4', openSocketIo4],
] as const)('%s', (_name, open) => {
  test('whatever the server sends comes out as frames, and one end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(packet, { minLength: PACKETS, maxLength: PACKETS, size: 'max' }), async (packets) => {
        script = packets;
        const frames: Frame[] = [];
        const ends: CarrierEnd[] = [];
        await new Promise<void>((resolve) => {
          open(
            connectWs,
            { url: `ws://127.0.0.1:${port}/`, headers: {}, user: 'desk' },
            {
              opened() {},
              frame: (frame) => void frames.push(frame),
              alive() {},
              ended(end) {
                ends.push(end);
                setImmediate(resolve);
              },
            },
          );
        });
        expect(ends).toHaveLength(1);
        for (const { kind } of frames) if (!KINDS.has(kind)) throw new Error(`a frame of kind ${kind}`);
        for (const frame of frames)
          if ('sample' in frame && frame.sample.length > 512) throw new Error(`a sample of ${frame.sample.length}`);
      }),
      {
        ...runsOf('carriers', 3 * PACKETS),
        // A second handshake that cannot be read, or an event without a name, ended the process.
        examples: [
          [['0', '42["sessions",[]]']],
          [['0{"sid":"x"}']],
          [['0null']],
          [['42']],
          [['44']],
          [['42 ']],
          [['42/,7']],
          [['451-', Buffer.from('a')]],
        ],
      },
    );
  });
});
