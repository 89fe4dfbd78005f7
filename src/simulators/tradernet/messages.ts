import type { Json, JsonObject } from '../../model/json.js';
import type { Random } from '../../net/clock.js';

/** What the venue says on a socket, before one of its two protocols words it. */
export type Message =
  /** `plain`: without the server's time, as the vendor's pages show frames; recorded ones have it. */
  | { readonly kind: 'event'; readonly name: string; readonly data?: Json; readonly plain?: boolean }
  | { readonly kind: 'list'; readonly rows: readonly JsonObject[] }
  /** `channel`: of socket.io, where it is not the one of security sessions. */
  | { readonly kind: 'refusal'; readonly body: JsonObject; readonly channel?: string }
  | { readonly kind: 'garbage'; readonly text: string };

/** `at`: when the venue said it, in ms of its wall clock, however late it arrives. */
export type Said = Message & { readonly at: number };

/** The socket.io channel of security sessions (reference page, getSecuritySessions). */
export const NOTIFY_CHANNEL = 'iitr_notify_sessions_json';

/** A frame of the raw WebSocket: `[event, data?, "wstm=<time>"?]`. */
export function rawFrame(said: Said, plainFrames: boolean): string {
  switch (said.kind) {
    case 'garbage':
      return said.text;
    case 'list':
      return frame('sessions', said.rows, said.at, plainFrames);
    case 'refusal':
      return frame('error', said.body, said.at, plainFrames);
    case 'event':
      return frame(said.name, said.data, said.at, plainFrames || said.plain === true);
  }
}

function frame(name: string, data: Json | undefined, at: number, plain: boolean): string {
  if (plain) return JSON.stringify(data === undefined ? [name] : [name, data]);
  return JSON.stringify([name, data ?? null, `wstm=${new Date(at).toISOString()}`]);
}

/** A socket.io event: its name and its arguments. The list comes as `(err, [{response: {res}}])`. */
export function socketIoEvent(said: Exclude<Said, { kind: 'garbage' }>, random: Random): readonly [string, ...Json[]] {
  switch (said.kind) {
    case 'list':
      return [notifyEvent(NOTIFY_CHANNEL), null, [{ response: response(said.rows, random) }]];
    case 'refusal':
      return [notifyEvent(said.channel ?? NOTIFY_CHANNEL), said.body, null];
    case 'event':
      return said.data === undefined ? [said.name] : [said.name, said.data];
  }
}

function notifyEvent(channel: string): string {
  return `sup_${channel}`;
}

/** Without sessions `res` is missing or falsy (reference page); which of them is drawn. */
function response(rows: readonly JsonObject[], random: Random): JsonObject {
  if (rows.length > 0) return { res: rows };
  const ways: readonly JsonObject[] = [{}, { res: null }, { res: false }];
  return ways[Math.floor(random() * ways.length)] ?? {};
}

/** Recorded on an anonymous socket; the login fields and `isDemo` are the documentation's. */
const ENVIRONMENT = { marketDataDelay: false, connections: {}, version: '4.4.0.prod' } as const;

export function userData(login: string | undefined, extra: JsonObject = {}): Message {
  const data =
    login === undefined
      ? { isDemo: true, mode: 'demo', ...ENVIRONMENT }
      : { isDemo: false, mode: 'prod', authLogin: login, login, clientLogin: login, ...ENVIRONMENT };
  return { kind: 'event', name: 'userData', data: { ...data, ...extra } };
}

/** Recorded. */
export const KEEP_ALIVE: Message = { kind: 'event', name: 'keepAlive', data: [] };
