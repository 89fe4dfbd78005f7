import type { Clock } from '../../net/clock.js';
import type { Secrets } from '../secrets.js';
import {
  type Api,
  type Asked,
  type Auth,
  type Failure,
  isRefusedKey,
  isUnknownLogin,
  type ListAnswer,
  type SendOptions,
} from './api.js';
import type { Book } from './book.js';
import { wouldEnd } from './diff.js';
import type { HttpLine } from './http-line.js';
import type { Login } from './login.js';
import { mapFrame, noteFault, proveLogin } from './mapper.js';
import type { Frame } from './messages.js';

/** Reads the list over HTTP and compares it: what the socket did not say, and what nobody says without a socket. */
export interface Reconciler {
  /** Reads the list and takes it in, unless the login changed meanwhile. */
  read(send: SendOptions): Promise<Asked<ListAnswer>>;
}

const NOT_LOGGED_IN: Failure = { kind: 'failed', reason: 'not logged in', sent: false };

export function createReconciler(options: {
  readonly clock: Clock;
  readonly api: Api;
  readonly book: Book;
  readonly http: Pick<HttpLine, 'generation'>;
  readonly login: Pick<Login, 'auth' | 'epoch' | 'isCurrent' | 'ended'>;
  readonly secrets: Secrets;
  /** Full lists that the socket has said so far. */
  readonly lists: () => number;
}): Reconciler {
  const { clock, api, book, http, login } = options;

  const takeList = async ({ rows, unread }: ListAnswer, auth: Auth, mine: number, before: number): Promise<void> => {
    let partial = false;
    // A dead SID may be answered with an empty list: one that would end sessions is believed once the SID is known alive.
    if ('sid' in auth && unread === 0 && wouldEnd(book.state, rows, clock.now())) {
      const life = await lifeOf(auth);
      if (!login.isCurrent(mine)) return;
      if (life === 'dead') {
        login.ended('sid_refused');
        return;
      }
      partial = life === 'unclear';
    }
    const told = { generation: http.generation, atMs: clock.now(), proved: true } as const;
    // A list that came over the socket meanwhile may be the newer one.
    if (options.lists() !== before) book.apply((state) => proveLogin(state, told));
    else {
      const frame: Frame = { kind: 'sessions', rows, unread, proves: true, ...(partial ? { partial } : {}) };
      book.apply((state) => mapFrame(state, { ...told, frame }));
    }
  };

  const takeFailure = async (failure: Failure, auth: Auth, mine: number): Promise<void> => {
    if (failure.kind === 'failed' && failure.garbage !== undefined) {
      const sample = options.secrets.hide(failure.garbage);
      book.apply((state) => noteFault(state, 'garbage over HTTP', 'bad_frame', sample));
    }
    if (failure.kind !== 'refused') return;
    // An error of security sessions is no dead SID (the venue's own SDK): the SID itself is asked about.
    if (!('sid' in auth)) {
      if (isRefusedKey(failure)) login.ended('key_refused', failure.code);
      else refuseList();
      return;
    }
    const life = isUnknownLogin(failure) ? 'dead' : await lifeOf(auth);
    if (!login.isCurrent(mine)) return;
    if (life === 'dead') login.ended('sid_refused', failure.code);
    else {
      if (life === 'alive') book.apply((state) => proveLogin(state, { generation: http.generation }));
      refuseList();
    }
  };
  const refuseList = (): void =>
    book.apply((state) => noteFault(state, 'list refused', 'channel_refused', 'getSecuritySessions'));

  const lifeOf = async (auth: Auth): Promise<'alive' | 'dead' | 'unclear'> => {
    const info = await api.sidInfo(auth);
    if (info.kind === 'ok') return info.value.alive ? 'alive' : 'dead';
    return isUnknownLogin(info) ? 'dead' : 'unclear';
  };

  return {
    async read(send) {
      const auth = login.auth();
      if (auth === undefined) return NOT_LOGGED_IN;
      const mine = login.epoch;
      const before = options.lists();
      const answer = await api.sessions(auth, send);
      if (!login.isCurrent(mine)) return answer;
      if (answer.kind === 'ok') await takeList(answer.value, auth, mine, before);
      else await takeFailure(answer, auth, mine);
      return answer;
    },
  };
}
