import { z } from 'zod';
import { closeCode, type Fault, faultWith, forMs, MAX_FRAME_BYTES, milliseconds, OVERSIZED_BYTES } from '../faults.js';
import type { Gateway } from './gateway.js';
import { partialStatusFrame } from './messages.js';
import type { GatewaySocket } from './socket.js';

const CUT_FRAME = '{"topic":"sts","args":{"authenticated":fal';
const DEFAULT_SOCKETS_DOWN_MS = 30_000;
const DEFAULT_UNKNOWN_MS = 30_000;

/** What can go wrong with the sockets. */
export function socketFaults(gateway: Gateway): { readonly [name: string]: Fault } {
  const { conditions, sockets } = gateway;
  const each = (act: (socket: GatewaySocket) => void): void => {
    for (const socket of [...sockets.values()]) act(socket);
  };
  const say = (text: string): void => each(({ outbound }) => outbound.send(text));
  return {
    silence: faultWith(
      'Live sockets are sent nothing any more, heartbeats and pongs included; what they ask is still carried out.',
      z.strictObject({ forMs }),
      (params) => each(({ outbound }) => outbound.silence(params.forMs)),
    ),
    drop: {
      summary: 'Live sockets end at once by a TCP reset, without a close frame.',
      run: () => each((socket) => socket.drop('fault', 'reset')),
    },
    close: faultWith(
      'Live sockets are closed with a close frame.',
      z.strictObject({ code: closeCode.default(1001), reason: z.string().max(100).default('') }),
      ({ code, reason }) => each((socket) => socket.close('fault', code, reason)),
    ),
    half_open: {
      summary: 'Live sockets are neither read nor written any more, and TCP stays up; the gateway does not notice.',
      run: () => each((socket) => socket.holdOpen()),
    },
    slow: faultWith(
      'Every frame of a socket and every answer over HTTP is sent that much later, or one of the two; 0 ends it.',
      z.strictObject({ delayMs: milliseconds, forMs, of: z.enum(['ws', 'http', 'both']).default('both') }),
      (params) => {
        conditions.delayMs = params.delayMs;
        conditions.slowOf = params.of;
        conditions.slow.on(params.delayMs === 0 ? 0 : params.forMs);
      },
    ),
    garbage: faultWith(
      'Live sockets are sent a frame that nobody can read; or the next good answer over HTTP is one.',
      z.strictObject({ text: z.string().min(1).default(CUT_FRAME), over: z.enum(['ws', 'http']).default('ws') }),
      ({ text, over }) => {
        if (over === 'ws') say(text);
        else conditions.garbage.push(text);
      },
    ),
    oversized: faultWith(
      'Live sockets are sent a frame that is larger than a client takes.',
      z.strictObject({ bytes: z.number().int().min(1).max(MAX_FRAME_BYTES).default(OVERSIZED_BYTES) }),
      ({ bytes }) => say(JSON.stringify({ topic: 'ntf', args: { text: 'x'.repeat(bytes) } })),
    ),
    unknown_value: faultWith(
      'Live sockets are sent an unknown topic, and for `forMs` statuses have fields that no page knows; or one of them.',
      z.strictObject({
        what: z.enum(['topic', 'fields']).optional(),
        forMs: milliseconds.default(DEFAULT_UNKNOWN_MS),
      }),
      (params) => {
        if (params.what !== 'fields') say(JSON.stringify({ topic: 'tides', args: { high: true } }));
        if (params.what === 'topic') return;
        conditions.unknownFields.on(params.forMs);
        if (params.forMs > 0) say(partialStatusFrame(gateway, {}));
      },
    ),
    duplicate_frame: {
      summary: 'Live sockets are sent their last frame a second time; those that had none, their next one twice.',
      run: () => each(({ outbound }) => outbound.duplicate()),
    },
    reordered_frame: {
      summary: 'The next frame on each live socket comes after the one that should follow it.',
      run: () => each(({ outbound }) => outbound.swap()),
    },
    ws_only_down: faultWith(
      'Live sockets end by a TCP reset, and for `forMs` upgrades are answered with 503; HTTP is as before.',
      z.strictObject({ forMs: milliseconds.default(DEFAULT_SOCKETS_DOWN_MS) }),
      (params) => {
        conditions.socketsDown.on(params.forMs);
        if (params.forMs > 0) each((socket) => socket.drop('fault', 'reset'));
      },
    ),
    notice: faultWith(
      'Live sockets are sent a notification (`ntf`) or a bulletin (`blt`), as an object or, as older pages have it, in a list.',
      z.strictObject({
        topic: z.enum(['ntf', 'blt']).default('blt'),
        text: z.string().min(1).default('The system will be reset tonight.'),
        asList: z.boolean().default(false),
      }),
      ({ topic, text, asList }) => {
        const said = topic === 'blt' ? { message: text } : { text, title: 'Notice', url: '' };
        const args = { id: 'SIMULATOR-1', ...said };
        say(JSON.stringify({ topic, args: asList ? [args] : args }));
      },
    ),
  };
}
