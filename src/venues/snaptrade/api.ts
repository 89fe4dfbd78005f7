import { messageOf, SessionRelayError, VenueError, VenueTimeoutError } from '../../errors.js';
import { parseJson } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import type { HttpClient, HttpReply, HttpRequest } from '../../net/http.js';
import { createSecrets } from '../secrets.js';
import { readApiError } from './messages.js';
import type { SnaptradeConfig } from './options.js';
import type { Rate } from './rate.js';
import { queryOf, signRequest } from './signing.js';
import type { SourceOfUser } from './users.js';

/** The HTTP side of one client id: signs, counts, and says what each answer means. */
export interface Api {
  /** Sends one request. It has been counted where it is a poll's; a command's is counted here. Never rejects. */
  send(ask: Ask, how: { readonly counted: boolean }): Promise<Answer>;
  close(): Promise<void>;
}

export interface Ask {
  readonly method: HttpRequest['method'];
  /** Behind the base URL: `/authorizations`. */
  readonly path: string;
  /** On whose behalf; a personal key has nobody. */
  readonly user?: SourceOfUser['user'];
  readonly query?: readonly (readonly [string, string])[];
}

export type Answer =
  | { readonly kind: 'ok'; readonly status: number; readonly body: unknown; readonly text: string }
  | Failure;

export type Failure =
  /** The venue says no. `skewMs`: by how much its clock is ahead of the relay's, where it says. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly code: string | number;
      readonly message: string;
      readonly requestId?: string;
      readonly retryAfterMs?: number;
      readonly skewMs?: number;
    }
  /** The venue's penalty (429): nothing is sent before it is over. `sent`: this request was answered with it. */
  | { readonly kind: 'throttled'; readonly waitMs: number; readonly sent: boolean }
  /** Not sent: the venue's limit of requests a minute is used up. */
  | { readonly kind: 'limited'; readonly waitMs: number }
  /** No usable answer. `sent`: it may have arrived. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly sent: boolean;
      readonly byVenue: boolean;
      /** What came cannot be read at all. */
      readonly unreadable?: true;
    };

/** A 429 that names no time. */
const DEFAULT_PENALTY_MS = 60_000;
/** The broker does not answer SnapTrade (SnapTrade docs, error 3002): an answer all the same. */
const BROKER_SIDE = '3002';
/** A 429 of one connection alone: it was refreshed too recently. */
const OF_ONE_CONNECTION = 'throttled';
const NOT_IMPLEMENTED = 501;

export function createApi(options: {
  readonly config: Pick<SnaptradeConfig, 'url' | 'credentials'>;
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly rate: Rate;
  /** A penalty began, or became longer. */
  readonly throttled: () => void;
}): Api {
  const { http, clock, rate } = options;
  const { clientId, consumerKey } = options.config.credentials;
  const base = new URL(options.config.url);
  const root = base.pathname.replace(/\/+$/, '');
  let closed = false;

  const requestFor = ({ method, path: below, user, query: extra = [] }: Ask): HttpRequest => {
    const path = `${root}${below}`;
    const query = queryOf([
      ['clientId', clientId],
      ...(user === undefined ? [] : [['userId', user.userId] as const, ['userSecret', user.userSecret] as const]),
      ...extra,
      ['timestamp', String(Math.floor(clock.now() / 1_000))],
    ]);
    const signature = signRequest(consumerKey, { path, query });
    return {
      method,
      url: `${base.origin}${path}?${query}`,
      headers: { accept: 'application/json', 'user-agent': 'session-relay', signature },
    };
  };

  return {
    async send(ask, { counted }) {
      if (closed) return { kind: 'failed', reason: 'the source is stopped', sent: false, byVenue: false };
      const blockedMs = rate.blockedMs();
      if (blockedMs > 0) return { kind: 'throttled', waitMs: blockedMs, sent: false };
      const waitMs = counted ? 0 : rate.takeCommand();
      if (waitMs > 0) return { kind: 'limited', waitMs };
      const { hide } = createSecrets([consumerKey, ...(ask.user === undefined ? [] : Object.values(ask.user))]);
      let reply: HttpReply;
      try {
        reply = await http.request(requestFor(ask));
      } catch (thrown) {
        const sent = !(thrown instanceof SessionRelayError && ['source_unavailable', 'closed'].includes(thrown.code));
        return { kind: 'failed', reason: hide(messageOf(thrown)), sent, byVenue: false };
      }
      const answer = readReply(reply, clock.now(), hide);
      if (closed) return answer;
      rate.observe(reply.headers);
      if (answer.kind === 'throttled' && rate.block(answer.waitMs)) options.throttled();
      return answer;
    },
    async close() {
      closed = true;
      await http.close();
    },
  };
}

/** What one answer means. */
export function readReply(reply: HttpReply, nowMs: number, hide: (text: string) => string): Answer {
  const { status, headers, body: text } = reply;
  const body = text.trim() === '' ? undefined : parseJson(text);
  if (status >= 200 && status < 300) {
    if (body === undefined && text.trim() !== '') {
      return {
        kind: 'failed',
        reason: 'the venue answered with something that is not JSON',
        sent: true,
        byVenue: true,
        unreadable: true,
      };
    }
    return { kind: 'ok', status, body, text };
  }
  const said = readApiError(body);
  const requestId = headers['x-request-id'];
  const shown = requestId === undefined ? undefined : hide(requestId.slice(0, 64).replace(/[^\w.-]/g, ''));
  const named = shown === undefined ? '' : ` (X-Request-ID ${shown})`;
  const retryAfterMs = penaltyOf(said?.message, headers, nowMs);
  if (status === 429 && said?.code !== OF_ONE_CONNECTION) {
    return { kind: 'throttled', waitMs: retryAfterMs ?? DEFAULT_PENALTY_MS, sent: true };
  }
  const isAnswer = status < 500 || status === NOT_IMPLEMENTED || said?.code === BROKER_SIDE;
  if (status < 400 || !isAnswer) {
    const words = said === undefined ? '' : `: ${hide(said.message)}`;
    return {
      kind: 'failed',
      reason: `the venue answered with HTTP ${status}${words}${named}`,
      sent: true,
      byVenue: true,
    };
  }
  const at = Date.parse(headers.date ?? '');
  return {
    kind: 'refused',
    status,
    code: said?.code ?? status,
    message: `${hide(said?.message ?? `HTTP ${status}`)}${named}`,
    ...(shown === undefined ? {} : { requestId: shown }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(Number.isNaN(at) ? {} : { skewMs: at - nowMs }),
  };
}

/** How long a 429 lasts: as its words say, else its headers. */
function penaltyOf(words: string | undefined, headers: HttpReply['headers'], nowMs: number): number | undefined {
  const [, seconds] = /available in (\d{1,6}) seconds?/i.exec(words ?? '') ?? [];
  if (seconds !== undefined) return Number(seconds) * 1_000;
  const after = headers['retry-after'] ?? headers['x-ratelimit-reset'];
  if (after === undefined) return undefined;
  if (/^\d{1,6}(\.\d+)?$/.test(after.trim())) return Math.ceil(Number(after) * 1_000);
  const at = /^\d{10}$/.test(after.trim()) ? Number(after) * 1_000 : Date.parse(after);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

/** Whether the venue does not take the credentials, or the time that the request was signed with. */
export function isUnauthenticated(failure: Failure): boolean {
  if (failure.kind !== 'refused') return false;
  return failure.status === 401 || failure.status === 403 || String(failure.code) === '1076';
}

/** Whether the venue has no such operation: it went, or this key's plan has it not. */
export function isAbsent(failure: Failure): boolean {
  return failure.kind === 'refused' && [404, 405, 410, NOT_IMPLEMENTED].includes(failure.status);
}

/** The venue's answer as whoever gave the command hears it. */
export function errorOf(failure: Failure): SessionRelayError {
  switch (failure.kind) {
    case 'refused': {
      const { code, message, requestId, retryAfterMs, status } = failure;
      const data = requestId === undefined ? {} : { venueRequestId: requestId };
      if (status !== 429) return new VenueError(code, message, { data });
      return new SessionRelayError('rate_limited', `the venue allows it only later: ${message}`, {
        data: { ...data, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
      });
    }
    case 'throttled':
    case 'limited': {
      const retryAfterMs = Math.ceil(failure.waitMs);
      return new SessionRelayError('rate_limited', `nothing may be sent to the venue for ${retryAfterMs} ms`, {
        data: { retryAfterMs },
      });
    }
    case 'failed':
      return failure.sent
        ? new VenueTimeoutError(`${failure.reason}; whether the venue acted is unknown`)
        : new SessionRelayError('source_unavailable', failure.reason);
  }
}
