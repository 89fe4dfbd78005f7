import type { Environment } from '../../model/event.js';
import type { Clock } from '../../net/clock.js';
import type { Incoming, RpcError } from '../../net/json-rpc.js';
import type { Secrets } from '../secrets.js';
import type { Book } from './book.js';
import type { Confirmation } from './confirm.js';
import type { Connection } from './connection.js';
import { CODE } from './failures.js';
import type { Heartbeat } from './heartbeat.js';
import { METHOD, parseExtras, parseHeartbeat, parseSubscription } from './messages.js';
import type { Outbound } from './outbound.js';

/** Reads what comes in: answers first, then tells. Replies settle their own requests; what they say beside is read here. */
export interface FrameReader {
  /** A connection opened: what the last one was told does not count for it. */
  opened(): void;
  read(connection: Connection, text: string): void;
  /** As the venue says of itself; `undefined` before its first reply. */
  readonly environment: Environment | undefined;
  /** The venue's clock less ours, ms, at its last reply. */
  readonly skewMs: number;
  /** The venue has said that it is about to end the connection. */
  readonly isDismissed: boolean;
}

export interface FrameReaderOptions {
  readonly clock: Clock;
  readonly book: Book;
  readonly heartbeat: Heartbeat;
  readonly outbound: Outbound;
  readonly secrets: Secrets;
  readonly confirmation: Pick<Confirmation, 'look'>;
  /** Channels that somebody subscribed by `call`: passed over. */
  readonly foreign: ReadonlySet<string>;
  readonly relogin: (connection: Connection) => boolean;
}

/** "Too many logins" says no time (12003, 12998). */
const LOGIN_LIMIT_MS = 60_000;
/** So much of a frame that was not understood is searched for secrets. */
const MAX_READ_CHARACTERS = 8_192;
/** Errors that mean more than their request, with an id or without one. */
const CONCERNS_ALL: ReadonlySet<number> = new Set([
  CODE.tooManyRequests,
  CODE.loginOverLimit,
  CODE.securityKeyOverLimit,
  CODE.maintenance,
  CODE.publicMethodsOff,
]);

export function createFrameReader(options: FrameReaderOptions): FrameReader {
  const { clock, book, heartbeat, outbound, secrets, confirmation, foreign } = options;
  let environment: Environment | undefined;
  let skewMs = 0;
  let isDismissed = false;

  const takeReply = ({ method, roundTripMs, error, extras }: Extract<Incoming, { readonly kind: 'reply' }>): void => {
    const { sentAtMs, testnet } = parseExtras(extras);
    if (testnet !== undefined) environment = testnet ? 'test' : 'live';
    if (sentAtMs !== undefined) skewMs = sentAtMs - clock.now();
    if (error !== undefined) takeError(error);
    else if (method === METHOD.test) heartbeat.beat(roundTripMs, sentAtMs);
  };
  const takeError = (error: RpcError): void => {
    switch (error.code) {
      case CODE.tooManyRequests:
        // "we immediately send a too_many_requests … and terminate the session" (Deribit docs, "Rate limits").
        isDismissed = true;
        return outbound.penalize();
      case CODE.loginOverLimit:
      case CODE.securityKeyOverLimit:
        return outbound.penalize(LOGIN_LIMIT_MS);
      case CODE.maintenance:
        isDismissed = true;
        return book.map({ kind: 'error', ...error });
      case CODE.publicMethodsOff:
        return book.map({ kind: 'error', ...error });
    }
  };
  const takeNotification = ({ method, params }: Extract<Incoming, { readonly kind: 'notification' }>): void => {
    if (method === 'subscription' && foreign.size > 0 && foreign.has(parseSubscription(params)?.channel ?? '')) return;
    const before = book.state;
    book.map({ kind: 'notification', method, params });
    const { locked, parts } = book.state;
    // Frames tell of parts alone: whether all of it is locked, or no longer, has to be asked.
    if (parts !== before.parts && (locked || parts.size > before.parts.size)) confirmation.look();
  };

  return {
    opened() {
      isDismissed = false;
      environment = undefined;
    },
    read(connection, text) {
      const incoming = connection.accept(text);
      if (isTestRequest(incoming)) heartbeat.answer();
      heartbeat.seen();
      switch (incoming.kind) {
        case 'reply':
          return takeReply(incoming);
        case 'notification':
          return takeNotification(incoming);
        case 'error': {
          const { error } = incoming;
          if (CONCERNS_ALL.has(error.code)) return takeError(error);
          book.map({ kind: 'error', ...error });
          if (error.code === CODE.unauthorized) options.relogin(connection);
          return;
        }
        case 'bad':
          return book.map({ kind: 'bad', text: secrets.hide(text.slice(0, MAX_READ_CHARACTERS)) });
        case 'late':
          return; // its caller has been told that the outcome is unknown
      }
    },
    get environment() {
      return environment;
    },
    get skewMs() {
      return skewMs;
    },
    get isDismissed() {
      return isDismissed;
    },
  };
}

function isTestRequest(incoming: Incoming): boolean {
  if (incoming.kind !== 'notification') return false;
  if (incoming.method === 'test_request') return true;
  return incoming.method === 'heartbeat' && parseHeartbeat(incoming.params) === 'test_request';
}
