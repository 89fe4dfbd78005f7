import type { z } from 'zod';
import type { Bus } from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { compareCursors } from '../model/cursor.js';
import { timestampOf } from '../model/event.js';
import { allowsChannel, type Grant } from '../model/grant.js';
import { hasSnapshot } from '../model/subject.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import type { Authenticator } from './auth.js';
import { createConduct } from './conduct.js';
import { CLOSE, invalidParams, type WireError, wireError } from './errors.js';
import { notification } from './frames.js';
import { AUTH_TIMEOUT_MS, HEARTBEAT_MS, type Limits, MAX_PING_BYTES, TOKEN_WARNING_MS } from './limits.js';
import { createOutbound } from './outbound.js';
import { authParams, noParams, subscribeParams, unsubscribeParams } from './params.js';
import { createPump } from './pump.js';
import {
  commandParams,
  eventsParams,
  forbiddenChannel,
  getEvents,
  getSessions,
  getSources,
  runCommand,
  sessionsParams,
} from './queries.js';
import { decideRecovery } from './recovery.js';
import type { Replay } from './replay.js';
import { type Id, type Method, parseParams, readFrame } from './request.js';
import type { States } from './states.js';
import { createStatesSubscription } from './states-subscription.js';
import { CLOSE_CODES, countCode, type EdgeStats } from './stats.js';
import { createSubscription, type Outlet, type Subscription } from './subscription.js';
import type { Wire, WireHandlers } from './wire.js';

/** One subscriber: its requests, its subscriptions, its deadlines. Knows the wire as a port, and no socket. */
export interface Connection {
  readonly handlers: WireHandlers;
  readonly grant: () => Grant | undefined;
  /** Whether it fell behind and is not live again on every channel. */
  readonly isLagging: () => boolean;
  readonly bufferedBytes: () => number;
  /** Its credentials are worth something else now. Subscriptions that the grant does not cover end with `unsubscribed`. */
  regrant(next: Grant): void;
  /** A notification to this subscriber alone. */
  notify(method: string, params: object): void;
  close(code: number, reason: string): void;
}

export interface ConnectionOptions {
  readonly wire: Wire;
  readonly grant: Grant | undefined;
  readonly bus: Bus;
  readonly replay: Replay;
  readonly stats: EdgeStats;
  readonly states: States;
  readonly authenticator: Authenticator;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  readonly server: string;
  /**
   * The grant is replaced: the edge counts identities. Throws `rate_limited`, now or later, where this one has too many
   * connections and the subscriber has `asked` for it; what the relay itself decides (`renewed`) ends no connection for
   * a count.
   */
  readonly identified: (grant: Grant, how: 'asked' | 'renewed') => void | Promise<void>;
  readonly closed: () => void;
}

export function createConnection(options: ConnectionOptions): Connection {
  const { wire, bus, replay, stats, states, authenticator, limits, clock, log } = options;
  const { channels } = replay;
  const subscriptions = new Map<string, Subscription>();
  /** What each channel's `last` was when the subscriber was last told. */
  const toldLast = new Map<string, string>();
  const timers = new Set<Timer>();
  const conduct = createConduct(clock, limits);
  let grant = options.grant;
  let tokenTimers: Timer[] = [];
  let over = false;
  let fellBehind = false;
  /** A heartbeat found no room: it comes when there is some. */
  let owesHeartbeat = false;
  let pending = 0;
  /** `auth`, `subscribe` and `unsubscribe` are answered in the order in which they came. */
  let inOrder: Promise<void> = Promise.resolve();

  const after = (ms: number, task: () => void): void => {
    if (over) return;
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
    }, ms);
    timers.add(timer);
  };

  const close = (code: number, reason: string): void => {
    if (over) return;
    shut();
    wire.close(code, reason);
  };
  const shut = (): void => {
    over = true;
    for (const timer of timers) timer.cancel();
    for (const timer of tokenTimers) timer.cancel();
    pump.stop();
    outbound.stop();
    for (const subscription of subscriptions.values()) subscription.end();
    subscriptions.clear();
  };
  const fail = (thrown: unknown): void => {
    log.error('a subscription failed', { error: messageOf(thrown) });
    close(CLOSE.fault, 'a fault in the relay: connect again and resume');
  };
  const outbound = createOutbound({ wire, limits, clock, log, stats, left: () => pump.wake(), close });
  const pump = createPump({ rounds: replay.rounds, outbound, stats, fail });

  const say = (message: object): void => void outbound.send([JSON.stringify({ jsonrpc: '2.0', ...message })]);
  const notify = (method: string, params: object): void => say({ method, params });
  const answer = (id: Id, result: unknown): void => say({ id, result });
  const refuse = (id: Id, error: WireError): void => {
    if (conduct.isTooMany(error.code)) close(CLOSE.protocol, 'too many requests that do not follow the protocol');
    else say({ id, error });
  };

  const outlet: Outlet = {
    ...outbound,
    pump,
    stats,
    slot: wire.slot,
    fail,
    grant: () => grant ?? NOBODY,
    fallBehind() {
      fellBehind = true;
      for (const subscription of subscriptions.values()) subscription.fallBehind();
    },
  };

  const useGrant = (next: Grant): void => {
    grant = next;
    for (const timer of tokenTimers) timer.cancel();
    tokenTimers = [];
    if (next.expiresAtMs === undefined || over) return;
    const leftMs = Math.max(0, next.expiresAtMs - clock.now());
    tokenTimers.push(
      clock.setTimer(
        () => notify('token_expiring', { inMs: Math.max(0, (next.expiresAtMs ?? 0) - clock.now()) }),
        Math.max(0, leftMs - TOKEN_WARNING_MS),
      ),
      clock.setTimer(() => close(CLOSE.unauthenticated, 'the token has expired'), leftMs),
    );
  };

  const authorise = async (params: z.output<typeof authParams>): Promise<object> => {
    let next = await authenticator.authenticate(params.token);
    // Whoever left while its token was checked is counted no more.
    const mustBeHere = (): void => {
      if (over) throw new SessionRelayError('closed', 'the connection is closed');
    };
    mustBeHere();
    const counted = options.identified(next, 'asked');
    if (counted !== undefined) {
      await counted;
      mustBeHere();
      // Other rules may hold since it was checked.
      next = await authenticator.authenticate(params.token);
      mustBeHere();
    }
    replaceGrant(next);
    const { identity, channels: allowed, commands, fields, expiresAtMs } = next;
    const expiresAt = expiresAtMs === undefined ? {} : { expiresAt: timestampOf(expiresAtMs) };
    return { identity, channels: allowed, commands, fields, ...expiresAt };
  };

  const replaceGrant = (next: Grant): void => {
    useGrant(next);
    for (const subscription of [...subscriptions.values()]) {
      const { channel } = subscription;
      const cursor = subscription.sent();
      if (allowsChannel(next, channel) && subscription.fits(next)) continue;
      const reason = allowsChannel(next, channel)
        ? 'the grant shows other fields or sessions now: subscribe again'
        : 'the grant no longer contains this channel';
      end(subscription);
      notify('unsubscribed', { channel, cursor, reason });
    }
  };

  const end = (subscription: Subscription): void => {
    subscription.end();
    subscriptions.delete(subscription.channel);
    toldLast.delete(subscription.channel);
  };

  const subscribe = async (id: Id, mine: Grant, params: z.output<typeof subscribeParams>): Promise<void> => {
    const asked = new Map<string, string | undefined>();
    for (const entry of params.channels) {
      const { channel, since } = typeof entry === 'string' ? { channel: entry, since: params.since } : entry;
      if (!allowsChannel(mine, channel)) throw forbiddenChannel(channel);
      asked.set(channel, since);
    }
    const added = [...asked.keys()].filter((channel) => !subscriptions.has(channel)).length;
    if (subscriptions.size + added > limits.maxChannels) {
      throw new SessionRelayError('rate_limited', `a connection has at most ${limits.maxChannels} channels`, {
        data: { maxChannels: limits.maxChannels },
      });
    }
    const held = new Map<string, boolean>();
    for (const since of new Set(asked.values())) if (since !== undefined) held.set(since, await bus.holds(since));
    if (over || grant !== mine) return over ? undefined : subscribe(id, grant ?? NOBODY, params);
    // From here on in one turn: the old terms end, the reply is the fence, the new terms begin behind it.
    const begun = [...asked].map(([channel, since]) => {
      const before = subscriptions.get(channel);
      if (before !== undefined) end(before);
      const recovery = decideRecovery({
        since,
        held: since !== undefined && held.get(since) === true,
        hasSnapshot: hasSnapshot(channel),
        snapshot: params.snapshot,
      });
      const terms = { channel, recovery, pulses: params.pulses, outlet };
      const subscription =
        params.mode === 'states'
          ? createStatesSubscription({ ...terms, bus, channels, snapshots: replay.snapshots, states })
          : createSubscription({ ...terms, replay });
      subscriptions.set(channel, subscription);
      toldLast.set(channel, subscription.group.last);
      const recovered = recovery.how !== 'gap';
      if (since !== undefined && recovered) stats.resumed++;
      else if (since !== undefined) stats.unrecovered++;
      return { subscription, recovered };
    });
    answer(id, {
      channels: begun.map(({ subscription: { channel, group }, recovered }) => ({
        channel,
        cursor: group.last,
        recovered,
      })),
    });
    for (const { subscription } of begun)
      if (subscriptions.get(subscription.channel) === subscription) subscription.start();
    return undefined;
  };

  const unsubscribe = (params: z.output<typeof unsubscribeParams>): object => {
    for (const channel of params.channels) {
      const subscription = subscriptions.get(channel);
      if (subscription !== undefined) end(subscription);
    }
    return { channels: params.channels };
  };

  const carryOut = async (id: Id, method: Method, params: unknown): Promise<void> => {
    if (method === 'ping') {
      if (Buffer.byteLength(JSON.stringify(params ?? null)) > MAX_PING_BYTES)
        throw invalidParams(`params: at most ${MAX_PING_BYTES} bytes`);
      return answer(id, params ?? null);
    }
    if (method === 'auth') return answer(id, await authorise(parseParams(authParams, params)));
    const mine = grant;
    if (mine === undefined) throw new SessionRelayError('unauthenticated', 'no credentials yet: call auth first');
    switch (method) {
      case 'subscribe':
        return subscribe(id, mine, parseParams(subscribeParams, params));
      case 'unsubscribe':
        return answer(id, unsubscribe(parseParams(unsubscribeParams, params)));
      case 'get_sessions':
        return answer(id, await getSessions(bus, mine, parseParams(sessionsParams, params)));
      case 'get_events':
        return answer(id, await getEvents(bus, mine, parseParams(eventsParams, params)));
      case 'get_sources':
        parseParams(noParams, params);
        return answer(id, await getSources(bus, mine));
      case 'command':
        return answer(id, await runCommand(bus, mine, parseParams(commandParams, params)));
    }
  };

  const receive = (text: string): void => {
    const frame = readFrame(text);
    if (!frame.ok) return refuse(frame.id, { code: frame.code, message: frame.message });
    const { id, method, params } = frame;
    const verdict = conduct.ask(pending);
    if (verdict.how === 'close') return close(CLOSE.overRate, 'over the request rate for too long');
    if (verdict.how === 'refuse') {
      const { message, retryAfterMs } = verdict;
      return refuse(id, { code: 4429, message, data: { retryAfterMs } });
    }
    pending++;
    const task = async (): Promise<void> => {
      try {
        if (!over) await carryOut(id, method, params);
      } catch (thrown) {
        const error = wireError(thrown, grant?.fields);
        if (error.code === -32_603) log.error(`${method} failed`, { error: messageOf(thrown) });
        if (!over) refuse(id, error);
      } finally {
        pending--;
      }
    };
    if (IN_ORDER.has(method)) inOrder = inOrder.then(task);
    else void task();
    return undefined;
  };

  const heartbeat = (): void => {
    beat();
    // A socket tells when it drained; were it ever to forget, nothing would be lost but time.
    pump.wake();
    after(HEARTBEAT_MS, heartbeat);
  };
  const beat = (): void => {
    const last: Record<string, string> = {};
    let cursor = channels.position();
    for (const [channel, subscription] of subscriptions) {
      const sentUpTo = subscription.sentUpTo();
      if (sentUpTo !== undefined && compareCursors(sentUpTo, cursor) < 0) cursor = sentUpTo;
      if (!subscription.isLive()) continue;
      const now = subscription.group.last;
      if (toldLast.get(channel) !== now) last[channel] = now;
    }
    const text = notification('heartbeat', { now: timestampOf(clock.now()), cursor, last });
    owesHeartbeat = !outbound.spare(text, 'heartbeat');
    if (owesHeartbeat) return;
    for (const [channel, told] of Object.entries(last)) toldLast.set(channel, told);
  };

  notify('welcome', {
    server: options.server,
    protocol: 1,
    features: [],
    node: bus.node,
    now: timestampOf(clock.now()),
    cursor: channels.position(),
    authRequired: grant === undefined,
    heartbeatMs: HEARTBEAT_MS,
    limits: {
      maxPayloadBytes: limits.maxPayloadBytes,
      maxChannels: limits.maxChannels,
      maxRequestsPerSecond: limits.maxRequestsPerSecond,
    },
  });
  after(HEARTBEAT_MS, heartbeat);
  if (grant !== undefined) useGrant(grant);
  else {
    after(AUTH_TIMEOUT_MS, () => {
      if (grant === undefined) close(CLOSE.unauthenticated, 'no credentials in time');
    });
  }

  return {
    grant: () => grant,
    isLagging() {
      fellBehind &&= [...subscriptions.values()].some((subscription) => !subscription.isLive());
      return fellBehind;
    },
    bufferedBytes: () => (over ? 0 : wire.buffered()),
    regrant(next) {
      if (over) return;
      void options.identified(next, 'renewed');
      replaceGrant(next);
    },
    notify,
    close,
    handlers: {
      message(text) {
        if (over) return;
        if (text === undefined) close(CLOSE.binary, 'binary frames are not served');
        else receive(text);
      },
      drained() {
        outbound.drained();
        pump.wake();
        if (owesHeartbeat && !over) beat();
      },
      closed(code) {
        if (!over) shut();
        countCode(stats.closes, code, CLOSE_CODES);
        options.closed();
      },
    },
  };
}

/** Answered in the order in which they came. */
const IN_ORDER: ReadonlySet<Method> = new Set(['auth', 'subscribe', 'unsubscribe']);
const NOBODY: Grant = { identity: '', channels: [], commands: [], fields: 'redacted' };
