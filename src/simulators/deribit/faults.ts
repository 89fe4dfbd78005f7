import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { type Json, json } from '../../model/json.js';
import { closeCode, type Fault, faultWith, forMs, MAX_FRAME_BYTES, milliseconds, OVERSIZED_BYTES } from '../faults.js';
import { logAccess } from './accounts.js';
import type { Connection } from './connection.js';
import type { Exchange } from './exchange.js';
import { errorText, heartbeatText, Refusal, subscriptionText } from './wire.js';

const DEFAULT_ANNOUNCED_MS = 5_000;
const DEFAULT_MAINTENANCE_MS = 10_000;
const CUT_FRAME = '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_st';

/** Which live connections: those of a named session, `connection`, `public`; absent: all. */
const session = z.string().min(1).optional();

/** What can go wrong with the connections themselves. */
export function connectionFaults(exchange: Exchange): { readonly [name: string]: Fault } {
  const { conditions, connections, tokens } = exchange;
  const each = (wanted: string | undefined, act: (connection: Connection) => void): void => {
    for (const connection of [...connections.values()])
      if (wanted === undefined || nameOf(connection) === wanted) act(connection);
  };
  return {
    silence: faultWith(
      'Live sockets are sent nothing any more, answers and heartbeats included; what they ask is still carried out.',
      z.strictObject({ forMs, session }),
      (params) => each(params.session, ({ outbound }) => outbound.silence(params.forMs)),
    ),
    drop: faultWith(
      'Live sockets end at once by a TCP reset, without a close frame.',
      z.strictObject({ session }),
      (params) => each(params.session, (connection) => connection.drop('fault', 'reset')),
    ),
    close: faultWith(
      'Live sockets are closed with a close frame.',
      z.strictObject({ code: closeCode.default(1001), reason: z.string().max(100).default(''), session }),
      (params) => each(params.session, (connection) => connection.close('fault', params.code, params.reason)),
    ),
    half_open: faultWith(
      'Live sockets are neither read nor written any more, and TCP stays up; the heartbeat ends them unseen.',
      z.strictObject({ session }),
      (params) => each(params.session, (connection) => connection.halfOpen()),
    ),
    slow: faultWith(
      'Every frame is sent that much later; 0 ends it.',
      z.strictObject({ delayMs: milliseconds, forMs }),
      (params) => {
        conditions.delayMs = params.delayMs;
        conditions.slow.on(params.delayMs === 0 ? 0 : params.forMs);
      },
    ),
    garbage: faultWith(
      'Live sockets are sent a frame that is not JSON.',
      z.strictObject({ text: z.string().default(CUT_FRAME), session }),
      (params) => each(params.session, ({ outbound }) => outbound.raw(params.text)),
    ),
    unknown_value: faultWith(
      'Live sockets are sent a heartbeat of an unknown type, a platform_state of an odd shape and a channel that nobody knows; or one of them.',
      z.strictObject({ what: z.enum(['heartbeat', 'platform_state', 'channel']).optional(), session }),
      (params) =>
        each(params.session, ({ outbound }) => {
          for (const [what, text] of Object.entries(unknownFrames())) {
            if (params.what === undefined || params.what === what) outbound.raw(text);
          }
        }),
    ),
    oversized: faultWith(
      'Live sockets are sent a frame that is larger than a client takes.',
      z.strictObject({ bytes: z.number().int().min(1).max(MAX_FRAME_BYTES).default(OVERSIZED_BYTES), session }),
      (params) => {
        const text = subscriptionText('platform_state', { padding: 'x'.repeat(params.bytes) });
        each(params.session, ({ outbound }) => outbound.raw(text));
      },
    ),
    eviction: faultWith(
      'A session is evicted, as by a seventeenth one: its tokens die, and its sockets end without a close frame (or as `socket` says; no source does).',
      z.strictObject({
        session: z.string().min(1).optional(),
        socket: z.enum(['drop', 'close', 'keep']).default('drop'),
      }),
      (params) => {
        const { evictedSockets } = conditions;
        conditions.evictedSockets = params.socket;
        for (const one of tokens.sessions)
          if (params.session === undefined || one.name === params.session) tokens.evict(one);
        conditions.evictedSockets = evictedSockets;
      },
    ),
    too_many_requests: faultWith(
      'The next request of each live connection is answered with 10028, and the connection ends; with `forMs` there are no credits for so long.',
      z.strictObject({ forMs, session }),
      (params) =>
        each(params.session, (connection) => {
          connection.exhausted = true;
          const credits = connection.grant?.account.credits ?? exchange.creditsOf(connection.address);
          if (params.forMs !== undefined) credits.block(params.forMs);
        }),
    ),
    duplicate_frame: faultWith(
      'Live sockets are sent their last notification a second time; those that had none, their next one twice.',
      z.strictObject({ session }),
      (params) => each(params.session, ({ outbound }) => outbound.duplicate()),
    ),
    reordered_reply: faultWith(
      'The replies to the next two requests of each live connection change places.',
      z.strictObject({ session }),
      (params) => each(params.session, ({ outbound }) => outbound.swapReplies()),
    ),
  };
}

/** What can go wrong with the venue, the account or the key. */
export function venueFaults(exchange: Exchange): { readonly [name: string]: Fault } {
  const { accounts, clock, conditions, connections, platform, tokens } = exchange;
  const account = accounts.main;
  const lock = (index: string | undefined, locked: boolean, reasons?: readonly string[]): void => {
    if (!platform.lock(index, locked, reasons)) {
      throw new SessionRelayError('invalid_params', `there is no index ${index}: ${platform.indices.join(', ')}`);
    }
  };
  const lockAccount = (currency: string, locked: boolean): void => {
    if (locked) account.locks.add(currency);
    else account.locks.delete(currency);
    exchange.publishTo(account, 'user.lock', { locked, currency });
  };
  const currency = z.strictObject({ currency: z.string().min(1).default('ALL') });

  return {
    token_expiry: faultWith(
      'Every token runs out now: the next use of one is answered with 13009. With `refreshTokens: false` they can still be renewed.',
      z.strictObject({ refreshTokens: z.boolean().default(true) }),
      (params) => tokens.expire(params.refreshTokens),
    ),
    bad_credentials: faultWith(
      'Authentication is answered with 13004; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.badCredentials.on(params.forMs),
    ),
    refuse_upgrade: faultWith(
      'The next connections are refused at the upgrade with 429.',
      z.strictObject({
        count: z.number().int().min(0).default(1),
        retryAfterSeconds: z.number().int().min(0).optional(),
      }),
      (params) => {
        conditions.refusedUpgrades = params.count;
        conditions.retryAfterSeconds = params.retryAfterSeconds;
      },
    ),
    maintenance: faultWith(
      'platform_state announces maintenance; after `afterMs` every socket gets 11051 without an id and ends, and none is accepted for `forMs`.',
      z.strictObject({
        afterMs: milliseconds.default(DEFAULT_ANNOUNCED_MS),
        forMs: milliseconds.default(DEFAULT_MAINTENANCE_MS),
      }),
      (params) => {
        platform.maintenance = true;
        clock.setTimer(() => {
          if (params.forMs > 0) conditions.maintenance.on(params.forMs);
          platform.maintenance = false;
          const text = errorText(undefined, new Refusal('system_maintenance'));
          for (const connection of [...connections.values()]) {
            connection.outbound.raw(text);
            connection.drop('maintenance', 'end');
          }
        }, params.afterMs);
      },
    ),
    lock_index: faultWith(
      'Trading on one index is locked; platform_state says so.',
      z.strictObject({ index: z.string().default('btc_usd'), reasons: z.array(z.string()).default([]) }),
      (params) => lock(params.index, true, params.reasons),
    ),
    unlock_index: faultWith(
      'Trading on one index, or on all that are locked, is unlocked.',
      z.strictObject({ index: z.string().optional() }),
      (params) => lock(params.index, false),
    ),
    lock_platform: faultWith(
      'Trading is locked on every index, for `forMs` or until unlock_index without an index.',
      z.strictObject({ forMs }),
      (params) => {
        lock(undefined, true);
        if (params.forMs !== undefined) clock.setTimer(() => lock(undefined, false), params.forMs);
      },
    ),
    public_methods: faultWith(
      'Public requests without authentication are switched off or on; platform_state.public_methods_state says so.',
      z.strictObject({ allowed: z.boolean() }),
      (params) => {
        platform.publicMethods = params.allowed;
      },
    ),
    lock_account: faultWith(
      'The account is locked in one currency, or in all; user.lock says so.',
      currency,
      (params) => lockAccount(params.currency, true),
    ),
    unlock_account: faultWith('The account is unlocked again.', currency, (params) =>
      lockAccount(params.currency, false),
    ),
    access_log: faultWith(
      'The security log has a new entry; user.access_log says so.',
      z.strictObject({ log: z.string().min(1).default('success'), ip: z.string().optional(), data: json.optional() }),
      ({ log, ip, data }) => {
        const entry = logAccess(account, exchange.now(), {
          log,
          ...(ip === undefined ? {} : { ip }),
          ...(data === undefined ? {} : { data }),
        });
        exchange.publishTo(account, 'user.access_log', { ...entry } satisfies Json);
      },
    ),
    missing_channel: faultWith(
      'The next subscription that asks for the channel, or for any, is confirmed without it.',
      z.strictObject({ channel: z.string().optional() }),
      (params) => void conditions.missingChannels.push(params.channel),
    ),
    bad_protection: faultWith(
      'private/get_cancel_on_disconnect is answered with 10049; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => conditions.badProtection.on(params.forMs),
    ),
    clock_skew: faultWith(
      "The venue's clock is ahead by so many ms (behind, if negative): usIn, usOut, get_time, and how it judges a signature's timestamp.",
      z.strictObject({ ms: z.number().int() }),
      (params) => {
        conditions.skewMs = params.ms;
      },
    ),
    cod_drift: faultWith(
      "Another connection of the customer changes the account's cancel-on-disconnect; without `enabled` to the opposite.",
      z.strictObject({ enabled: z.boolean().optional() }),
      (params) => {
        account.protectsNew = params.enabled ?? !account.protectsNew;
      },
    ),
  };
}

function nameOf({ grant }: Connection): string {
  return grant === undefined ? 'public' : (grant.session?.name ?? 'connection');
}

/** Shapes that no page knows: a client has to pass over them. */
function unknownFrames(): { readonly [what: string]: string } {
  return {
    heartbeat: heartbeatText('murmur'),
    platform_state: subscriptionText('platform_state', { price_index: 'btc_usd', locked: 'perhaps', mood: 'odd' }),
    channel: subscriptionText('platform_state.tides', { high: true }),
  };
}
