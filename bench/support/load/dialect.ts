import { headOf } from '../../../src/edge/frames.js';
import type { Framing } from './framing.js';

/** What a contestant's subscribers speak. */
export const DIALECTS = ['relay', 'plain', 'socket.io', 'nats', 'mqtt'] as const;

/** One subscriber's side of a protocol, over bytes. */
export interface Dialect {
  readonly framing: Framing;
  /** The first bytes that are sent; empty where the server speaks first. */
  readonly hello: Buffer;
  /** The server's answer to `hello` is HTTP, and frames begin behind its blank line. */
  readonly upgrades: boolean;
  /** It is told events as soon as the upgrade is answered, and asks for nothing. */
  readonly isOpenSubscribed: boolean;
  /** Where the relay's text begins within a frame that carries an event, or -1: then it is something else. */
  eventAt(bytes: Buffer, at: number, size: number): number;
  /** Bytes behind the relay's text. */
  readonly tailBytes: number;
  /** Any other frame. It may answer, and says what it means. */
  other(bytes: Buffer, at: number, size: number, send: (bytes: Buffer) => void): Meaning;
}

/**
 * `connected`: the server has greeted it. `subscribed`: events may come; `cursor` is where its chain begins, where that is said. `caught_up`: a replay ended.
 * `lag`: the server says that this subscriber fell behind.
 */
export type Meaning =
  | { readonly what: 'nothing' | 'closed' | 'lag' | 'connected' }
  | { readonly what: 'subscribed' | 'caught_up'; readonly cursor?: string }
  | { readonly what: 'fault'; readonly why: string };

export const NOTHING: Meaning = { what: 'nothing' };

/** Bytes before the value of `previous`. */
export function headBytesOf(channel: string): number {
  return Buffer.byteLength(headOf(channel));
}

/** A request to upgrade, as a client without any library makes it. */
export function upgradeRequest(path: string, port: number, headers: Readonly<Record<string, string>> = {}): Buffer {
  const all = {
    host: `127.0.0.1:${port}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
}
