import type { Clock } from '../../net/clock.js';
import type { HttpRequest } from '../../net/http.js';
import type { Answer, HttpLine } from './http-line.js';
import {
  type BrokerageStatus,
  readLogout,
  readMessage,
  readSso,
  readStatus,
  readTickle,
  type SsoAnswer,
  type TickleAnswer,
} from './messages.js';
import { type IbkrConfig, TICKLE_APART_MS, VALIDATE_APART_MS } from './options.js';

/** The six operations of the trading session (IBKR Web API, TradingSessionApi). None of them rejects. */
export interface Api {
  /** At most once a second: waits for it, whoever asks. */
  tickle(how?: How): Promise<Asked<TickleAnswer>>;
  authStatus(how?: How): Promise<Asked<BrokerageStatus>>;
  /** `compete: true` ends whatever other login has the brokerage session. */
  init(compete: boolean, how?: How): Promise<Asked<BrokerageStatus>>;
  /** Only triggers: the status tells later what came of it. */
  reauthenticate(how?: How): Promise<Asked<{ readonly message: string }>>;
  /** At most once a minute; `limited` before. */
  validate(how?: How): Promise<Asked<SsoAnswer>>;
  logout(how?: How): Promise<Asked<Record<never, never>>>;
  /**
   * A life before this one may have asked just now, and the venue's limits outlast it. `validatedAgoMs`: how long ago
   * `/sso/validate` was asked, where that is known.
   */
  follows(validatedAgoMs: number | undefined): void;
}

export interface How {
  readonly patient: boolean;
}

export type Asked<T> = { readonly kind: 'ok'; readonly value: T; readonly rttMs: number } | Failure;
export type Failure = Exclude<Answer, { readonly kind: 'ok' }>;

export function createApi(options: {
  readonly line: HttpLine;
  readonly clock: Clock;
  readonly config: Pick<IbkrConfig, 'url' | 'authStatus' | 'reauthenticate'>;
  /** `/sso/validate` is about to be sent, once this resolves; with `false` it never left. */
  readonly validating: (isSent: boolean) => Promise<void>;
}): Api {
  const { line, clock, config } = options;
  let validatedAt = Number.NEGATIVE_INFINITY;
  let tickledAt = Number.NEGATIVE_INFINITY;

  const ask = async <T>(
    request: Omit<HttpRequest, 'url'> & { readonly path: string },
    read: (body: unknown) => T | undefined,
    { patient, proves = true }: { readonly patient: boolean; readonly proves?: boolean },
  ): Promise<Asked<T>> => {
    const { path, ...rest } = request;
    const answer = await line.send({ ...rest, url: config.url + path }, { patient, proves });
    if (answer.kind !== 'ok') return answer;
    const value = read(answer.body);
    if (value !== undefined) return { kind: 'ok', value, rttMs: answer.rttMs };
    return { kind: 'failed', reason: `${path} was answered with something else`, sent: true };
  };

  return {
    async tickle({ patient } = PATIENT) {
      for (;;) {
        const waitMs = tickledAt + TICKLE_APART_MS - clock.monotonic();
        if (waitMs <= 0) break;
        await new Promise<void>((resolve) => clock.setTimer(resolve, waitMs));
      }
      tickledAt = clock.monotonic();
      return ask({ method: 'POST', path: '/tickle' }, readTickle, { patient });
    },
    authStatus: ({ patient } = PATIENT) =>
      ask({ method: config.authStatus.method, path: '/iserver/auth/status' }, readStatus, { patient }),
    init: (compete, { patient } = PATIENT) =>
      ask(
        {
          method: 'POST',
          path: '/iserver/auth/ssodh/init',
          headers: { 'content-type': 'application/json' },
          // `publish: false` is answered with 500.
          body: JSON.stringify({ publish: true, compete }),
        },
        readStatus,
        { patient, proves: false },
      ),
    reauthenticate: ({ patient } = PATIENT) =>
      ask(
        { method: config.reauthenticate.method, path: '/iserver/reauthenticate' },
        (body) => ({ message: readMessage(body) ?? '' }),
        { patient, proves: false },
      ),
    async validate({ patient } = PATIENT) {
      const waitMs = validatedAt + VALIDATE_APART_MS - clock.monotonic();
      if (waitMs > 0) return { kind: 'limited', waitMs };
      const before = validatedAt;
      validatedAt = clock.monotonic();
      await options.validating(true);
      const answer = await ask({ method: 'GET', path: '/sso/validate' }, readSso, { patient });
      if (isUnsent(answer)) {
        validatedAt = before;
        await options.validating(false);
      }
      return answer;
    },
    follows(validatedAgoMs) {
      tickledAt = clock.monotonic();
      if (validatedAgoMs !== undefined) validatedAt = clock.monotonic() - Math.max(0, validatedAgoMs);
    },
    async logout({ patient } = PATIENT) {
      const answer = await ask({ method: 'POST', path: '/logout' }, readLogout, { patient, proves: false });
      if (answer.kind !== 'ok') return answer;
      if (answer.value) return { kind: 'ok', value: {}, rttMs: answer.rttMs };
      return { kind: 'refused', status: 200, message: 'the venue did not log out' };
    },
  };
}

const PATIENT: How = { patient: true };

/** Whether the venue cannot have seen the request. */
export function isUnsent(answer: Asked<unknown>): boolean {
  if (answer.kind === 'limited') return true;
  return (answer.kind === 'throttled' || answer.kind === 'failed') && !answer.sent;
}
