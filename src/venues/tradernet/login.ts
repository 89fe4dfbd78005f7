import { SessionRelayError, VenueError } from '../../errors.js';
import { type EventData, type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Timer } from '../../net/clock.js';
import { createRetry } from '../../net/retry.js';
import type { Secrets } from '../secrets.js';
import type { VenuePorts } from '../venue.js';
import type { Api, Auth } from './api.js';
import type { Book } from './book.js';
import { errorOf, limited } from './failures.js';
import type { LoginGuard } from './guard.js';
import type { HttpLine } from './http-line.js';
import { loseLogin, openLogin, renewLogin, wantAttention } from './mapper.js';
import type { TradernetConfig } from './options.js';

/**
 * The login of one source: gets a SID where login and password are configured, notices that the venue drops it, gets
 * another one, guarded, and asks for a person where that does not help. Knows no socket.
 */
export interface Login {
  start(): void;
  /** A person asks for it: from whatever state, with all late retries ahead. */
  again(): void;
  /** Gets another SID now. Resolves when it is there; rejects as `errors.ts` says, and leaves the present one then. */
  renew(): Promise<void>;
  /** The venue no longer takes the login. One that can be had anew is; else a person is asked for. */
  ended(reason: string, code?: string | number): void;
  /** Nothing goes on until a person has done something; the fact that says so has been told. */
  hold(): void;
  /** The venue has proved it. */
  proved(): void;
  stop(): void;
  auth(): Auth | undefined;
  readonly phase: Phase;
  /** Counts logins and their ends: what was asked under an older one is not for this one. */
  readonly epoch: number;
  /** Whether that epoch is still the present one, and live. */
  isCurrent(epoch: number): boolean;
}

/** `entering`: on the way to a login; `live`: there is one; `held`: a person is needed. */
export type Phase = 'idle' | 'entering' | 'live' | 'held' | 'stopped';

/** Logins that the relay repeats by itself are spread by so much for each before. */
export const REPEAT_SPREAD_MS = 30_000;
/** After `session.attention`, for credentials that have worked: one more try after each of these, then none. */
export const LATE_RETRIES_MS: readonly number[] = [300_000, 900_000, 1_800_000];
/** A front that refuses this client (403) is not asked more often. */
export const BLOCKED_RETRY_MS = 60_000;

/** Why the relay logs in: `repeat` because the venue dropped the last login, `late` after a person was asked for. */
type Reason = 'first' | 'repeat' | 'late' | 'asked';

export interface LoginOptions {
  readonly config: TradernetConfig;
  readonly ports: Pick<VenuePorts, 'clock' | 'random' | 'log'>;
  readonly api: Api;
  readonly book: Book;
  readonly guard: LoginGuard;
  readonly http: Pick<HttpLine, 'generation'>;
  readonly secrets: Secrets;
  /** The generation of the socket, for facts. */
  readonly generation: () => number;
  /** There is a login to connect with. */
  readonly live: () => void;
  /** There is none any more: end what uses it. `held`: and none will come by itself soon. */
  readonly left: (why: string, held: boolean) => void;
}

export function createLogin(options: LoginOptions): Login {
  const { api, book, guard, http, config } = options;
  const { clock, random, log } = options.ports;
  const { credentials, id: source } = config;
  const retry = createRetry({ clock, random });
  let phase: Phase = 'idle';
  let epoch = 0;
  let sid = 'sid' in credentials ? credentials.sid : undefined;
  /** The one step that waits. */
  let step: Timer | undefined;
  let lateTries = 0;
  /** A late retry that has not been proved. */
  let isLate = false;

  const hasWorked = (): boolean => book.state.login.worked;
  const wait = (ms: number, task: () => void): void => {
    step?.cancel();
    step = clock.setTimer(task, ms);
  };

  const enter = async (why: Reason): Promise<void> => {
    step?.cancel();
    phase = 'entering';
    isLate = why === 'late';
    const mine = ++epoch;
    if ('login' in credentials && sid === undefined) {
      const waitMs = guard.waitMs();
      if (waitMs > 0) {
        wait(waitMs, () => void enter(why));
        return;
      }
      const unsent = guard.sent(why === 'repeat');
      const answer = await api.login(credentials.login, credentials.password);
      if ('sent' in answer && !answer.sent) unsent();
      if (mine !== epoch) return;
      if (answer.kind !== 'ok') {
        takeFailure(why, answer);
        return;
      }
      retry.healthy();
      adopt(answer.sid);
    }
    goLive();
  };

  const takeFailure = (why: Reason, answer: Exclude<Awaited<ReturnType<Api['login']>>, { kind: 'ok' }>): void => {
    switch (answer.kind) {
      case 'two_factor':
        ask('two_factor', TYPE_A_CODE, false);
        return;
      case 'refused': {
        log.warn('the venue refused the login', { source, code: answer.code });
        const words = `The venue refused the login (${answer.code}): check login and password.`;
        ask('check_credentials', words, hasWorked());
        return;
      }
      case 'throttled':
      case 'limited':
        wait(answer.waitMs, () => void enter(why));
        return;
      case 'blocked':
      case 'failed': {
        retry.ended();
        const { attempt, delayMs } = retry.next(answer.kind === 'blocked' ? BLOCKED_RETRY_MS : 0);
        const { generation } = http;
        const data = { carrier: 'http', generation, attempt, delayMs } as const;
        book.tell([{ source, session: SOURCE_TOKEN, generation, type: 'link.retrying', data } satisfies Fact]);
        wait(delayMs, () => void enter(why));
      }
    }
  };

  const adopt = (fresh: string): void => {
    options.secrets.add(fresh);
    sid = fresh;
    book.apply((state) => [renewLogin(state), []]);
  };
  const goLive = (): void => {
    phase = 'live';
    options.live();
  };

  const ended = (reason: string, code?: string | number): void => {
    book.apply((state) => loseLogin(state, reason, options.generation(), code));
    ++epoch;
    phase = 'entering';
    options.left(`the venue does not take the login: ${reason}`, false);
    if (!('login' in credentials)) {
      const what = 'sid' in credentials ? 'the SID has ended: configure a new one' : 'check the API key and its domain';
      askAnew(`The venue does not take the login (${reason}): ${what}.`);
      return;
    }
    sid = undefined;
    if (isLate || guard.repeatWaitMs() > 0) {
      askAnew(`The venue drops each login (${reason}): log in by hand; an account without a live part stays demo.`);
      return;
    }
    const delayMs = guard.repeats * REPEAT_SPREAD_MS;
    if (delayMs === 0) void enter('repeat');
    else wait(delayMs, () => void enter('repeat'));
  };

  /** Credentials that never worked are wrong; those that did may work again. */
  const askAnew = (instructions: string): void => {
    const worked = hasWorked();
    ask(worked ? 'login' : 'check_credentials', instructions, worked);
  };
  const ask = (action: EventData<'session.attention'>['action'], instructions: string, late: boolean): void => {
    book.apply((state) => wantAttention(state, action, instructions, options.generation()));
    hold();
    const delayMs = LATE_RETRIES_MS[lateTries];
    if (!late || delayMs === undefined) return;
    wait(delayMs, () => {
      lateTries++;
      void enter('late');
    });
  };
  const hold = (): void => {
    step?.cancel();
    phase = 'held';
    ++epoch;
    options.left('a person is needed: see session.attention', true);
  };

  return {
    start() {
      book.apply(openLogin);
      void enter('first');
    },
    again() {
      lateTries = 0;
      void enter('asked');
    },
    async renew() {
      if (!('login' in credentials)) {
        const why = 'this source has no login and password: configure new credentials and restart it';
        throw new SessionRelayError('conflict', `tradernet.${source}: ${why}`, { data: { why: 'no_password' } });
      }
      const waitMs = guard.waitMs();
      if (waitMs > 0) throw limited(waitMs);
      const unsent = guard.sent(false);
      const answer = await api.login(credentials.login, credentials.password);
      if ('sent' in answer && !answer.sent) unsent();
      if (phase === 'stopped') throw new SessionRelayError('closed', `tradernet.${source} is stopped`);
      if (answer.kind === 'two_factor') {
        if (phase !== 'live') ask('two_factor', TYPE_A_CODE, false);
        throw new VenueError('two_factor', answer.message);
      }
      if (answer.kind !== 'ok') throw errorOf(answer);
      step?.cancel();
      ++epoch;
      lateTries = 0;
      isLate = false;
      adopt(answer.sid);
      options.left('logged in anew', false);
      goLive();
    },
    ended,
    hold,
    proved() {
      isLate = false;
      lateTries = 0;
    },
    stop() {
      step?.cancel();
      phase = 'stopped';
      ++epoch;
    },
    auth() {
      if ('publicKey' in credentials) return credentials;
      return sid === undefined ? undefined : { sid };
    },
    get phase() {
      return phase;
    },
    get epoch() {
      return epoch;
    },
    isCurrent: (mine) => mine === epoch && phase === 'live',
  };
}

const TYPE_A_CODE = 'The venue asks for a code: log in by hand, or configure a SID.';
