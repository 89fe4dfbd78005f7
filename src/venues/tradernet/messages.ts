import { z } from 'zod';
import { timestampOf } from '../../model/event.js';
import { parseJson } from '../../model/json.js';
import { parseVenueTime, readRow, type SessionRow } from './rows.js';

/**
 * What the venue says, whatever carried it. Raw WebSocket frames are arrays `[event, data?, "wstm=<time>"?]` (recorded:
 * the third element is a server time; the documentation shows two), socket.io events have a name and arguments.
 */
export type Frame =
  /** The proof of a login on the raw WebSocket: an expired SID raises no error, the socket becomes `demo`. */
  | (Stamped & {
      readonly kind: 'userData';
      readonly mode: 'prod' | 'demo' | 'unknown';
      /** The login that the venue knows this socket by; an anonymous socket has none. */
      readonly login?: string;
    })
  /** A full list. `unread`: rows of which not even the id could be read; `proves`: an answer proves the login. */
  | (Stamped & {
      readonly kind: 'sessions';
      readonly rows: readonly SessionRow[];
      readonly unread: number;
      readonly proves: boolean;
      /** Nothing may be concluded from what is missing, though every row was read. */
      readonly partial?: boolean;
    })
  | (Stamped & { readonly kind: 'keepAlive' })
  /** The venue refuses a channel. */
  | { readonly kind: 'refused'; readonly channel: string; readonly sample: string }
  /** An `error` event: its shape is not documented. */
  | { readonly kind: 'error'; readonly sample: string }
  /** An event that is documented and not ours to translate: quotes, orders, portfolio. */
  | { readonly kind: 'passed'; readonly event: string }
  | { readonly kind: 'unknown'; readonly event: string }
  | { readonly kind: 'bad'; readonly why: string; readonly sample: string };

interface Stamped {
  /** The server's own time of the frame. */
  readonly venueTime?: string;
}

/** A longer frame is not parsed: a list of thousands of sessions is far shorter. */
export const MAX_FRAME_CHARACTERS = 1024 * 1024;
/** Rows of one list beyond this are not read, and nothing is concluded from what is missing. */
export const MAX_ROWS = 10_000;
const MAX_EVENT_CHARACTERS = 64;
const MAX_LOGIN_CHARACTERS = 512;
/** How much of what was not understood is kept; redaction cuts it further. */
const MAX_SAMPLE_CHARACTERS = 512;

const PASSED: ReadonlySet<string> = new Set(['q', 'b', 'orders', 'portfolio', 'markets']);

const rawFrame = z.tuple([z.string()], z.unknown());
const login = z.string().max(MAX_LOGIN_CHARACTERS).optional().catch(undefined);
const userData = z.looseObject({
  mode: z.unknown().optional(),
  isDemo: z.unknown().optional(),
  authLogin: login,
  login,
  clientLogin: login,
});

/** Reads one raw WebSocket text. Never throws. */
export function readText(textFrame: string): Frame {
  if (textFrame.length > MAX_FRAME_CHARACTERS) return bad('too long', textFrame);
  const value = parseJson(textFrame);
  if (value === undefined) return bad('not JSON', textFrame);
  const parsed = rawFrame.safeParse(value);
  if (!parsed.success) return bad('no array that begins with an event name', textFrame);
  const [event, data, ...meta] = parsed.data;
  return readEvent(event, data, meta);
}

/** Reads one event by its name; `meta`: what follows the data. */
export function readEvent(event: string, data: unknown, meta: readonly unknown[] = []): Frame {
  const stamp = readStamp(meta);
  switch (event) {
    case 'userData':
      return readUserData(data, stamp);
    case 'sessions':
      return readList(data, false, stamp);
    case 'keepAlive':
      return { kind: 'keepAlive', ...stamp };
    case 'error':
      return { kind: 'error', sample: sampleOfValue(data) };
    default: {
      const name = event.slice(0, MAX_EVENT_CHARACTERS);
      return PASSED.has(event) ? { kind: 'passed', event: name } : { kind: 'unknown', event: name };
    }
  }
}

/** The socket.io channel of security sessions, as subscribed and as answered (reference page). */
export const NOTIFY_CHANNEL = 'iitr_notify_sessions_json';
const NOTIFY_EVENT = `sup_${NOTIFY_CHANNEL}`;
const notifyData = z.tuple(
  [z.looseObject({ response: z.looseObject({ res: z.unknown().optional() }).nullish() })],
  z.unknown(),
);

/**
 * Reads one socket.io event: `sup_iitr_notify_sessions_json(err, data)`, its list at `data[0].response.res`, where a
 * missing or falsy list means that no session is open (reference page). Anything else as on the raw WebSocket.
 */
export function readSocketIoEvent(event: string, args: readonly unknown[]): Frame {
  if (event !== NOTIFY_EVENT) return readEvent(event, args[0], args.slice(1));
  const [failure, data] = args;
  if (isTruthy(failure)) return { kind: 'refused', channel: NOTIFY_CHANNEL, sample: sampleOfValue(failure) };
  const parsed = notifyData.safeParse(data);
  if (!parsed.success) return bad(`${event} without data[0].response`, sampleOfValue(data));
  const list = parsed.data[0].response?.res;
  return readList(isTruthy(list) ? list : [], true, {});
}

/** Reads a list of rows. Whatever is no array is no list: nothing may be concluded from it. */
export function readList(data: unknown, proves: boolean, stamp: Stamped = {}): Frame {
  if (!Array.isArray(data)) return bad('sessions without a list', sampleOfValue(data));
  const given: readonly unknown[] = data;
  const read = given.slice(0, MAX_ROWS).map(readRow);
  const rows = read.filter((one) => one !== undefined);
  return { kind: 'sessions', rows, unread: given.length - rows.length, proves, ...stamp };
}

function readUserData(data: unknown, stamp: Stamped): Frame {
  const parsed = userData.safeParse(data);
  if (!parsed.success) return bad('userData without an object', sampleOfValue(data));
  const { mode, isDemo, authLogin, login, clientLogin } = parsed.data;
  const known = [clientLogin, login, authLogin].find((one) => one !== undefined && one !== '');
  return { kind: 'userData', mode: modeOf(mode, isDemo), ...(known === undefined ? {} : { login: known }), ...stamp };
}

/** Either sign of `demo` counts; `prod` must be said, or demo denied where no mode is given. */
function modeOf(mode: unknown, isDemo: unknown): 'prod' | 'demo' | 'unknown' {
  if (mode === 'demo' || isDemo === true) return 'demo';
  if (mode === 'prod') return 'prod';
  return mode === undefined && isDemo === false ? 'prod' : 'unknown';
}

const STAMP = /^wstm=(.+)$/;

function readStamp(meta: readonly unknown[]): Stamped {
  for (const item of meta) {
    const [, said] = typeof item === 'string' ? (STAMP.exec(item) ?? []) : [];
    const ms = said === undefined ? undefined : parseVenueTime(said);
    if (ms !== undefined) return { venueTime: timestampOf(ms) };
  }
  return {};
}

/** Tradernet says "no error" by leaving it out, and by every falsy value, `"0"` among them. */
export function isTruthy(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (value === 0 || value === '' || value === '0') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function bad(why: string, sample: string): Frame {
  return { kind: 'bad', why, sample: sample.slice(0, MAX_SAMPLE_CHARACTERS) };
}

function sampleOfValue(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, MAX_SAMPLE_CHARACTERS);
  } catch {
    return typeof value;
  }
}
