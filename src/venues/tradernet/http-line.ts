import { z } from 'zod';
import { messageOf, SessionRelayError } from '../../errors.js';
import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import { parseJson } from '../../model/json.js';
import { createBudget } from '../../net/budget.js';
import type { Clock } from '../../net/clock.js';
import type { HttpClient, HttpReply, HttpRequest } from '../../net/http.js';
import { createHttpLink } from '../http-link.js';
import { createPenalty, retryAfterMs } from '../penalty.js';
import type { FactBatch, VenueMemory } from '../venue.js';
import { isTruthy } from './messages.js';

/**
 * The HTTP side of one source: a budget, the venue's own penalty (429), what each answer means, and whether the link
 * is up. One failed request is not an outage: the second in a row is.
 */
export interface HttpLine {
  /**
   * Sends a request, after whatever the budget asks to wait; `patient: false` is answered with `limited` instead.
   * Never rejects.
   */
  send(request: HttpRequest, options?: { readonly patient?: boolean }): Promise<Answer>;
  /** The venue's penalty, in whatever way it was told: nothing is sent before it is over. */
  penalize(forMs: number): void;
  /** Goes on with a penalty that a life before this one was under. */
  resumePenalty(memory: VenueMemory | undefined): void;
  readonly isUp: boolean;
  readonly generation: number;
  /** How long the venue's penalty lasts yet; 0 without one. */
  penaltyLeftMs(): number;
  close(): Promise<void>;
}

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown; readonly cookies: readonly string[] }
  /** The venue says no: `error` or `errMsg`, often with HTTP 200. */
  | { readonly kind: 'refused'; readonly code: string | number; readonly message: string; readonly body: unknown }
  /** 403 without an answer of the API: what stands before it refuses this client, whoever is logged in. */
  | { readonly kind: 'blocked'; readonly reason: string }
  /** The venue's penalty. `sent`: this request was answered with it; else it was not sent because of it. */
  | { readonly kind: 'throttled'; readonly waitMs: number; readonly sent: boolean }
  /** Not sent: the relay's own budget. */
  | { readonly kind: 'limited'; readonly waitMs: number }
  /** No usable answer. `sent`: it may have arrived; `garbage`: there was an answer that nobody can read. */
  | { readonly kind: 'failed'; readonly reason: string; readonly sent: boolean; readonly garbage?: string };

/** Requests a second over HTTP, all told: the venue states no limit but that of logins. */
const REQUESTS_PER_SECOND = 1;
const REQUESTS_BURST = 5;
/** A 429 without `Retry-After`. */
const DEFAULT_PENALTY_MS = 60_000;
const MAX_PENALTY_MS = 3_600_000;
/** So many failures in a row are an outage. */
const FAILURES_TO_DOWN = 2;

export interface HttpLineOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly source: string;
  /** What `link.up` names; without query. */
  readonly url: string;
  readonly hide: (text: string) => string;
  readonly tell: (facts: readonly Fact[], memory?: FactBatch['memory']) => void;
  /** The link went up or down; after the fact was told. */
  readonly moved: () => void;
}

export function createHttpLine(options: HttpLineOptions): HttpLine {
  const { http, clock, source, hide, tell } = options;
  const budget = createBudget({ clock, perSecond: REQUESTS_PER_SECOND, burst: REQUESTS_BURST });
  let closed = false;
  const link = createHttpLink({
    source,
    url: options.url,
    failuresToDown: FAILURES_TO_DOWN,
    tell,
    moved: options.moved,
  });
  const penalty = createPenalty({
    clock,
    mostMs: MAX_PENALTY_MS,
    tell: (fact, memory) => tell([{ source, session: SOURCE_TOKEN, ...fact }], memory),
  });

  const send = async (request: HttpRequest, patient: boolean): Promise<Answer> => {
    for (;;) {
      if (closed) return { kind: 'failed', reason: 'the source is stopped', sent: false };
      const penaltyMs = penalty.leftMs();
      if (penaltyMs > 0) return { kind: 'throttled', waitMs: penaltyMs, sent: false };
      const waitMs = budget.take();
      if (waitMs === 0) break;
      if (!patient) return { kind: 'limited', waitMs };
      await new Promise<void>((resolve) => clock.setTimer(resolve, waitMs));
    }
    let reply: HttpReply;
    try {
      reply = await http.request(request);
    } catch (thrown) {
      const sent = !(thrown instanceof SessionRelayError && thrown.code === 'source_unavailable');
      const reason = hide(messageOf(thrown));
      if (!closed) link.failed({ reason, byVenue: false });
      return { kind: 'failed', reason, sent };
    }
    const answer = readReply(reply, clock.now(), hide);
    if (closed) return answer;
    if (answer.kind === 'failed' || answer.kind === 'blocked') link.failed({ reason: answer.reason, byVenue: true });
    else link.answered();
    if (answer.kind === 'throttled') penalty.impose(answer.waitMs);
    return answer;
  };

  return {
    send: (request, { patient = true } = {}) => send(request, patient),
    penalize: penalty.impose,
    resumePenalty: penalty.resume,
    penaltyLeftMs: penalty.leftMs,
    get isUp() {
      return link.link === 'up';
    },
    get generation() {
      return link.generation;
    },
    async close() {
      if (closed) return;
      link.end('stopped');
      closed = true;
      penalty.stop();
      await http.close();
    },
  };
}

const MAX_MESSAGE_CHARACTERS = 200;
const MAX_CODE_CHARACTERS = 64;

const apiError = z.looseObject({
  error: z.unknown().optional(),
  errMsg: z.unknown().optional(),
  code: z
    .union([z.number(), z.string().max(MAX_CODE_CHARACTERS)])
    .optional()
    .catch(undefined),
});

/** What one answer means. `error` may be there and falsy on success; errors come with HTTP 200. */
export function readReply(reply: HttpReply, nowMs: number, hide: (text: string) => string): Answer {
  const { status, headers, cookies } = reply;
  const body = parseJson(reply.body);
  const parsed = apiError.safeParse(body);
  const said = parsed.success ? parsed.data : {};
  if (status === 429 || String(said.code) === '429') {
    return { kind: 'throttled', waitMs: penaltyOf(headers['retry-after'], nowMs), sent: true };
  }
  if (status >= 500) return { kind: 'failed', reason: `the venue answered with HTTP ${status}`, sent: true };
  const complaint = [said.error, said.errMsg].find(isTruthy);
  if (complaint !== undefined) {
    const message = hide(typeof complaint === 'string' ? complaint : JSON.stringify(complaint)).slice(
      0,
      MAX_MESSAGE_CHARACTERS,
    );
    return { kind: 'refused', code: said.code ?? status, message, body };
  }
  if (status >= 200 && status < 300) {
    if (body !== undefined) return { kind: 'ok', body, cookies };
    return {
      kind: 'failed',
      reason: 'the venue answered with something that is not JSON',
      sent: true,
      garbage: reply.body,
    };
  }
  if (status === 403 && body === undefined) {
    return { kind: 'blocked', reason: 'HTTP 403: the venue refuses this client, not its login; set headers' };
  }
  if (status === 401 || status === 403) {
    return { kind: 'refused', code: status, message: `the venue answered with HTTP ${status}`, body };
  }
  return { kind: 'failed', reason: `the venue answered with HTTP ${status}`, sent: true };
}

/** What a refusal for too many requests says to wait; a default where it says nothing that can be read. */
export function penaltyOf(retryAfter: string | undefined, nowMs: number): number {
  return retryAfterMs(retryAfter, nowMs) ?? DEFAULT_PENALTY_MS;
}
