import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { formatCursor, parseCursor } from '../../model/cursor.js';
import { eventData, type SessionEvent } from '../../model/event.js';
import { type Json, json } from '../../model/json.js';

/** What a durable journal keeps, as bytes: keys in order, values as JSON text, and what is read back is parsed. */

/** LMDB's own limit is 1,978; names are looked up most often, and shorter ones are found sooner. */
const MAX_NAME_BYTES = 500;
/** Begins no text in UTF-8: a digest is never taken for a name. */
const DIGEST_MARK = Buffer.from([0xff]);
const TWO_32 = 2 ** 32;
/** What an event costs in the file beside its text and its key: record headers, both keys, unused room in pages. */
const EVENT_OVERHEAD = 120;

/** `[epoch, offset]` in 16 bytes, whose order is that of cursors. */
export function eventKey(epoch: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(16);
  key.writeUInt32BE(Math.floor(epoch / TWO_32), 0);
  key.writeUInt32BE(epoch % TWO_32, 4);
  key.writeUInt32BE(Math.floor(offset / TWO_32), 8);
  key.writeUInt32BE(offset % TWO_32, 12);
  return key;
}

export function epochKey(epoch: number): Buffer {
  return eventKey(epoch, 0).subarray(0, 8);
}

/** The epoch that a key of {@link epochKey} stands for; `undefined` where it is none. */
export function epochOfKey(key: Uint8Array): number | undefined {
  if (key.length !== 8) return undefined;
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return view.getUint32(0) * TWO_32 + view.getUint32(4);
}

/** The cursor that a key of {@link eventKey} stands for; `undefined` where it is none. */
export function cursorOfKey(key: Uint8Array): string | undefined {
  if (key.length !== 16) return undefined;
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const epoch = view.getUint32(0) * TWO_32 + view.getUint32(4);
  return formatCursor(epoch, view.getUint32(8) * TWO_32 + view.getUint32(12));
}

/** A text as a key: itself in UTF-8, or its digest where it is long. */
export function nameKey(text: string): Buffer {
  const key = Buffer.from(text);
  if (key.length > 0 && key.length <= MAX_NAME_BYTES) return key;
  return Buffer.concat([DIGEST_MARK, createHash('sha256').update(key).digest()]);
}

/** What an event counts for `maxBytes`: what it takes in the file, about. The same whenever it is asked. */
export function weightOf(text: string, key: string): number {
  return text.length + 2 * key.length + EVENT_OVERHEAD;
}

const cursorText = z.string().refine((text) => parseCursor(text) !== undefined, 'no cursor');

/** Where the journal stands, beside the epochs before this one. One record, part of every commit. */
const head = z.object({
  epoch: z.int().nonnegative(),
  offset: z.int().nonnegative(),
  floor: cursorText,
  dropped: z.boolean(),
  bytes: z.number().nonnegative(),
});
export type Head = Readonly<z.infer<typeof head>>;

/** What tells a journal of session-relay from another LMDB file, and which layout it has. */
export const SCHEMA = 1;
const stamp = z.object({ journal: z.literal('session-relay'), schema: z.int() });
export const STAMP = JSON.stringify({ journal: 'session-relay', schema: SCHEMA } satisfies z.infer<typeof stamp>);

const remembered = z.object({ space: z.string(), key: z.string(), value: json });
export type Remembered = Readonly<z.infer<typeof remembered>>;

export const parseHead = parserOf(head);
export const parseStamp = parserOf(stamp);
export const parseRemembered = parserOf<Remembered>(remembered);
export const parseOffset = parserOf(z.int().nonnegative());

/** Reads a value back; `undefined` where it is not what it should be. */
export type Parser<T> = (text: string) => T | undefined;

export function parserOf<T>(schema: z.ZodType<T>): Parser<T> {
  return (text) => {
    try {
      return schema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  };
}

export function memoryKey(space: string, key: string): Buffer {
  return nameKey(JSON.stringify([space, key]));
}

export function memoryText(space: string, key: string, value: Json): string {
  return JSON.stringify({ space, key, value } satisfies Remembered);
}

/**
 * The event of a cursor; `undefined` where the text is no event, or another one's. Events are parsed by their whole
 * schema where they come into the hub; a replay reads thousands, and looks at what tells damage and mix-ups.
 */
export function parseEvent(text: string, cursor: string): SessionEvent | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isEvent(value) && value.id === cursor ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEvent(value: unknown): value is SessionEvent {
  if (!isObject(value) || !('id' in value && 'key' in value && 'source' in value && 'subject' in value)) return false;
  if (!('type' in value && 'time' in value && 'data' in value)) return false;
  const { id, key, source, subject, type, time, data } = value;
  return (
    [id, key, source, subject, time].every((text) => typeof text === 'string') &&
    typeof type === 'string' &&
    Object.hasOwn(eventData, type) &&
    isObject(data)
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Something in the journal is not what it should be. */
export function damaged(path: string, place: string): SessionRelayError {
  return new SessionRelayError(
    'journal_failed',
    `the journal in ${path} is damaged: ${place}. Put a copy of the folder in its place, or move it away to start a new one`,
  );
}
