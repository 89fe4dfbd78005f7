import type { Bus } from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { compareCursors } from '../model/cursor.js';
import { timestampOf } from '../model/event.js';
import { allowsChannel, type Grant } from '../model/grant.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import type { authorityProblem } from './admission.js';
import type { Authenticator } from './auth.js';
import { CLOSE } from './errors.js';
import { notification } from './frames.js';
import type { Beating, Heartbeats } from './heartbeats.js';
import { AUTH_TIMEOUT_MS, HEARTBEAT_MS, type Limits, TOKEN_WARNING_MS } from './limits.js';
import { createOutbound, type Outbound, type OutboundOwner } from './outbound.js';
import type { SubscribeParams } from './params.js';
import { createPump, type Pump } from './pump.js';
import type { Replay } from './replay.js';
import { type Asker, createRequests, type Requests } from './requests.js';
import type { States } from './states.js';
import { CLOSE_CODES, countCode, type EdgeStats } from './stats.js';
import { askedOf, beginSubscription } from './subscribing.js';
import type { Outlet, Subscription } from './subscription.js';
import type { Slot, Wire, WireHandlers } from './wire.js';

/** One subscriber: its requests, its subscriptions, its deadlines. Knows the wire as a port, and no socket. */
export interface Connection {
  readonly handlers: WireHandlers;
  readonly seat: Seat;
  /** `undefined` until it has shown credentials. */
  knownGrant(): Grant | undefined;
  /** Whether it fell behind and is not live again on every channel. */
  isLagging(): boolean;
  bufferedBytes(): number;
  /** Its credentials are worth something else now. Subscriptions that the grant does not cover end with `unsubscribed`. */
  regrant(next: Grant): void;
  /** A notification to this subscriber alone. */
  notify(method: string, params: object): void;
  close(code: number, reason: string): void;
}

/** Where one comes from, as far as it decides whether they may be served. */
export type Origin = Parameters<typeof authorityProblem>[0];

/** What an edge keeps of one connection, and is told by it. */
export interface Seat {
  readonly origin: Origin;
  /**
   * The grant is replaced: the edge counts identities. Throws `rate_limited`, now or later, where this one has too many
   * connections and the subscriber has `asked` for it; what the relay itself decides (`renewed`) ends no connection for
   * a count.
   */
  identified(grant: Grant, how: 'asked' | 'renewed'): void | Promise<void>;
  /** Its socket is gone. */
  left(connection: Connection): void;
}

/** What all connections of an edge have in common. */
export interface ConnectionTerms {
  readonly bus: Bus;
  readonly replay: Replay;
  readonly stats: EdgeStats;
  readonly states: States;
  readonly heartbeats: Heartbeats;
  readonly authenticator: Authenticator;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  readonly server: string;
}

/** Sends `welcome`. */
export function createConnection(
  terms: ConnectionTerms,
  { wire, grant, seat }: { readonly wire: Wire; readonly grant: Grant | undefined; readonly seat: Seat },
): Connection {
  const connection = new SubscriberConnection(terms, wire, seat);
  connection.welcome(grant);
  return connection;
}

/**
 * In one object all that others know of a connection: a field costs 8 bytes, a closure 50 and more, and there are as
 * many as subscribers. What most of them do not need most of the time is made when it is needed.
 */
class SubscriberConnection implements Connection, WireHandlers, Outlet, OutboundOwner, Asker, Beating {
  readonly seat: Seat;
  readonly outbound: Outbound;
  private readonly terms: ConnectionTerms;
  private readonly wire: Wire;
  private current: Grant | undefined;
  private subscriptions: readonly Subscription[] = NO_SUBSCRIPTIONS;
  private ownPump: Pump | undefined;
  /** Gone again where nothing was asked for a while. */
  private requests: Requests | undefined;
  /** Without credentials it ends then; with a token that expires it is warned, and ends. */
  private deadline: Timer | undefined;
  private over = false;
  private fellBehind = false;
  /** A heartbeat found no room: it comes when there is some. */
  private owesHeartbeat = false;

  constructor(terms: ConnectionTerms, wire: Wire, seat: Seat) {
    this.terms = terms;
    this.wire = wire;
    this.seat = seat;
    this.outbound = createOutbound(wire, terms, this);
  }

  welcome(grant: Grant | undefined): void {
    const { bus, clock, heartbeats, limits, replay, server } = this.terms;
    this.notify('welcome', {
      server,
      protocol: 1,
      features: [],
      node: bus.node,
      now: timestampOf(clock.now()),
      cursor: replay.channels.position(),
      authRequired: grant === undefined,
      heartbeatMs: HEARTBEAT_MS,
      limits: {
        maxPayloadBytes: limits.maxPayloadBytes,
        maxChannels: limits.maxChannels,
        maxRequestsPerSecond: limits.maxRequestsPerSecond,
      },
    });
    if (!this.over) heartbeats.start(this);
    if (grant !== undefined) this.useGrant(grant);
    else if (!this.over)
      this.deadline = clock.setTimer(
        () => this.close(CLOSE.unauthenticated, 'no credentials in time'),
        AUTH_TIMEOUT_MS,
      );
  }

  get handlers(): WireHandlers {
    return this;
  }

  isOver(): boolean {
    return this.over;
  }

  knownGrant(): Grant | undefined {
    return this.current;
  }

  isLagging(): boolean {
    this.fellBehind &&= this.subscriptions.some((subscription) => !subscription.isLive());
    return this.fellBehind;
  }

  bufferedBytes(): number {
    return this.over ? 0 : this.wire.buffered();
  }

  regrant(next: Grant): void {
    if (this.over) return;
    void this.seat.identified(next, 'renewed');
    this.replaceGrant(next);
  }

  notify(method: string, params: object): void {
    this.say({ method, params });
  }

  close(code: number, reason: string): void {
    if (this.over) return;
    this.shut();
    this.wire.close(code, reason);
  }

  // What its wire tells.

  message(text: string | undefined): void {
    if (this.over) return;
    if (text === undefined) this.close(CLOSE.binary, 'binary frames are not served');
    else {
      this.requests ??= createRequests(this.terms, this);
      this.requests.receive(text);
    }
  }

  drained(): void {
    this.outbound.drained();
    this.ownPump?.wake();
    if (this.owesHeartbeat && !this.over) this.sayHeartbeat();
  }

  closed(code: number): void {
    if (!this.over) this.shut();
    countCode(this.terms.stats.closes, code, CLOSE_CODES);
    this.seat.left(this);
  }

  // What its subscriptions need.

  get pump(): Pump {
    const { replay, stats } = this.terms;
    this.ownPump ??= createPump({
      rounds: replay.rounds,
      outbound: this.outbound,
      stats,
      fail: (thrown) => this.fail(thrown),
    });
    return this.ownPump;
  }

  get stats(): EdgeStats {
    return this.terms.stats;
  }

  get slot(): Slot | undefined {
    return this.wire.slot;
  }

  grant(): Grant {
    return this.current ?? NOBODY;
  }

  fallBehind(): void {
    this.fellBehind = true;
    for (const subscription of this.subscriptions) subscription.fallBehind();
  }

  fail(thrown: unknown): void {
    const { log } = this.terms;
    log.error('a subscription failed', { error: messageOf(thrown) });
    this.close(CLOSE.fault, 'a fault in the relay: connect again and resume');
  }

  /** See {@link OutboundOwner}. */
  left(): void {
    this.ownPump?.wake();
  }

  beat(): void {
    this.sayHeartbeat();
    // A socket tells when it drained; were it ever to forget, nothing would be lost but time.
    this.ownPump?.wake();
    if (this.requests?.isQuiet() === true) this.requests = undefined;
  }

  private shut(): void {
    this.over = true;
    this.terms.heartbeats.stop(this);
    this.deadline?.cancel();
    this.ownPump?.stop();
    this.outbound.stop();
    for (const subscription of this.subscriptions) subscription.end();
    this.subscriptions = NO_SUBSCRIPTIONS;
  }

  say(message: object): void {
    this.outbound.send([JSON.stringify({ jsonrpc: '2.0', ...message })]);
  }

  private sayHeartbeat(): void {
    const { clock, replay } = this.terms;
    const last: Record<string, string> = {};
    const told: Subscription[] = [];
    let cursor = replay.channels.position();
    for (const subscription of this.subscriptions) {
      const sentUpTo = subscription.sentUpTo();
      if (sentUpTo !== undefined && compareCursors(sentUpTo, cursor) < 0) cursor = sentUpTo;
      const now = subscription.group.last;
      if (!subscription.isLive() || subscription.toldLast === now) continue;
      last[subscription.channel] = now;
      told.push(subscription);
    }
    const text = notification('heartbeat', { now: timestampOf(clock.now()), cursor, last });
    this.owesHeartbeat = !this.outbound.spare(text, 'heartbeat');
    if (this.owesHeartbeat) return;
    for (const subscription of told) subscription.toldLast = last[subscription.channel] ?? subscription.toldLast;
  }

  private useGrant(next: Grant): void {
    const { clock } = this.terms;
    this.current = next;
    this.deadline?.cancel();
    this.deadline = undefined;
    const { expiresAtMs } = next;
    if (expiresAtMs === undefined || this.over) return;
    const leftMs = Math.max(0, expiresAtMs - clock.now());
    const warnInMs = Math.max(0, leftMs - TOKEN_WARNING_MS);
    this.deadline = clock.setTimer(() => {
      // First, because what is said may end the connection, and with it every deadline.
      this.deadline = clock.setTimer(
        () => this.close(CLOSE.unauthenticated, 'the token has expired'),
        leftMs - warnInMs,
      );
      this.notify('token_expiring', { inMs: Math.max(0, expiresAtMs - clock.now()) });
    }, warnInMs);
  }

  private replaceGrant(next: Grant): void {
    this.useGrant(next);
    const kept: Subscription[] = [];
    const unsubscribed: object[] = [];
    for (const subscription of this.subscriptions) {
      const { channel } = subscription;
      const allowed = allowsChannel(next, channel);
      if (allowed && subscription.fits(next)) {
        kept.push(subscription);
        continue;
      }
      const reason = allowed
        ? 'the grant shows other fields or sessions now: subscribe again'
        : 'the grant no longer contains this channel';
      unsubscribed.push({ channel, cursor: subscription.sent(), reason });
      subscription.end();
    }
    if (unsubscribed.length > 0) this.subscriptions = kept;
    for (const params of unsubscribed) this.notify('unsubscribed', params);
  }

  async authorise(token: string): Promise<object> {
    const { authenticator } = this.terms;
    let next = await authenticator.authenticate(token);
    this.mustBeHere();
    const counted = this.seat.identified(next, 'asked');
    if (counted !== undefined) {
      await counted;
      this.mustBeHere();
      // Other rules may hold since it was checked.
      next = await authenticator.authenticate(token);
      this.mustBeHere();
    }
    this.replaceGrant(next);
    const { identity, channels, commands, fields, expiresAtMs } = next;
    const expiresAt = expiresAtMs === undefined ? {} : { expiresAt: timestampOf(expiresAtMs) };
    return { identity, channels, commands, fields, ...expiresAt };
  }

  /** Whoever left while its token was checked is counted no more. */
  private mustBeHere(): void {
    if (this.over) throw new SessionRelayError('closed', 'the connection is closed');
  }

  async subscribe(mine: Grant, params: SubscribeParams, answer: (result: object) => void): Promise<void> {
    const { bus, limits } = this.terms;
    const asked = askedOf(mine, params);
    const others = this.subscriptions.filter(({ channel }) => !asked.has(channel));
    if (others.length + asked.size > limits.maxChannels) {
      throw new SessionRelayError('rate_limited', `a connection has at most ${limits.maxChannels} channels`, {
        data: { maxChannels: limits.maxChannels },
      });
    }
    const held = new Set<string>();
    for (const since of new Set(asked.values())) if (since !== undefined && (await bus.holds(since))) held.add(since);
    if (this.over) return undefined;
    if (this.current !== mine) return this.subscribe(this.grant(), params, answer);
    // From here on in one turn: the old terms end, the reply is the fence, the new terms begin behind it.
    this.unsubscribe(asked);
    const begun = [...asked].map(([channel, since]) =>
      beginSubscription(this.terms, this, params, { channel, since, isHeld: since !== undefined && held.has(since) }),
    );
    const added = begun.map(({ subscription }) => subscription);
    this.subscriptions = this.subscriptions.length === 0 ? added : [...this.subscriptions, ...added];
    answer({
      channels: begun.map(({ subscription: { channel, group }, recovered }) => ({
        channel,
        cursor: group.last,
        recovered,
      })),
    });
    for (const subscription of added) subscription.start();
    return undefined;
  }

  unsubscribe(channels: { has(channel: string): boolean }): void {
    const ended = this.subscriptions.filter(({ channel }) => channels.has(channel));
    if (ended.length === 0) return;
    this.subscriptions = this.subscriptions.filter(({ channel }) => !channels.has(channel));
    for (const subscription of ended) subscription.end();
  }
}

const NOBODY: Grant = { identity: '', channels: [], commands: [], fields: 'redacted' };
const NO_SUBSCRIPTIONS: readonly Subscription[] = [];
