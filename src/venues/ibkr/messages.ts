import { z } from 'zod';
import { timestampOf } from '../../model/event.js';
import { parseJson } from '../../model/json.js';

/** What the Web API says, read at the border: HTTP answers and the frames of `/ws`. Nothing here throws. */

/** `brokerageSessionStatus` (IBKR Web API), and the `args` of `sts`. A field that was not said is absent. */
export interface BrokerageStatus {
  readonly authenticated?: boolean;
  readonly connected?: boolean;
  /** Fully ready; not said by older gateways. */
  readonly established?: boolean;
  readonly competing?: boolean;
  /** Of `ssodh/init` alone, and in no specification: `false` where another session is active (recorded). */
  readonly passed?: boolean;
  /** Why not; empty where all is well. */
  readonly fail?: string;
  readonly message?: string;
  readonly serverName?: string;
  readonly serverVersion?: string;
}

/** `GET /sso/validate`. */
export interface SsoAnswer {
  readonly result?: boolean;
  readonly environment?: 'live' | 'paper';
  readonly userName?: string;
  readonly authTime?: string;
  readonly expiresInMs?: number;
}

/** `POST /tickle`. `session` is a credential: it opens the socket. */
export interface TickleAnswer {
  readonly session?: string;
  readonly ssoExpiresMs?: number;
  readonly collision?: boolean;
  readonly status: BrokerageStatus;
}

/** So much of a text is kept: whatever the venue says ends up in states and events. */
const MAX_TEXT_CHARACTERS = 512;
/** So much of a page is looked at for its words. */
const MAX_PAGE_CHARACTERS = 8_192;

/** Some answers have `"false"` for `false` (seen in a client's tests). */
const flag = z
  .union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
  .optional()
  .catch(undefined);
const words = z
  .string()
  .transform((text) => text.slice(0, MAX_TEXT_CHARACTERS))
  .optional()
  .catch(undefined);
const amount = z.number().optional().catch(undefined);

const server = z.looseObject({ serverName: words, serverVersion: words }).nullish().catch(undefined);
const statusObject = z.looseObject({
  authenticated: flag,
  connected: flag,
  established: flag,
  competing: flag,
  passed: flag,
  fail: words,
  message: words,
  serverInfo: server,
  serverName: words,
  serverVersion: words,
});
const tickleObject = z.looseObject({
  session: words,
  ssoExpires: amount,
  collission: flag,
  iserver: z.looseObject({ authStatus: z.unknown().optional() }).nullish().catch(undefined),
});
const loginType = z
  .union([z.number(), z.string().transform(Number)])
  .optional()
  .catch(undefined);
const ssoObject = z.looseObject({
  RESULT: flag,
  USER_NAME: words,
  AUTH_TIME: amount,
  EXPIRES: amount,
  loginType,
  LOGIN_TYPE: loginType,
});
const messageObject = z.looseObject({ message: words });
const complaintObject = z.looseObject({ error: z.unknown().optional() });
const problemObject = z.looseObject({ detail: words, title: words });
const logoutObject = z.looseObject({ status: flag, confirmed: flag });

/** Reads a status; `undefined` where it is no object. */
export function readStatus(body: unknown): BrokerageStatus | undefined {
  const parsed = statusObject.safeParse(body);
  if (!parsed.success) return undefined;
  const { authenticated, connected, established, competing, passed, fail, message, serverInfo } = parsed.data;
  return said({
    authenticated,
    connected,
    established,
    competing,
    passed,
    fail,
    message,
    serverName: serverInfo?.serverName ?? parsed.data.serverName,
    serverVersion: serverInfo?.serverVersion ?? parsed.data.serverVersion,
  });
}

export function readTickle(body: unknown): TickleAnswer | undefined {
  const parsed = tickleObject.safeParse(body);
  if (!parsed.success) return undefined;
  const { session, ssoExpires, collission, iserver } = parsed.data;
  return {
    ...said({ session, ssoExpiresMs: ssoExpires, collision: collission }),
    status: readStatus(iserver?.authStatus) ?? {},
  };
}

/** `LOGIN_TYPE` 1 is live, 2 paper; the specification spells it `loginType`, live answers the other way. */
export function readSso(body: unknown): SsoAnswer | undefined {
  const parsed = ssoObject.safeParse(body);
  if (!parsed.success) return undefined;
  const { RESULT, USER_NAME, AUTH_TIME, EXPIRES, LOGIN_TYPE } = parsed.data;
  const type = LOGIN_TYPE ?? parsed.data.loginType;
  const environment = type === 1 ? 'live' : type === 2 ? 'paper' : undefined;
  const authTime = AUTH_TIME === undefined ? undefined : timestampOf(AUTH_TIME);
  return said({ result: RESULT, environment, userName: USER_NAME, authTime, expiresInMs: EXPIRES });
}

/** `{"status":true}` today, `{"confirmed":true}` before: either says that it is done. */
export function readLogout(body: unknown): boolean | undefined {
  const parsed = logoutObject.safeParse(body);
  return parsed.success ? (parsed.data.status ?? parsed.data.confirmed) : undefined;
}

/** `{"message":"triggered"}`: it is carried out later. */
export function readMessage(body: unknown): string | undefined {
  const parsed = messageObject.safeParse(body);
  return parsed.success ? parsed.data.message : undefined;
}

/** `{"error":"…"}`, which comes with HTTP 200 too. */
export function readComplaint(body: unknown): string | undefined {
  const parsed = complaintObject.safeParse(body);
  const error = parsed.success ? parsed.data.error : undefined;
  return typeof error === 'string' && error !== '' ? error.slice(0, MAX_TEXT_CHARACTERS) : undefined;
}

/** What an answer that is no success says: `error`, problem+json, or the words of a text or a page. */
export function readRefusal(body: unknown, text: string): string | undefined {
  const parsed = problemObject.safeParse(body);
  const problem = parsed.success ? (parsed.data.detail ?? parsed.data.title) : undefined;
  return readComplaint(body) ?? problem ?? (body === undefined && text.trim() !== '' ? withoutTags(text) : undefined);
}

function withoutTags(text: string): string {
  return text
    .slice(0, MAX_PAGE_CHARACTERS)
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

/** One frame of `/ws`. */
export type Frame =
  /** `system` with `success`: the socket is authenticated. */
  | { readonly kind: 'greeting'; readonly environment?: 'live' | 'paper' }
  /** `system` with `hb`, every 10 s (recorded). */
  | { readonly kind: 'beat'; readonly venueTime?: string }
  | { readonly kind: 'status'; readonly status: BrokerageStatus }
  /** The answer to `tic`; comes four times (recorded): `lastAccessed` tells them apart. */
  | { readonly kind: 'tic'; readonly alive?: boolean; readonly lastAccessed?: number }
  /** `ntf` and `blt`: words of the venue's to a person. */
  | { readonly kind: 'notice'; readonly topic: 'ntf' | 'blt'; readonly ids: readonly string[] }
  /** The cookie was not taken: the session is asked for as a frame. */
  | { readonly kind: 'waiting' }
  /** Known, and nothing follows from it. */
  | { readonly kind: 'passed'; readonly topic: string }
  | { readonly kind: 'unknown'; readonly topic: string }
  | { readonly kind: 'bad'; readonly why: string; readonly sample: string };

/** A longer frame is not read. */
const MAX_FRAME_CHARACTERS = 1024 * 1024;
const MAX_TOPIC_CHARACTERS = 64;
const MAX_SAMPLE_CHARACTERS = 512;

const frameObject = z.looseObject({
  topic: words,
  success: z.unknown().optional(),
  hb: z.unknown().optional(),
  isPaper: flag,
  args: z.unknown().optional(),
  message: words,
  error: words,
  alive: flag,
  lastAccessed: amount,
});
const notices = z.array(z.looseObject({ id: z.union([z.string(), z.number()]).optional().catch(undefined) }));

/** Reads one text of the socket. Never throws. */
export function readFrame(text: string): Frame {
  if (text.length > MAX_FRAME_CHARACTERS) return bad('too long', text);
  const value = parseJson(text);
  if (value === undefined) {
    return /^topic unknown/i.test(text.trim()) ? { kind: 'passed', topic: 'topic unknown' } : bad('not JSON', text);
  }
  const parsed = frameObject.safeParse(value);
  if (!parsed.success) return bad('no object', text);
  const { topic, message, error } = parsed.data;
  if (topic === undefined) {
    if (message !== undefined && /waiting for session/i.test(message)) return { kind: 'waiting' };
    // What the venue says to a session frame on a socket that is authenticated already.
    if (/topic unknown/i.test(message ?? error ?? '')) return { kind: 'passed', topic: 'topic unknown' };
    return bad('no topic', text);
  }
  return readTopic(topic, parsed.data, text);
}

function readTopic(topic: string, frame: z.output<typeof frameObject>, text: string): Frame {
  const { success, hb, isPaper, args, alive, lastAccessed } = frame;
  switch (topic) {
    case 'system': {
      if (typeof hb === 'number' && Number.isFinite(hb)) return { kind: 'beat', venueTime: timestampOf(hb) };
      if (hb !== undefined) return { kind: 'beat' };
      if (success === undefined || success === false || success === null) return { kind: 'passed', topic };
      return { kind: 'greeting', ...said({ environment: environmentOf(isPaper) }) };
    }
    case 'sts': {
      const status = readStatus(args);
      return status === undefined ? bad('sts without args', text) : { kind: 'status', status };
    }
    case 'tic':
      return { kind: 'tic', ...said({ alive, lastAccessed }) };
    case 'ntf':
    case 'blt': {
      // The specification has an object, older documentation and a client have a list.
      const read = notices.safeParse(Array.isArray(args) ? args : [args]);
      if (!read.success) return bad(`${topic} without args`, text);
      const ids = read.data.flatMap(({ id }) => (id === undefined ? [] : [String(id)]));
      return { kind: 'notice', topic, ids };
    }
    case 'act':
    case 'ech+hb':
      return { kind: 'passed', topic };
    default:
      return { kind: 'unknown', topic: topic.slice(0, MAX_TOPIC_CHARACTERS) };
  }
}

function environmentOf(isPaper: boolean | undefined): 'live' | 'paper' | undefined {
  return isPaper === undefined ? undefined : isPaper ? 'paper' : 'live';
}

function bad(why: string, sample: string): Frame {
  return { kind: 'bad', why, sample: sample.slice(0, MAX_SAMPLE_CHARACTERS) };
}

/** Without what was not said. */
export function said<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
