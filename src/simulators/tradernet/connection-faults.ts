import { z } from 'zod';
import { closeCode, type Fault, faultWith, forMs, MAX_FRAME_BYTES, milliseconds, OVERSIZED_BYTES } from '../faults.js';
import type { Broker } from './broker.js';
import type { Peer } from './peer.js';
import { ownUserData } from './peer.js';

const CUT_FRAME = '["sessions",[{"id":7165011,"owner_login":"desk@exam';
/** In no list of the vendor's. */
const UNKNOWN_SAFETY_TYPE = 99;
const UNKNOWN_LIFE_MS = 600_000;

/** What can go wrong with the connections themselves. */
export function connectionFaults(broker: Broker): { readonly [name: string]: Fault } {
  const { conditions, peers, sessions } = broker;
  const each = (act: (peer: Peer) => void): void => {
    for (const peer of [...peers.values()]) act(peer);
  };
  const unknown: { readonly [what: string]: () => void } = {
    event: () =>
      each((peer) => {
        peer.say({ kind: 'event', name: 'tides', plain: true });
        peer.say({ kind: 'event', name: 'tides', data: { high: true }, plain: true });
        peer.say({ kind: 'event', name: 'tides', data: { high: true } });
      }),
    safety_type: () => void sessions.open({ safetyTypeId: UNKNOWN_SAFETY_TYPE, lifeMs: UNKNOWN_LIFE_MS }),
    fields: () => {
      const extra = { mood: 'odd', marks: { of: ['a', 'later', 'version'] } };
      each((peer) => {
        if (peer.carrier === 'websocket' && peer.mode === 'prod') peer.say(ownUserData(extra));
        peer.tellList(extra);
      });
    },
  };
  return {
    silence: faultWith(
      'Live sockets are sent nothing any more, pongs included; what they ask is still carried out.',
      z.strictObject({ forMs }),
      (params) => each(({ outbound }) => outbound.silence(params.forMs)),
    ),
    drop: {
      summary: 'Live sockets end at once by a TCP reset, without a close frame.',
      run: () => each((peer) => peer.drop('fault', 'reset')),
    },
    close: faultWith(
      'Live sockets are closed with a close frame; over socket.io, which knows no codes, the server disconnects.',
      z.strictObject({ code: closeCode.default(1001), reason: z.string().max(100).default('') }),
      (params) => each((peer) => peer.close(params.code, params.reason)),
    ),
    half_open: {
      summary: 'Live sockets are neither read nor written any more, and TCP stays up; the venue does not notice.',
      run: () => each((peer) => peer.holdOpen()),
    },
    slow: faultWith(
      'Every frame of a socket is sent that much later; 0 ends it. HTTP is as fast as before.',
      z.strictObject({ delayMs: milliseconds, forMs }),
      (params) => {
        conditions.delayMs = params.delayMs;
        conditions.slow.on(params.delayMs === 0 ? 0 : params.forMs);
      },
    ),
    garbage: faultWith(
      'Live sockets are sent a frame that nobody can read.',
      z.strictObject({ text: z.string().min(1).default(CUT_FRAME) }),
      ({ text }) => each((peer) => peer.say({ kind: 'garbage', text })),
    ),
    oversized: faultWith(
      'Live sockets are sent a frame that is larger than a client takes.',
      z.strictObject({ bytes: z.number().int().min(1).max(MAX_FRAME_BYTES).default(OVERSIZED_BYTES) }),
      ({ bytes }) => {
        const data = { padding: 'x'.repeat(bytes) };
        each((peer) => peer.say({ kind: 'event', name: 'news', data }));
      },
    ),
    unknown_value: faultWith(
      'Live sockets are sent an unknown event in frames of one, two and three elements, a session of an unknown safety type, and fields that no page knows; or one of them.',
      z.strictObject({ what: z.enum(['event', 'safety_type', 'fields']).optional() }),
      ({ what }) => {
        for (const [name, send] of Object.entries(unknown)) if (what === undefined || what === name) send();
      },
    ),
    demo_user_data: {
      summary: 'Live raw sockets are told that they are demo ones, although the SID lives; socket.io has no userData.',
      run: () => each((peer) => peer.sayDemo()),
    },
    duplicate_frame: {
      summary: 'Live sockets are sent their last frame a second time; those that had none, their next one twice.',
      run: () => each(({ outbound }) => outbound.duplicate()),
    },
    reordered_reply: faultWith(
      'The next list on each live socket is followed by the one before it, with its older time; with `what: user_data` the next raw socket gets a list before its userData.',
      z.strictObject({ what: z.enum(['list', 'user_data']).default('list') }),
      ({ what }) => {
        if (what === 'user_data') conditions.listFirst = true;
        else each((peer) => peer.reorder());
      },
    ),
    plain_frames: faultWith(
      'Frames come without the time of the server, as the documentation shows them; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.plainFrames.on(params.forMs),
    ),
    sessions_command: faultWith(
      'Which word asks for the list on the raw WebSocket; the other is passed over without an answer.',
      z.strictObject({ accepts: z.enum(['sessions', 'session', 'both']) }),
      ({ accepts }) => {
        conditions.sessionsWord = accepts;
      },
    ),
  };
}
