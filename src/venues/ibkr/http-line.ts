import { messageOf, SessionRelayError } from '../../errors.js';
import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import { parseJson } from '../../model/json.js';
import { createBudget } from '../../net/budget.js';
import type { Clock } from '../../net/clock.js';
import type { HttpClient, HttpReply, HttpRequest } from '../../net/http.js';
import { createHttpLink } from '../http-link.js';
import { createPenalty, retryAfterMs } from '../penalty.js';
import type { FactBatch, VenueMemory } from '../venue.js';
import { readComplaint, readRefusal } from './messages.js';

/**
 * The HTTP side of one source: a budget, the penalty after a 429, what each answer means, and whether the link is up.
 * One failed request is not an outage.
 */
export interface HttpLine {
  /**
   * Sends a request, after whatever the budget asks to wait; `patient: false` is answered with `limited` instead.
   * `proves: false`: an answer that nobody can use says nothing of the link. Never rejects.
   */
  send(request: HttpRequest, options?: { readonly patient?: boolean; readonly proves?: boolean }): Promise<Answer>;
  /** The venue has answered with 429, here or at the socket's upgrade. */
  penalize(retryAfter: string | undefined): void;
  /** Goes on with a penalty that a life before this one was under. */
  resumePenalty(memory: VenueMemory | undefined): void;
  /** How long the penalty lasts yet; 0 without one. */
  penaltyLeftMs(): number;
  readonly link: 'never' | 'up' | 'down';
  readonly generation: number;
  close(): Promise<void>;
}

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown; readonly rttMs: number }
  /** 302 to `/sso/Login`: the gateway is not logged in. It is never followed. */
  | { readonly kind: 'redirected' }
  /** The venue says no: a status, or `error` with HTTP 200. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  /** 429: nothing may be sent. `sent`: this request was answered with it; else it was not sent because of it. */
  | { readonly kind: 'throttled'; readonly waitMs: number; readonly sent: boolean }
  /** Not sent: a limit of the venue's that the relay keeps. */
  | { readonly kind: 'limited'; readonly waitMs: number }
  /** No usable answer. `sent`: it may have arrived; `status`: it was answered with this. */
  | { readonly kind: 'failed'; readonly reason: string; readonly sent: boolean; readonly status?: number };

/** A gateway takes 10 requests a second (IBKR docs); half of that is left to others. */
const REQUESTS_PER_SECOND = 5;
const REQUESTS_BURST = 5;
/** The penalty box after a 429 (IBKR docs). */
export const PENALTY_MS = 600_000;
const MAX_PENALTY_MS = 86_400_000;
/** So many failures in a row are an outage: about 7 % of tickles fail (reported), and a failed dial is surer. */
export const FAILURES_TO_DOWN = 3;
const FAILED_DIALS_TO_DOWN = 2;
const MAX_MESSAGE_CHARACTERS = 200;
const USER_AGENT = 'session-relay';

export interface HttpLineOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly source: string;
  /** What `link.up` names. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly hide: (text: string) => string;
  /** Put before the reason of an end, where an outage is expected. */
  readonly tag: () => string;
  readonly tell: (facts: readonly Fact[], memory?: FactBatch['memory']) => void;
  /** The link went up or down; after the fact was told. */
  readonly moved: (link: 'up' | 'down') => void;
  /** The penalty has begun or is over; after the fact was told. */
  readonly throttled: (on: boolean) => void;
}

/** The headers of every request and upgrade: `api.ibkr.com` refuses requests without a User-Agent. */
export function headersOf(configured: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const named = Object.fromEntries(Object.entries(configured).map(([name, value]) => [name.toLowerCase(), value]));
  return { 'user-agent': USER_AGENT, ...named };
}

export function createHttpLine(options: HttpLineOptions): HttpLine {
  const { http, clock, source, hide, tell } = options;
  const budget = createBudget({ clock, perSecond: REQUESTS_PER_SECOND, burst: REQUESTS_BURST });
  let closed = false;
  const link = createHttpLink({
    source,
    url: options.url,
    failuresToDown: FAILURES_TO_DOWN,
    failedDialsToDown: FAILED_DIALS_TO_DOWN,
    tag: options.tag,
    tell,
    moved: options.moved,
  });
  const penalty = createPenalty({
    clock,
    mostMs: MAX_PENALTY_MS,
    tell: (fact, memory) => tell([{ source, session: SOURCE_TOKEN, ...fact }], memory),
    moved: options.throttled,
  });
  const penalize = (retryAfter: string | undefined): void =>
    penalty.impose(Math.max(PENALTY_MS, retryAfterMs(retryAfter, clock.now()) ?? 0));

  const send = async (request: HttpRequest, patient: boolean, proves: boolean): Promise<Answer> => {
    for (;;) {
      if (closed) return { kind: 'failed', reason: 'the source is stopped', sent: false };
      const penaltyMs = penalty.leftMs();
      if (penaltyMs > 0) return { kind: 'throttled', waitMs: penaltyMs, sent: false };
      const waitMs = budget.take();
      if (waitMs === 0) break;
      if (!patient) return { kind: 'limited', waitMs };
      await new Promise<void>((resolve) => clock.setTimer(resolve, waitMs));
    }
    const sentAt = clock.monotonic();
    let reply: HttpReply;
    try {
      reply = await http.request({ ...request, headers: { ...options.headers, ...request.headers } });
    } catch (thrown) {
      const sent = !(thrown instanceof SessionRelayError && thrown.code === 'source_unavailable');
      const reason = hide(messageOf(thrown));
      if (!closed) link.failed({ reason, byVenue: false, dialled: sent });
      return { kind: 'failed', reason, sent };
    }
    const answer = readReply(reply, clock.monotonic() - sentAt, hide);
    if (closed) return answer;
    if (answer.kind !== 'failed') link.answered();
    else if (proves) link.failed({ reason: answer.reason, byVenue: true });
    if (answer.kind === 'throttled') penalize(reply.headers['retry-after']);
    return answer.kind === 'throttled' ? { ...answer, waitMs: penalty.leftMs() } : answer;
  };

  return {
    send: (request, { patient = true, proves = true } = {}) => send(request, patient, proves),
    penalize,
    resumePenalty: penalty.resume,
    penaltyLeftMs: penalty.leftMs,
    get link() {
      return link.link;
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

/** The gateway's own words for an answer that it could not give. */
const NO_ANSWER = /failed to process request/i;
const LOGIN_PAGE = /\/sso\//i;

/** What one answer means. Errors come with HTTP 200, too, and as JSON, plain text and pages. */
export function readReply(reply: HttpReply, rttMs: number, hide: (text: string) => string): Answer {
  const { status, headers } = reply;
  if (status === 429) return { kind: 'throttled', waitMs: PENALTY_MS, sent: true };
  if (status >= 300 && status < 400) {
    const { location } = headers;
    if (location === undefined || LOGIN_PAGE.test(location)) return { kind: 'redirected' };
    return { kind: 'failed', reason: `HTTP ${status} to somewhere that is not the login page`, sent: true };
  }
  const body = parseJson(reply.body);
  const isOk = status >= 200 && status < 300;
  const complaint = isOk ? readComplaint(body) : (readRefusal(body, reply.body) ?? `HTTP ${status}`);
  if (complaint === undefined) {
    if (typeof body === 'object' && body !== null) return { kind: 'ok', body, rttMs };
    return { kind: 'failed', reason: 'the venue answered with something that is no JSON object', sent: true };
  }
  const message = hide(complaint).slice(0, MAX_MESSAGE_CHARACTERS);
  if (status >= 500 || NO_ANSWER.test(message)) {
    return { kind: 'failed', reason: `the venue answered with HTTP ${status}: ${message}`, sent: true, status };
  }
  return { kind: 'refused', status, message };
}
