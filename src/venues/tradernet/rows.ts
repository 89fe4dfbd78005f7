import { z } from 'zod';
import type { Json } from '../../model/json.js';

/**
 * One row of a list of security sessions (Tradernet docs, getSecuritySessions), read field by field: what one field
 * says wrongly leaves the others as they are.
 */
export interface SessionRow {
  readonly id: string;
  /** When it was opened: RFC 3339 where it can be read, else the venue's own words; names this life of the id. */
  readonly start?: string;
  /** Ms since the epoch. */
  readonly startMs?: number;
  readonly expiresMs?: number;
  /** `expire`: seconds that are left, whatever the documentation says (86004 on a session of 24 h). */
  readonly leftSeconds?: number;
  readonly attributes: RowAttributes;
  /** Fields that were there and could not be understood. */
  readonly doubts: readonly RowDoubt[];
}

/** What a row says beside its times; the personal ones have names that a redacted grant does not see. */
export type RowAttributes = { readonly [name: string]: Json };

export interface RowDoubt {
  readonly what: 'bad_frame' | 'unknown_value';
  readonly field: string;
  readonly value: string;
}

/** Names of `safety_type_id` (Tradernet docs, safety types). Open: 1 and 10 are not documented, and more may come. */
export const SAFETY_TYPES: Readonly<Record<number, string>> = {
  0: 'no_key',
  2: 'token',
  3: 'sms',
  4: 'login_password',
  5: 'email',
  6: 'voice',
  7: 'web_token',
  8: 'eds',
  9: 'quik',
  11: 'order_registry_request',
  12: 'netinvestor_eds',
  13: 'paper',
  14: 'api_key',
  15: 'submitted_instructions',
  16: 'fix',
  17: 'qr',
  18: 'multi_token',
  19: 'face_liveness',
};

/** Tokens of a session key that no row may take. */
const RESERVED_IDS: ReadonlySet<string> = new Set(['login', '-']);
const MAX_TEXT_CHARACTERS = 512;

const identifier = z
  .union([z.number().int().nonnegative(), z.string().min(1).max(64)])
  .transform(String)
  .refine((id) => !RESERVED_IDS.has(id));
const row = z.looseObject({ id: identifier });
const text = z.string().max(MAX_TEXT_CHARACTERS);
const whole = z.union([
  z.number().int(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
]);
const seconds = z.union([
  z.number(),
  z
    .string()
    .regex(/^-?\d{1,15}(\.\d+)?$/)
    .transform(Number),
]);

/** Texts of a row that become attributes. All personal: `key_current` is a label or a key, the venue does not say. */
const TEXTS = [
  ['owner_login', 'ownerLogin'],
  ['user_login', 'userLogin'],
  ['key_current', 'keyCurrent'],
  ['ip', 'ip'],
  ['ip_client', 'ipClient'],
] as const;

/** Reads one row; `undefined` where it has no usable id, so that nobody can say which session it speaks of. */
export function readRow(value: unknown): SessionRow | undefined {
  const parsed = row.safeParse(value);
  if (!parsed.success) return undefined;
  const fields = parsed.data;
  const doubts: RowDoubt[] = [];
  const read = <T>(field: string, schema: z.ZodType<T>): T | undefined => {
    const given = fields[field];
    if (given === undefined || given === null) return undefined;
    const result = schema.safeParse(given);
    if (result.success) return result.data;
    doubts.push({ what: 'bad_frame', field, value: typeof given });
    return undefined;
  };
  const readTime = (field: string): { readonly text: string; readonly ms?: number } | undefined => {
    const said = read(field, text);
    if (said === undefined || said === '') return undefined;
    const ms = parseVenueTime(said);
    if (ms === undefined) doubts.push({ what: 'unknown_value', field, value: said });
    return ms === undefined ? { text: said } : { text: said, ms };
  };

  const start = readTime('start_datetime');
  const end = readTime('expire_datetime');
  const left = read('expire', seconds);
  const type = read('safety_type_id', whole);
  const attributes: { [name: string]: Json } = {};
  if (type !== undefined) {
    const name = SAFETY_TYPES[type];
    attributes.safetyTypeId = type;
    attributes.safetyType = name ?? 'unknown';
    if (name === undefined) doubts.push({ what: 'unknown_value', field: 'safety_type_id', value: String(type) });
  }
  if (start?.ms !== undefined) attributes.startedAt = new Date(start.ms).toISOString();
  for (const [field, name] of TEXTS) {
    const said = read(field, text);
    if (said !== undefined && said !== '') attributes[name] = said;
  }
  return {
    id: fields.id,
    attributes,
    doubts,
    ...(start === undefined ? {} : { start: start.ms === undefined ? start.text : new Date(start.ms).toISOString() }),
    ...(start?.ms === undefined ? {} : { startMs: start.ms }),
    ...(end?.ms === undefined ? {} : { expiresMs: end.ms }),
    ...(left === undefined ? {} : { leftSeconds: left }),
  };
}

const TIME = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?$/;

/** Ms since the epoch. The venue's times are UTC and carry no zone (`2016-06-14T13:14:13.187`); one that is given counts. */
export function parseVenueTime(said: string): number | undefined {
  const [, day, clock, fraction = '', zone = 'Z'] = TIME.exec(said.trim()) ?? [];
  if (day === undefined || clock === undefined) return undefined;
  const offset = /^[+-]\d{4}$/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
  const ms = Date.parse(`${day}T${clock}${fraction.slice(0, 4)}${offset}`);
  // Years that a timestamp of four digits cannot say are no times of a session.
  return Number.isNaN(ms) || ms < 0 || ms > MAX_TIME_MS ? undefined : ms;
}

const MAX_TIME_MS = Date.UTC(9999, 0, 1);
