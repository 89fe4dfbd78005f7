import { SessionRelayError } from '../errors.js';
import { type Cursor, parseCursor } from '../model/cursor.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import { type Grant, redactEvent, redactPulse } from '../model/grant.js';
import { addressOf } from '../model/subject.js';

/** One event on one channel as it goes out: the same object for everybody who is sent it. */
export interface Frame {
  /** The event's cursor. */
  readonly id: string;
  readonly offset: number;
  /** The event that the text names as the one before. */
  readonly previous: string;
  readonly text: string;
  /** UTF-8 bytes of `text`. */
  readonly bytes: number;
  /** These bytes, unless it is kept for replays: a socket would encode the text anew for each who is sent it. */
  readonly data: Buffer | undefined;
}

/** An event as an edge handles it: its cursor is read once, and its JSON is made once for each kind of grant. */
export interface Entry {
  readonly event: SessionEvent;
  readonly at: Cursor;
  readonly address: string;
  /** The address, cut at its dots. */
  tokens?: readonly string[];
  full?: string;
  redacted?: string;
}

/** `text`: its JSON, where that was made already. */
export function entryOf(event: SessionEvent, text?: string): Entry {
  const at = parseCursor(event.id);
  if (at === undefined) throw new SessionRelayError('internal', `an event whose id is no cursor: ${event.id}`);
  return { event, at, address: addressOf(event), ...(text === undefined ? {} : { full: text }) };
}

export function tokensOf(entry: Entry): readonly string[] {
  entry.tokens ??= entry.address.split('.');
  return entry.tokens;
}

export function jsonOf(entry: Entry, fields: Grant['fields']): string {
  entry[fields] ??= JSON.stringify(redactEvent(entry.event, fields));
  return entry[fields];
}

/** What every frame of a channel begins with, up to the value of `previous`. */
export function headOf(channel: string): string {
  return `{"jsonrpc":"2.0","method":"subscription","params":{"channel":${JSON.stringify(channel)},"previous":"`;
}

export function frameOf(head: string, previous: string, entry: Entry, fields: Grant['fields']): Frame {
  const text = `${head}${previous}","data":${jsonOf(entry, fields)}}}`;
  // Also for one alone: to ask a text that was put together for its bytes takes longer than to make them.
  const data = Buffer.from(text);
  return { id: entry.event.id, offset: entry.at.offset, previous, text, bytes: data.length, data };
}

/** The same frame with another `previous`: what is rendered for all meets what one subscriber was sent last. */
export function rechained(frame: Frame, head: string, previous: string): Frame {
  if (frame.previous === previous) return frame;
  const text = `${head}${previous}${frame.text.slice(head.length + frame.previous.length)}`;
  const bytes = frame.bytes + previous.length - frame.previous.length;
  return { ...frame, previous, text, bytes, data: undefined };
}

export function pulseFrame(channel: string, pulse: Pulse, fields: Grant['fields']): string {
  return notification('subscription', { channel, pulse: true, data: redactPulse(pulse, fields) });
}

export function notification(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}
