import { z } from 'zod';
import { type EventData, type ProtectionScope, protectionScope, timestampOf } from '../../model/event.js';
import { isJsonObject, type Json } from '../../model/json.js';

/**
 * What Deribit sends, parsed at the border. Fields that are not named here are passed over. Where the documentation
 * and recorded frames differ, both shapes are taken.
 */

/** Methods that the feed itself uses. */
export const METHOD = {
  hello: 'public/hello',
  test: 'public/test',
  auth: 'public/auth',
  status: 'public/status',
  setHeartbeat: 'public/set_heartbeat',
  disableHeartbeat: 'public/disable_heartbeat',
  subscribePublic: 'public/subscribe',
  subscribePrivate: 'private/subscribe',
  userLocks: 'private/get_user_locks',
  enableProtection: 'private/enable_cancel_on_disconnect',
  disableProtection: 'private/disable_cancel_on_disconnect',
  readProtection: 'private/get_cancel_on_disconnect',
  logout: 'private/logout',
} as const;

export const CHANNEL = {
  platformState: 'platform_state',
  publicMethods: 'platform_state.public_methods_state',
  accessLog: 'user.access_log',
  userLock: 'user.lock',
} as const;

export const PUBLIC_CHANNELS: readonly string[] = [CHANNEL.platformState, CHANNEL.publicMethods];
export const PRIVATE_CHANNELS: readonly string[] = [CHANNEL.accessLog, CHANNEL.userLock];

/** Granted scopes as one text; recorded ones have some 200. */
const MAX_SCOPE_CHARACTERS = 4_096;

/** The reply of public/auth (Deribit docs; `sid` comes with named sessions only). */
const authReply = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1),
  expires_in: z.number().positive(),
  scope: z.string().max(MAX_SCOPE_CHARACTERS),
  sid: z.string().min(1).optional().catch(undefined),
});

export interface Token {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** As stated by the venue at the reply: a year in recorded frames, minutes elsewhere. */
  readonly expiresInMs: number;
  /** Granted scopes: a set, told in no stable order. */
  readonly scopes: ReadonlySet<string>;
  readonly sid?: string;
}

/** `undefined` where the reply is not one. */
export function parseToken(result: Json): Token | undefined {
  const parsed = authReply.safeParse(result);
  if (!parsed.success) return undefined;
  const { access_token, refresh_token, expires_in, scope, sid } = parsed.data;
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    expiresInMs: expires_in * 1_000,
    scopes: new Set(scope.split(/\s+/).filter((word) => word !== '')),
    ...(sid === undefined ? {} : { sid }),
  };
}

const protectionReply = z.object({ scope: protectionScope, enabled: z.boolean() });

/** What get_cancel_on_disconnect says of one scope; `undefined` where it is not about that scope. */
export function parseProtection(result: Json, scope: ProtectionScope): boolean | undefined {
  const parsed = protectionReply.safeParse(result);
  return parsed.success && parsed.data.scope === scope ? parsed.data.enabled : undefined;
}

/** Booleans that the documentation shows as booleans in one place and as texts in another. */
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
/** Names of indices and currencies have a few letters; a longer one is none. */
const MAX_NAME_CHARACTERS = 64;
const name = z.string().min(1).max(MAX_NAME_CHARACTERS);
const names = z
  .array(name)
  .nullish()
  .transform((list) => list ?? []);

const statusLevel = z.object({ locked: z.union([flag, z.literal('partial')]) });
const statusParts = z.object({ locked_currencies: names, locked_indices: names });

/** The reply of public/status: the example has a boolean and `locked_currencies`, the schema a text and `locked_indices`. */
export interface PlatformStatus {
  readonly locked: 'all' | 'partial' | 'none';
  readonly parts: readonly string[];
}

export function parseStatus(result: Json): PlatformStatus | undefined {
  const level = statusLevel.safeParse(result);
  const named = statusParts.safeParse(result);
  if (!level.success) return undefined;
  const { locked } = level.data;
  // A lock of everything holds whatever is named beside it; otherwise names that cannot be read are no "none".
  if (!named.success) return locked === true ? { locked: 'all', parts: [] } : undefined;
  const parts = [...new Set([...named.data.locked_currencies, ...named.data.locked_indices])];
  return { locked: locked === true ? 'all' : locked === false ? 'none' : 'partial', parts };
}

const userLock = z.object({ currency: name, locked: flag.optional(), enabled: flag.optional() });

/** Locks by currency, `all` for every one. */
export interface UserLock {
  readonly what: string;
  readonly locked: boolean;
}

function toUserLock({ currency, locked, enabled }: z.output<typeof userLock>): UserLock | undefined {
  const isLocked = locked ?? enabled;
  if (isLocked === undefined) return undefined;
  return { what: currency.toUpperCase() === 'ALL' ? 'all' : currency, locked: isLocked };
}

/** One `user.lock`, or one row of private/get_user_locks (whose schema calls `locked` `enabled`). */
export function parseUserLock(data: Json): UserLock | undefined {
  const parsed = userLock.safeParse(data);
  return parsed.success ? toUserLock(parsed.data) : undefined;
}

/** All or nothing: a row that is not understood might be a lock. */
export function parseUserLocks(result: Json): readonly UserLock[] | undefined {
  if (!Array.isArray(result)) return undefined;
  const locks = result.flatMap((row: Json) => parseUserLock(row) ?? []);
  return locks.length === result.length ? locks : undefined;
}

const reasons = z.array(name).max(16).optional().catch(undefined);

export type PlatformState =
  | { readonly maintenance: boolean }
  | { readonly price_index: string; readonly locked: boolean; readonly reasons?: readonly string[] | undefined };

/** By hand, as the log of accesses: these two are nearly all that an account is told. */
export function parsePlatformState(data: Json): PlatformState | undefined {
  if (!isJsonObject(data)) return undefined;
  const maintenance = flagOf(data.maintenance);
  if (maintenance !== undefined) return { maintenance };
  const { price_index } = data;
  const locked = flagOf(data.locked);
  if (!isText(price_index, MAX_NAME_CHARACTERS) || locked === undefined) return undefined;
  return { price_index, locked, reasons: data.reasons === undefined ? undefined : reasons.parse(data.reasons) };
}

function flagOf(value: Json | undefined): boolean | undefined {
  if (typeof value === 'boolean') return value;
  return value === 'true' || (value === 'false' ? false : undefined);
}

function isText(value: Json | undefined, most: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= most;
}

const publicMethods = z.object({ allow_unauthenticated_public_requests: flag });

export function parsePublicMethods(data: Json): boolean | undefined {
  return publicMethods.safeParse(data).data?.allow_unauthenticated_public_requests;
}

/** Of words that become part of events. */
const MAX_TEXT_CHARACTERS = 256;

export interface AccessLogEntry {
  readonly id: string;
  readonly logged: EventData<'access.logged'>;
}

/** The channel says `log` where private/get_access_log says `result`. */
export function parseAccessLog(data: Json): AccessLogEntry | undefined {
  if (!isJsonObject(data)) return undefined;
  const { id, timestamp, log, result, ip, country } = data;
  const action = isText(log, MAX_TEXT_CHARACTERS) ? log : result;
  const isNamed = typeof id === 'number' || isText(id, MAX_NAME_CHARACTERS);
  if (!isNamed || !isText(action, MAX_TEXT_CHARACTERS)) return undefined;
  const venueTime = typeof timestamp === 'number' ? timeOf(timestamp) : undefined;
  const logged: { -readonly [K in keyof AccessLogEntry['logged']]: AccessLogEntry['logged'][K] } = { action };
  if (venueTime !== undefined) logged.venueTime = venueTime;
  if (isText(ip, MAX_TEXT_CHARACTERS)) logged.ip = ip;
  if (isText(country, MAX_TEXT_CHARACTERS)) logged.country = country;
  return { id: String(id), logged };
}

/** Whatever it holds is JSON already: walking through it with a schema would cost more than all the rest. */
export function parseSubscription(params: Json): { readonly channel: string; readonly data: Json } | undefined {
  if (!isJsonObject(params)) return undefined;
  const { channel, data } = params;
  return typeof channel === 'string' && channel !== '' && data !== undefined ? { channel, data } : undefined;
}

const heartbeat = z.object({ type: z.string() });

/** `heartbeat` or `test_request` (recorded frames); others are unknown. */
export function parseHeartbeat(params: Json): string | undefined {
  return heartbeat.safeParse(params).data?.type;
}

const channels = z.array(z.string()).catch([]);

/** The confirmed list of a subscription, in any order; rejected channels are not in it (recorded frame). */
export function parseConfirmed(result: Json): readonly string[] {
  return channels.parse(result);
}

/** Numbers on the wire; a well-known client's notes show texts. */
const micros = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]);
const replyExtras = z.object({
  usOut: micros.optional().catch(undefined),
  testnet: z.boolean().optional().catch(undefined),
});

export interface ReplyExtras {
  /** When the venue sent the reply, ms since the epoch. */
  readonly sentAtMs?: number;
  readonly testnet?: boolean;
}

export function parseExtras(extras: { readonly [name: string]: Json }): ReplyExtras {
  const { usOut, testnet } = replyExtras.parse(extras);
  return {
    ...(usOut === undefined ? {} : { sentAtMs: Math.round(usOut / 1_000) }),
    ...(testnet === undefined ? {} : { testnet }),
  };
}

/** Times that `Date` can say, of four-digit years; `undefined` for others. */
const MAX_TIME_MS = Date.UTC(10_000, 0, 1) - 1;

export function timeOf(ms: number): string | undefined {
  return Number.isFinite(ms) && ms >= 0 && ms <= MAX_TIME_MS ? timestampOf(ms) : undefined;
}
