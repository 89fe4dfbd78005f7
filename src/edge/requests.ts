import type { Bus } from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { type Conduct, createConduct } from './conduct.js';
import { CLOSE, invalidParams, type WireError, wireError } from './errors.js';
import { type Limits, MAX_PING_BYTES } from './limits.js';
import { authParams, noParams, type SubscribeParams, subscribeParams, unsubscribeParams } from './params.js';
import {
  commandParams,
  eventsParams,
  getEvents,
  getSessions,
  getSources,
  runCommand,
  sessionsParams,
} from './queries.js';
import { type Id, type Method, parseParams, readFrame } from './request.js';

/** What one subscriber asks: its conduct is watched, and each request is answered, or refused, once. */
export interface Requests {
  /** One text message. */
  receive(text: string): void;
  /**
   * Nothing was asked since this was asked last, and nothing is being answered. Where that is a heartbeat ago or more,
   * all windows of its conduct (10 s at most) are over, and another of these would do the same.
   */
  isQuiet(): boolean;
}

/** The connection that asks. */
export interface Asker {
  isOver(): boolean;
  /** `undefined` until it has shown credentials. */
  knownGrant(): Grant | undefined;
  say(message: object): void;
  close(code: number, reason: string): void;
  /** Uses what a token grants; what `auth` is answered with. */
  authorise(token: string): Promise<object>;
  /** `answer` is called once, between what was sent before and what the new subscriptions send. */
  subscribe(mine: Grant, params: SubscribeParams, answer: (result: object) => void): Promise<void>;
  unsubscribe(channels: { has(channel: string): boolean }): void;
}

export interface RequestsTerms {
  readonly bus: Bus;
  readonly limits: Pick<Limits, 'maxRequestsPerSecond'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function createRequests(terms: RequestsTerms, asker: Asker): Requests {
  return new AskersRequests(terms, asker);
}

class AskersRequests implements Requests {
  private readonly terms: RequestsTerms;
  private readonly asker: Asker;
  private readonly conduct: Conduct;
  /** Requests that are being answered. */
  private pending = 0;
  private asked = false;
  /** `auth`, `subscribe` and `unsubscribe` are answered in the order in which they came: the last of them. */
  private inOrder: Promise<void> | undefined;

  constructor(terms: RequestsTerms, asker: Asker) {
    this.terms = terms;
    this.asker = asker;
    this.conduct = createConduct(terms.clock, terms.limits);
  }

  isQuiet(): boolean {
    const isQuiet = !this.asked && this.pending === 0;
    this.asked = false;
    return isQuiet;
  }

  receive(text: string): void {
    this.asked = true;
    const frame = readFrame(text);
    if (!frame.ok) return this.refuse(frame.id, { code: frame.code, message: frame.message });
    const { id, method, params } = frame;
    const verdict = this.conduct.ask(this.pending);
    if (verdict.how === 'close') return this.asker.close(CLOSE.overRate, 'over the request rate for too long');
    if (verdict.how === 'refuse') {
      const { message, retryAfterMs } = verdict;
      return this.refuse(id, { code: 4429, message, data: { retryAfterMs } });
    }
    this.pending++;
    if (IN_ORDER.has(method)) this.inTurn(() => this.serve(id, method, params));
    else void this.serve(id, method, params);
    return undefined;
  }

  private inTurn(task: () => Promise<void>): void {
    const turn = (this.inOrder ?? Promise.resolve()).then(task);
    this.inOrder = turn;
    void turn.then(() => {
      if (this.inOrder === turn) this.inOrder = undefined;
    });
  }

  private async serve(id: Id, method: Method, params: unknown): Promise<void> {
    const { log } = this.terms;
    try {
      if (!this.asker.isOver()) await this.carryOut(id, method, params);
    } catch (thrown) {
      const error = wireError(thrown, this.asker.knownGrant()?.fields);
      if (error.code === -32_603) log.error(`${method} failed`, { error: messageOf(thrown) });
      if (!this.asker.isOver()) this.refuse(id, error);
    } finally {
      this.pending--;
    }
  }

  private async carryOut(id: Id, method: Method, params: unknown): Promise<void> {
    const { asker } = this;
    const { bus } = this.terms;
    const answer = (result: unknown): void => asker.say({ id, result });
    if (method === 'ping') {
      if (Buffer.byteLength(JSON.stringify(params ?? null)) > MAX_PING_BYTES)
        throw invalidParams(`params: at most ${MAX_PING_BYTES} bytes`);
      return answer(params ?? null);
    }
    if (method === 'auth') return answer(await asker.authorise(parseParams(authParams, params).token));
    const mine = asker.knownGrant();
    if (mine === undefined) throw new SessionRelayError('unauthenticated', 'no credentials yet: call auth first');
    switch (method) {
      case 'subscribe':
        return asker.subscribe(mine, parseParams(subscribeParams, params), answer);
      case 'unsubscribe': {
        const { channels } = parseParams(unsubscribeParams, params);
        asker.unsubscribe(new Set(channels));
        return answer({ channels });
      }
      case 'get_sessions':
        return answer(await getSessions(bus, mine, parseParams(sessionsParams, params)));
      case 'get_events':
        return answer(await getEvents(bus, mine, parseParams(eventsParams, params)));
      case 'get_sources':
        parseParams(noParams, params);
        return answer(await getSources(bus, mine));
      case 'command':
        return answer(await runCommand(bus, mine, parseParams(commandParams, params)));
    }
  }

  private refuse(id: Id, error: WireError): void {
    if (this.conduct.isTooMany(error.code))
      this.asker.close(CLOSE.protocol, 'too many requests that do not follow the protocol');
    else this.asker.say({ id, error });
  }
}

/** Answered in the order in which they came. */
const IN_ORDER: ReadonlySet<Method> = new Set(['auth', 'subscribe', 'unsubscribe']);
