import type { Clock } from '../../net/clock.js';
import { onceRemembered } from '../remembered.js';
import type { Secrets } from '../secrets.js';
import { type Api, type Asked, type How, isUnsent } from './api.js';
import type { Book } from './book.js';
import { taken } from './compete.js';
import { judgeSso } from './decision.js';
import {
  beatOf,
  learn,
  learnInit,
  learnNoBridge,
  learnNoTickle,
  learnNothing,
  learnSso,
  learnSsoRefused,
  learnStatus,
  logOut,
  mapFrame,
  noteFault,
} from './mapper.js';
import type { BrokerageStatus, Frame, SsoAnswer, TickleAnswer } from './messages.js';
import type { Mapped, Told } from './settle.js';

/**
 * The operations of the venue, each with what its answer means for the sessions: rounds and commands run the same
 * code. An answer to a question that is older than what was learnt since is dropped. None of them rejects.
 */
export interface Operations {
  tickle(how?: How): Promise<Asked<TickleAnswer>>;
  authStatus(how?: How): Promise<Asked<BrokerageStatus>>;
  init(compete: boolean, how?: How): Promise<Asked<BrokerageStatus>>;
  reauthenticate(how?: How): Promise<Asked<{ readonly message: string }>>;
  validate(how?: How): Promise<Asked<SsoAnswer>>;
  logout(how?: How): Promise<Asked<Record<never, never>>>;
  /** A frame of the socket: as good as an answer to a question that was asked just now. */
  frame(frame: Frame, told: Told): void;
}

const NO_SESSION = /no session/i;
const NO_BRIDGE = /no bridge|init session first/i;
const UNAUTHORIZED: ReadonlySet<number> = new Set([401, 403, 410]);

export function createOperations(options: {
  readonly api: Api;
  readonly book: Book;
  readonly clock: Clock;
  readonly secrets: Secrets;
  readonly told: () => Told;
  /** The credential of the socket. */
  readonly session: (session: string) => void;
}): Operations {
  const { api, book, clock, secrets, told } = options;
  /** Questions, and frames of the socket, in the order of their sending. */
  let asked = 0;
  /** The newest question whose answer was taken for a status. */
  let newest = 0;
  /** What was asked before this is of a login that is over. */
  let barrier = 0;
  /** A logout is under way: that the sessions end is its doing, and told with its answer. */
  let leaving = false;

  const apply = (change: (state: typeof book.state, told: Told) => Mapped): void =>
    book.apply((state) => change(state, told()));
  const noteRefusal = (
    path: string,
    { status, message }: { readonly status: number; readonly message: string },
  ): void =>
    book.apply((state) => noteFault(state, `${path} ${status}`, 'unknown_value', `${path}: ${status} ${message}`));

  const isCurrent = (mine: number): boolean => mine > barrier && !leaving;
  const takeStatus = (mine: number): boolean => {
    if (!isCurrent(mine) || mine < newest) return false;
    newest = mine;
    return true;
  };
  const isLoginRefusal = (answer: { readonly status: number; readonly message: string }): boolean =>
    UNAUTHORIZED.has(answer.status) || NO_SESSION.test(answer.message);

  const validate = async (how?: How): Promise<Asked<SsoAnswer>> => {
    const mine = ++asked;
    const answer = await api.validate(how);
    if (!isCurrent(mine)) return answer;
    if (answer.kind === 'ok') apply((state, at) => learnSso(state, answer.value, at));
    else if (answer.kind === 'redirected') apply((state, at) => learn(state, { tickle: 'redirected' }, at));
    else if (answer.kind === 'refused') {
      if (!isLoginRefusal(answer)) noteRefusal('/sso/validate', answer);
      apply(learnSsoRefused);
    }
    return answer;
  };

  /** What `/iserver/*` refuses with. 401 there does not mean that the login is over: that is asked. */
  const takeRefusal = async (
    path: string,
    answer: { readonly status: number; readonly message: string },
    mine: number,
  ): Promise<void> => {
    if (NO_BRIDGE.test(answer.message)) {
      if (takeStatus(mine)) apply(learnNoBridge);
      return;
    }
    if (!isLoginRefusal(answer)) {
      noteRefusal(path, answer);
      if (takeStatus(mine)) apply(learnNothing);
      return;
    }
    await validate();
    if (!takeStatus(mine)) return;
    const { evidence } = book.state;
    apply(judgeSso(evidence) === 'valid' && !evidence.validateRefused ? learnNoBridge : learnNothing);
  };

  return {
    async tickle(how) {
      const mine = ++asked;
      const answer = await api.tickle(how);
      if (!isCurrent(mine)) return answer;
      if (answer.kind === 'ok') {
        const { session } = answer.value;
        if (session !== undefined) {
          secrets.add(session);
          options.session(session);
        }
        apply((state, at) => learn(state, { unreachable: false, tickle: 'ok', validateRefused: false }, at));
      } else if (answer.kind === 'redirected') {
        apply((state, at) => learn(state, { unreachable: false, tickle: 'redirected' }, at));
      } else if (answer.kind === 'refused') {
        if (!isLoginRefusal(answer)) {
          noteRefusal('/tickle', answer);
          apply(learnNoTickle);
        } else apply((state, at) => learn(state, { unreachable: false, tickle: 'refused' }, at));
      }
      return answer;
    },
    async authStatus(how) {
      const mine = ++asked;
      const answer = await api.authStatus(how);
      switch (answer.kind) {
        case 'ok':
          if (!takeStatus(mine)) break;
          apply((state, at) => learnStatus(state, answer.value, at));
          book.tell(beatOf(book.state, answer.rttMs, told()));
          break;
        case 'redirected':
          if (isCurrent(mine)) apply((state, at) => learn(state, { tickle: 'redirected' }, at));
          break;
        case 'refused':
          await takeRefusal('/iserver/auth/status', answer, mine);
          break;
        case 'failed':
          if (takeStatus(mine)) apply(learnNothing);
          break;
      }
      return answer;
    },
    async init(compete, how) {
      const mine = ++asked;
      const before = book.state.takings;
      if (compete) {
        const taking = taken(before, clock.now());
        await onceRemembered(clock, (committed) =>
          book.apply((state) => [{ ...state, takings: taking }, []], committed),
        );
      }
      const answer = await api.init(compete, how);
      if (compete && isUnsent(answer)) book.apply((state) => [{ ...state, takings: before }, []]);
      if (answer.kind === 'ok' && takeStatus(mine)) apply((state, at) => learnInit(state, answer.value, at));
      else if (answer.kind === 'redirected' && isCurrent(mine)) {
        apply((state, at) => learn(state, { tickle: 'redirected' }, at));
      } else if (answer.kind === 'refused' && isLoginRefusal(answer)) await validate();
      return answer;
    },
    reauthenticate: (how) => api.reauthenticate(how),
    validate,
    async logout(how) {
      leaving = true;
      const answer = await api.logout(how);
      leaving = false;
      if (answer.kind === 'ok') {
        barrier = ++asked;
        apply(logOut);
      } else if (answer.kind === 'failed' && answer.sent && answer.status === undefined) {
        // It may have been carried out: whether or not, no login of the relay's own follows.
        book.apply((state) => [{ ...state, loggedOut: true }, []]);
      }
      return answer;
    },
    frame(frame, at) {
      if (frame.kind === 'status') {
        if (leaving) return;
        newest = ++asked;
      }
      book.apply((state) => mapFrame(state, frame, at));
    },
  };
}
