import { z } from 'zod';

/** What SnapTrade says over HTTP, read field by field: what one field says wrongly leaves the others as they are. */

/** One brokerage authorization (SnapTrade docs, BrokerageAuthorization). */
export interface ConnectionRow {
  readonly id: string;
  readonly createdMs?: number;
  /** Absent where it could not be read: then nothing is said of whether it works. */
  readonly disabled?: boolean;
  readonly disabledMs?: number;
  /** `read` or `trade`; open. */
  readonly type?: string;
  /** What the customer or the venue calls it. */
  readonly name?: string;
  /** `realtime` or `delayed`; open. */
  readonly freshness?: string;
  readonly brokerage?: Brokerage;
  /** Fields that were there and could not be understood. */
  readonly doubts: readonly string[];
}

export interface Brokerage {
  /** What names the broker in events: its slug, else its name. */
  readonly slug: string;
  readonly name?: string;
  /** Why the broker itself is in trouble; absent where it is not. */
  readonly trouble?: 'maintenance' | 'degraded' | 'disabled';
}

/** One step that a person took in a connection portal (SnapTrade docs, SessionEvent). */
export interface PortalEvent {
  readonly id: string;
  /** Open: the vendor has renamed some and added others. */
  readonly step: string;
  readonly portal: string;
  readonly userId?: string;
  readonly createdMs: number;
  readonly connection?: string;
  readonly statusCode?: number;
}

const MAX_TEXT_CHARACTERS = 256;
const MAX_TIME_MS = Date.UTC(9999, 0, 1);

/** An id that may be a token of a session key beside portals and the source's own. */
export const connectionId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'a connection has an id of letters, digits, _ and -')
  .refine((id) => !id.startsWith('portal-'), 'a connection has an id that is no portal’s');

const text = z.string().min(1).max(MAX_TEXT_CHARACTERS);
const row = z.looseObject({ id: connectionId });
const word = z.string().regex(/^[A-Za-z0-9_.:-]{1,64}$/);

const TIME = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?\s?(Z|[+-]\d{2}(?::?\d{2})?)?$/;

/** Ms since the epoch, of `2022-01-21 15:11:19.217000-05:00`, RFC 3339, and either without a zone (UTC). */
export function parseVenueTime(said: string): number | undefined {
  const [, day, clock, fraction = '', zone = 'Z'] = TIME.exec(said.trim()) ?? [];
  if (day === undefined || clock === undefined) return undefined;
  const digits = zone.replace(':', '');
  const offset = zone === 'Z' ? 'Z' : `${digits.slice(0, 3)}:${digits.slice(3).padEnd(2, '0')}`;
  const ms = Date.parse(`${day}T${clock}${fraction.slice(0, 4)}${offset}`);
  return Number.isNaN(ms) || ms < 0 || ms > MAX_TIME_MS ? undefined : ms;
}

const flag = z.boolean();
const whole = z.number().int();
const someText = z.string();
const anyFields = z.looseObject({});
const time = z.string().transform((said, context) => {
  const ms = parseVenueTime(said);
  if (ms !== undefined) return ms;
  context.addIssue({ code: 'custom', message: 'a time that cannot be read' });
  return z.NEVER;
});

/** Reads a field where it is there; one that cannot be understood is noted. */
function reader(fields: { readonly [name: string]: unknown }, doubts: string[]) {
  return <T>(field: string, schema: z.ZodType<T>): T | undefined => {
    const given = fields[field];
    if (given === undefined || given === null || given === '') return undefined;
    const result = schema.safeParse(given);
    if (result.success) return result.data;
    doubts.push(field);
    return undefined;
  };
}

/** Reads one authorization; `undefined` where it has no usable id. */
export function readConnection(value: unknown): ConnectionRow | undefined {
  const parsed = row.safeParse(value);
  if (!parsed.success) return undefined;
  const doubts: string[] = [];
  const read = reader(parsed.data, doubts);
  const disabled = read('disabled', flag);
  if (disabled === undefined && !doubts.includes('disabled')) doubts.push('disabled');
  const brokerage = readBrokerage(read('brokerage', anyFields), doubts);
  return present({
    id: parsed.data.id,
    createdMs: read('created_date', time),
    disabled,
    disabledMs: read('disabled_date', time),
    type: read('type', word),
    name: read('name', text),
    freshness: read('data_freshness_mode', word),
    brokerage,
    doubts,
  });
}

function readBrokerage(
  fields: { readonly [name: string]: unknown } | undefined,
  doubts: string[],
): Brokerage | undefined {
  if (fields === undefined) return undefined;
  const own: string[] = [];
  const read = reader(fields, own);
  const name = read('name', text) ?? read('display_name', text);
  const slug = read('slug', text) ?? name;
  const maintenance = read('maintenance_mode', flag);
  const degraded = read('is_degraded', flag);
  const enabled = read('enabled', flag);
  doubts.push(...own.map((field) => `brokerage.${field}`));
  if (slug === undefined) return undefined;
  const trouble: Brokerage['trouble'] =
    maintenance === true ? 'maintenance' : degraded === true ? 'degraded' : enabled === false ? 'disabled' : undefined;
  return present({ slug, name, trouble });
}

export interface ConnectionList {
  readonly rows: readonly ConnectionRow[];
  /** Rows without a usable id: who they are nobody can say, so that nothing may be concluded from what is missing. */
  readonly unread: number;
}

/** Rows that are read in one turn of the event loop: a longer list must not hold up what else is waited for. */
const ROWS_A_TURN = 500;

/** Rows of one list beyond this are not read, and nothing is concluded from what is missing. */
export const MAX_ROWS = 20_000;

/** A list of authorizations; `undefined` where the answer is none. A long one is read over several turns. */
export async function readConnections(body: unknown): Promise<ConnectionList | undefined> {
  if (!Array.isArray(body)) return undefined;
  const rows: ConnectionRow[] = [];
  const most = Math.min(body.length, MAX_ROWS);
  for (let from = 0; from < most; from += ROWS_A_TURN) {
    if (from > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    for (const value of body.slice(from, Math.min(from + ROWS_A_TURN, most))) {
      const row = readConnection(value);
      if (row !== undefined) rows.push(row);
    }
  }
  return { rows, unread: body.length - rows.length };
}

const portalEvent = z.looseObject({
  id: z.union([word, z.number().int().transform(String)]),
  session_event_type: word,
  session_id: word,
  created_date: time,
});

/** The portal events of an answer, oldest first; `undefined` where it is no list. */
export function readPortalEvents(
  body: unknown,
): { readonly events: readonly PortalEvent[]; readonly unread: number } | undefined {
  if (!Array.isArray(body)) return undefined;
  const events = body.flatMap((value: unknown): readonly PortalEvent[] => {
    const parsed = portalEvent.safeParse(value);
    if (!parsed.success) return [];
    const { id, session_event_type: step, session_id: portal, created_date: createdMs } = parsed.data;
    const read = reader(parsed.data, []);
    return [
      present({
        id,
        step,
        portal,
        createdMs,
        userId: read('user_id', someText),
        connection: read('brokerage_authorization_id', connectionId),
        statusCode: read('brokerage_status_code', whole),
      }),
    ];
  });
  // The vendor promises no order.
  const sorted = events.toSorted((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
  return { events: sorted, unread: body.length - events.length };
}

export interface ApiError {
  readonly message: string;
  readonly code?: string;
}

const said = z
  .union([z.string().min(1), z.number()])
  .transform(String)
  .optional()
  .catch(undefined);
const apiError = z.looseObject({
  detail: said,
  default_detail: said,
  error: said,
  message: said,
  code: said,
  default_code: said,
});

/** An error in any of the venue's spellings; `undefined` where the body is none. */
export function readApiError(body: unknown): ApiError | undefined {
  const parsed = apiError.safeParse(body);
  if (!parsed.success) return undefined;
  const { detail, default_detail, error, message, code, default_code } = parsed.data;
  const words = detail ?? default_detail ?? error ?? message;
  const name = code ?? default_code;
  if (words === undefined && name === undefined) return undefined;
  return present({ message: (words ?? 'no words').slice(0, MAX_TEXT_CHARACTERS), code: name?.slice(0, 32) });
}

/** The same without fields that are `undefined`. */
export function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}

type Present<T> = {
  readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & { readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };
