import { z } from 'zod';
import { type ProtectionScope, protectionScope, timestampOf } from '../../model/event.js';
import { type Json, json } from '../../model/json.js';

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
const platformState = z.union([
  z.object({ maintenance: flag }),
  z.object({ price_index: name, locked: flag, reasons }),
]);
export type PlatformState = z.output<typeof platformState>;

export function parsePlatformState(data: Json): PlatformState | undefined {
  return platformState.safeParse(data).data;
}

const publicMethods = z.object({ allow_unauthenticated_public_requests: flag });

export function parsePublicMethods(data: Json): boolean | undefined {
  return publicMethods.safeParse(data).data?.allow_unauthenticated_public_requests;
}

/** Of words that become part of events. */
const MAX_TEXT_CHARACTERS = 256;
const text = z.string().min(1).max(MAX_TEXT_CHARACTERS).optional().catch(undefined);
/** The channel says `log` where private/get_access_log says `result`. */
const accessLog = z.object({
  id: z.union([z.number(), name]),
  timestamp: z.number().optional().catch(undefined),
  log: text,
  result: text,
  ip: text,
  country: text,
});

export interface AccessLogEntry {
  readonly id: string;
  readonly action: string;
  readonly venueTime?: string;
  readonly ip?: string;
  readonly country?: string;
}

export function parseAccessLog(data: Json): AccessLogEntry | undefined {
  const parsed = accessLog.safeParse(data);
  if (!parsed.success) return undefined;
  const { id, timestamp, log, result, ip, country } = parsed.data;
  const action = log ?? result;
  if (action === undefined) return undefined;
  const venueTime = timestamp === undefined ? undefined : timeOf(timestamp);
  return {
    id: String(id),
    action,
    ...(venueTime === undefined ? {} : { venueTime }),
    ...(ip === undefined ? {} : { ip }),
    ...(country === undefined ? {} : { country }),
  };
}

const subscription = z.object({ channel: z.string().min(1), data: json });

export function parseSubscription(params: Json): { readonly channel: string; readonly data: Json } | undefined {
  return subscription.safeParse(params).data;
}

const heartbeat = z.object({ type: z.string() });

/** `heartbeat` or `test_request` (recorded frames); others are unknown. */
export function parseHeartbeat(params: Json): string | undefined {
  return heartbeat.safeParse(params).data?.type;
}

/** The confirmed list of a subscription, in any order; rejected channels are not in it (recorded frame). */
export function parseConfirmed(result: Json): readonly string[] {
  return z.array(z.string()).catch([]).parse(result);
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
