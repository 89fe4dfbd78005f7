import { asSessionRelayError, ConfigError, type ErrorCode, SessionRelayError } from '../errors.js';
import type { Clock, Timer } from '../net/clock.js';

/**
 * Two threads of one relay that ask each other things, over a port: data crosses, never a function. Both ends are the
 * same build, so that what arrives is taken for what its sender's types say; nothing from outside comes this way.
 */
export interface Peer<There extends Methods> {
  /** Rejects with what the other side threw, as the same member of the error family, or as `options` say. */
  call<K extends keyof There & string>(
    name: K,
    args: Argument<There[K]>,
    options?: CallOptions,
  ): Promise<Answer<There[K]>>;
  /** Says something to which there is no answer, in the order of everything else that is said. */
  post<K extends keyof There & string>(name: K, args: Argument<There[K]>): void;
  /** Calls that wait for an answer. */
  readonly waiting: number;
  /** Whatever waits is answered with this; nothing is sent or heard any more. Idempotent. */
  close(why: SessionRelayError): void;
}

/** What one side can be asked, by name. One argument, of data; the answer may be a promise. */
export type Methods = Readonly<Record<string, (args: never) => unknown>>;
type Argument<M> = M extends (args: infer A) => unknown ? A : never;
type Answer<M> = M extends (args: never) => infer R ? Awaited<R> : never;

export interface CallOptions {
  /** Default {@link CALL_MS}. */
  readonly withinMs?: number;
  /** What it rejects with where no answer came, in time or at all; default `source_unavailable`. */
  readonly unanswered?: () => SessionRelayError;
}

/** The parts of a port that are used: of a worker's, of its parent's, of a channel's. */
export interface PeerPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  off(event: 'message', listener: (message: unknown) => void): unknown;
}

/** The other thread answers within this, or counts as one that does not. */
export const CALL_MS = 10_000;
/** Calls of one thread that wait for their answers; more are refused at once. */
export const MAX_CALLS = 10_000;
const RETRY_MS = 1_000;

/** What crosses. `error` is a flat copy: a thrown object of the family would arrive as a plain `Error`. */
type Message =
  | { readonly is: 'call'; readonly id: number; readonly name: string; readonly args: unknown }
  | { readonly is: 'post'; readonly name: string; readonly args: unknown }
  | { readonly is: 'done'; readonly id: number; readonly value: unknown }
  | { readonly is: 'failed'; readonly id: number; readonly error: FlatError };

interface FlatError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly problems?: ConfigError['problems'];
}

interface Pending {
  readonly timer: Timer;
  resolve(value: unknown): void;
  reject(error: SessionRelayError): void;
  readonly unanswered: () => SessionRelayError;
}

export function createPeer<There extends Methods>(port: PeerPort, here: Methods, clock: Clock): Peer<There> {
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let closed: SessionRelayError | undefined;

  const send = (message: Message): void => {
    if (closed === undefined) port.postMessage(message);
  };
  const take = (id: number): Pending | undefined => {
    const call = pending.get(id);
    pending.delete(id);
    call?.timer.cancel();
    return call;
  };
  /** What cannot cross is a fault of ours, and whoever waits hears of it. */
  const done = (id: number, value: unknown): void => {
    try {
      send({ is: 'done', id, value });
    } catch (thrown) {
      fail(id, thrown);
    }
  };
  const fail = (id: number, thrown: unknown): void => send({ is: 'failed', id, error: flatten(thrown) });
  const run = (name: string, args: unknown): unknown => {
    const method = here[name] as ((args: unknown) => unknown) | undefined;
    if (method === undefined) throw new SessionRelayError('internal', `the other thread knows no ${name}`);
    return method(args);
  };
  const receive = (received: unknown): void => {
    const message = received as Message;
    switch (message.is) {
      case 'post':
        run(message.name, message.args);
        return;
      case 'call': {
        const { id, name, args } = message;
        let answer: unknown;
        try {
          answer = run(name, args);
        } catch (thrown) {
          return fail(id, thrown);
        }
        // An answer that is there is sent before anything that is said after it.
        if (!(answer instanceof Promise)) return done(id, answer);
        answer.then(
          (value: unknown) => done(id, value),
          (thrown: unknown) => fail(id, thrown),
        );
        return;
      }
      case 'done':
        return take(message.id)?.resolve(message.value);
      case 'failed':
        return take(message.id)?.reject(raise(message.error));
    }
  };
  port.on('message', receive);

  return {
    get waiting() {
      return pending.size;
    },
    call(name, args, { withinMs = CALL_MS, unanswered = noAnswer } = {}) {
      if (closed !== undefined) return Promise.reject(closed);
      if (pending.size >= MAX_CALLS) return Promise.reject(tooMany());
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        const timer = clock.setTimer(() => {
          pending.delete(id);
          reject(unanswered());
        }, withinMs);
        pending.set(id, { timer, resolve: resolve as (value: unknown) => void, reject, unanswered });
        send({ is: 'call', id, name, args });
      });
    },
    post(name, args) {
      send({ is: 'post', name, args });
    },
    close(why) {
      if (closed !== undefined) return;
      closed = why;
      port.off('message', receive);
      for (const id of [...pending.keys()]) {
        const call = take(id);
        call?.reject(call.unanswered === noAnswer ? why : call.unanswered());
      }
    },
  };
}

function noAnswer(): SessionRelayError {
  return new SessionRelayError('source_unavailable', 'the relay does not answer itself in time', {
    data: { retryAfterMs: RETRY_MS },
  });
}

function tooMany(): SessionRelayError {
  return new SessionRelayError('rate_limited', `at most ${MAX_CALLS} requests wait for the relay's hub at once`, {
    data: { retryAfterMs: RETRY_MS },
  });
}

/** The stack stays where it was thrown: of what is a fault, that side's log says more. */
function flatten(thrown: unknown): FlatError {
  const { code, message, data } = asSessionRelayError(thrown);
  return {
    code,
    message,
    ...(data === undefined ? {} : { data: plain(data) }),
    ...(thrown instanceof ConfigError ? { problems: thrown.problems } : {}),
  };
}

/** What a caller may be shown is JSON; nothing else of it crosses. */
function plain(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(data)) as Readonly<Record<string, unknown>>;
}

function raise({ code, message, data, problems }: FlatError): SessionRelayError {
  if (problems !== undefined) return new ConfigError(problems);
  return new SessionRelayError(code, message, data === undefined ? {} : { data });
}
