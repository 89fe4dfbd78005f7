import { type ErrorCode, SessionRelayError } from '../errors.js';
import { parseCursor } from '../model/cursor.js';
import type { Json } from '../model/json.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Admitted } from './connection.js';
import { errorOf } from './endings.js';
import { cursor } from './event-shape.js';
import type { Reply, RpcError } from './frames.js';
import { boolean, json, oneOf, shape, string } from './shape.js';

/** A command that was carried out. */
export type CommandReply =
  | {
      readonly result: Json;
      /** Where its audit trail ends. */
      readonly cursor: string;
      readonly requestId: string;
      /** It had been carried out before: this is its first result. */
      readonly replayed?: boolean;
    }
  /** It had been carried out before the relay restarted: the result is gone. */
  | { readonly replayed: true; readonly outcome: 'succeeded'; readonly cursor: string; readonly requestId: string };

/** What is known of a command that was rejected: `error.data.outcome`. */
export type CommandOutcome = 'not_done' | 'failed' | 'unknown';

export interface CommandOptions {
  /** The session's token, where the command is about one. */
  readonly session?: string;
  /** Default: a new one. The same id again within ten minutes is answered with the first result; nothing is done twice. */
  readonly requestId?: string;
  /** Until it is given up, the wait for a connection included. Default 45 000; at most 540 000. */
  readonly timeoutMs?: number;
}

export interface CommandRequest extends CommandOptions {
  readonly source: string;
  readonly command: string;
  readonly params: { readonly [name: string]: Json };
}

/** Commands that wait for their answers, across connections. */
export interface Commands {
  run(request: CommandRequest): Promise<CommandReply>;
  online(admitted: Admitted): void;
  /** A new token, and maybe another identity. */
  regranted(identity: string): void;
  offline(): void;
  /** Rejects all that wait, and all that come, with this. */
  stop(error: SessionRelayError): void;
}

/** The relay's own limit is 30 s. */
const TIMEOUT_MS = 45_000;
/** The relay remembers a request for ten minutes: later the same id would be a new command. */
const MAX_TIMEOUT_MS = 540_000;

interface Waiting {
  readonly request: CommandRequest & { readonly requestId: string };
  /** When it was sent first: what the relay's memory must reach back to. */
  sent: { readonly cursor: string; readonly identity: string | undefined } | undefined;
  asked: number;
  readonly resolve: (reply: CommandReply) => void;
  readonly reject: (error: SessionRelayError) => void;
}

const isResult = shape({ result: json, cursor, requestId: string }, { replayed: boolean });
const isReplayed = shape({
  replayed: oneOf([true]),
  outcome: oneOf(['succeeded', 'failed', 'unknown']),
  cursor,
  requestId: string,
});
const isPage = shape({ complete: boolean });

export function createCommands(clock: Clock): Commands {
  const waiting = new Set<Waiting>();
  let admitted: Admitted | undefined;
  let over: SessionRelayError | undefined;

  const send = (one: Waiting): void => {
    if (admitted === undefined) return;
    const { line, welcome, identity } = admitted;
    const { source, session, command, params, requestId } = one.request;
    const call = { source, command, params, requestId, ...(session === undefined ? {} : { session }) };
    one.asked++;
    one.sent ??= { cursor: welcome.cursor, identity };
    const sent = line.ask('command', call, (reply) => {
      if (waiting.has(one)) answered(one, reply);
    });
    if (sent) return undefined;
    one.asked--;
    return one.reject(fail(one, 'invalid_params', 'the command is larger than the relay reads'));
  };

  /**
   * What was under way when the connection died is asked again under its own id, which the relay answers with the first
   * result. That holds while the relay remembers: in the same life of its hub, or where its journal reaches back.
   */
  const resume = (one: Waiting): void => {
    const { sent } = one;
    if (sent === undefined) return send(one);
    const { line, welcome, identity } = admitted ?? {};
    if (line === undefined || welcome === undefined) return undefined;
    if (identity !== sent.identity) return one.reject(lost(one, 'the token now names another identity'));
    if (parseCursor(welcome.cursor)?.epoch === parseCursor(sent.cursor)?.epoch) return send(one);
    line.ask('get_events', { since: sent.cursor, limit: 1 }, (reply) => {
      if (!waiting.has(one)) return;
      if (reply.ok && isPage(reply.result) && reply.result.complete) send(one);
      else one.reject(lost(one, 'the relay restarted without its journal'));
    });
    return undefined;
  };

  const answered = (one: Waiting, reply: Reply): void => {
    if (!reply.ok) return one.reject(refusal(one, reply.error));
    const { result } = reply;
    if (isResult(result)) return one.resolve(result);
    if (!isReplayed(result)) return one.reject(lost(one, 'the answer cannot be read'));
    const { outcome } = result;
    if (outcome === 'succeeded') return one.resolve({ ...result, outcome });
    if (outcome === 'failed')
      return one.reject(fail(one, 'venue_error', 'it failed before the relay restarted', outcome));
    return one.reject(lost(one, 'the relay restarted meanwhile'));
  };

  const refusal = (one: Waiting, error: RpcError): SessionRelayError => {
    const { requestId } = one.request;
    // A later refusal says nothing of an earlier asking.
    const isOpen = one.asked > 1 || error.code === 4504 || error.code === -32_603;
    const outcome: CommandOutcome = error.code === 4424 ? 'failed' : isOpen ? 'unknown' : 'not_done';
    return errorOf(error, { requestId, outcome });
  };

  return {
    run(request) {
      const { requestId = newRequestId(), timeoutMs = TIMEOUT_MS } = request;
      return new Promise((resolve, reject) => {
        let timer: Timer | undefined;
        const settled = (): void => {
          timer?.cancel();
          waiting.delete(one);
        };
        const one: Waiting = {
          request: { ...request, requestId },
          sent: undefined,
          asked: 0,
          resolve(reply) {
            settled();
            resolve(reply);
          },
          reject(error) {
            settled();
            reject(error);
          },
        };
        if (over !== undefined) return reject(stopped(one, over));
        timer = clock.setTimer(
          () => {
            if (one.asked > 0) one.reject(lost(one, 'no answer came in time'));
            else one.reject(fail(one, 'relay_unreachable', 'the relay was out of reach: the command was not sent'));
          },
          Math.min(timeoutMs, MAX_TIMEOUT_MS),
        );
        waiting.add(one);
        return send(one);
      });
    },
    online(next) {
      admitted = next;
      for (const one of [...waiting]) resume(one);
    },
    regranted(identity) {
      if (admitted !== undefined) admitted = { ...admitted, identity };
    },
    offline() {
      admitted = undefined;
    },
    stop(error) {
      over = error;
      admitted = undefined;
      for (const one of [...waiting]) one.reject(stopped(one, error));
    },
  };
}

/** What is known of one that is given up. */
function outcomeOf({ asked }: Waiting): CommandOutcome {
  return asked > 0 ? 'unknown' : 'not_done';
}

function fail(
  one: Waiting,
  code: ErrorCode,
  message: string,
  outcome: CommandOutcome = outcomeOf(one),
): SessionRelayError {
  const { requestId } = one.request;
  return new SessionRelayError(code, message, { data: { requestId, outcome } });
}

/** The outcome is unknown, and said to be so: never done, never not done (PROTOCOL.md §6). */
function lost(one: Waiting, why: string): SessionRelayError {
  const { command, source } = one.request;
  return fail(one, 'venue_timeout', `whether ${source} carried out ${command} is unknown: ${why}`, 'unknown');
}

function stopped(one: Waiting, error: SessionRelayError): SessionRelayError {
  const data = { ...error.data, requestId: one.request.requestId, outcome: outcomeOf(one) };
  return new SessionRelayError(error.code, error.message, { cause: error, data });
}

/** `crypto.randomUUID` is not there on pages that came over plain HTTP. */
function newRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
