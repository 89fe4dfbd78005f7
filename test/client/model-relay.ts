import { z } from 'zod';
import { compareCursors, formatCursor, parseCursor } from '../../src/model/cursor.js';
import { type EventData, type EventType, type SessionEvent, timestampOf } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import { addressOf, coversKey, hasSnapshot, matches } from '../../src/model/subject.js';
import type { Clock } from '../../src/net/clock.js';
import { FakeNetwork, type PeerSocket } from './network.js';

/** A message that the model sends, before it is text. */
export interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: object };
}

export interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A request that a test answers itself: its answer, or `undefined` for none. */
export type Answer = (request: Request) => Partial<Message> | undefined;

interface Subscription {
  readonly channel: string;
  readonly pulses: boolean;
  /** Where its replay is; `undefined` while it is live. */
  replaying: { at: string; previous: string } | undefined;
}

interface Peer {
  readonly socket: PeerSocket;
  readonly subscriptions: Map<string, Subscription>;
  readonly told: Map<string, string>;
  authorised: boolean;
}

const request = z.object({ id: z.number(), method: z.string(), params: z.record(z.string(), z.unknown()) });
const subscribe = z.object({
  channels: z.array(z.union([z.string(), z.object({ channel: z.string(), since: z.string() })])),
  snapshot: z.boolean().default(true),
  pulses: z.boolean().default(false),
});

export const HEARTBEAT_MS = 15_000;
export const START_MS = Date.UTC(2026, 10, 23, 8);

/**
 * A relay as PROTOCOL.md §4 says it, in memory and at once: a journal, channel groups, replays in steps, snapshots,
 * heartbeats. What it sends goes through `mangle`, which may drop, repeat or reorder.
 */
export class ModelRelay {
  readonly network = new FakeNetwork();
  readonly clock: Clock;
  /** Everything that ever happened, of every epoch. */
  readonly journal: SessionEvent[] = [];
  readonly requests: Request[] = [];
  /** What a request is answered with instead. Return `undefined` to leave it unanswered. */
  readonly answers = new Map<string, Answer>();
  token: string | undefined;
  grant: { identity: string; expiresInMs?: number } = { identity: 'desk' };
  welcome: Readonly<Record<string, unknown>> = {};
  mangle: (message: Message) => readonly Message[] = (message) => [message];
  beating = true;
  /** Replayed events a step; a step follows the next after {@link STEP_MS}. */
  replayStep = 2;
  /** Events a page of `get_events` at most: a page may be shorter than what was asked for. */
  pageSize = 1_000;
  epoch = 1;
  #offset = 0;
  #oldest = 0;
  /** Epochs that the journal has lost as a whole. */
  readonly #lostEpochs = new Set<number>();
  readonly #groups = new Map<string, string>();
  readonly #peers = new Map<PeerSocket, Peer>();

  constructor(clock: Clock) {
    this.clock = clock;
    this.network.onOpen = (socket) => this.#opened(socket);
    this.network.onSend = (socket, text) => this.#received(socket, text);
  }

  get head(): string {
    return formatCursor(this.epoch, this.#offset);
  }

  get states(): ReadonlyMap<string, State> {
    const states = new Map<string, State>();
    for (const event of this.journal) {
      const state = fold(states.get(event.subject), event);
      if (state === undefined) states.delete(event.subject);
      else states.set(event.subject, state);
    }
    return states;
  }

  /** Channels that are subscribed at the relay now. */
  get subscribed(): readonly string[] {
    return [...this.#peers.values()].flatMap(({ subscriptions }) => [...subscriptions.keys()]);
  }

  /** No channel is being replayed. */
  get isLive(): boolean {
    return [...this.#peers.values()].every(({ subscriptions }) =>
      [...subscriptions.values()].every(({ replaying }) => replaying === undefined),
    );
  }

  asked(method: string): readonly Request[] {
    return this.requests.filter((one) => one.method === method);
  }

  /** Something happens: journaled, and sent to whoever is live. */
  happen<T extends EventType>(type: T, data: EventData<T>, subject = 'deribit.main.relay'): SessionEvent {
    return this.publish(this.make(type, data, subject));
  }

  make<T extends EventType>(type: T, data: EventData<T>, subject = 'deribit.main.relay'): SessionEvent {
    const id = formatCursor(this.epoch, ++this.#offset);
    const [venue, source] = subject.split('.');
    return {
      id,
      key: `key-${id}`,
      source: `/${venue}/${source}`,
      subject,
      type,
      time: timestampOf(this.clock.now()),
      data,
    } as SessionEvent;
  }

  publish(event: SessionEvent): SessionEvent {
    this.journal.push(event);
    const before = new Map(this.#groups);
    for (const channel of this.#groups.keys())
      if (matches(channel, addressOf(event))) this.#groups.set(channel, event.id);
    for (const peer of this.#peers.values())
      for (const { channel, replaying } of peer.subscriptions.values())
        if (replaying === undefined && matches(channel, addressOf(event)))
          this.say(peer.socket, 'subscription', { channel, previous: before.get(channel), data: event });
    return event;
  }

  pulse(subject = 'deribit.main.relay'): void {
    const [venue, source] = subject.split('.');
    const pulse = {
      source: `/${venue}/${source}`,
      subject,
      type: 'heartbeat.pulse' as const,
      time: timestampOf(this.clock.now()),
      data: { rttMs: 7 },
    };
    for (const peer of this.#peers.values())
      for (const { channel, pulses, replaying } of peer.subscriptions.values())
        if (pulses && replaying === undefined && matches(channel, addressOf(pulse)))
          this.say(peer.socket, 'subscription', { channel, pulse: true, data: pulse });
  }

  /** To every peer. */
  announce(method: string, params: Readonly<Record<string, unknown>>): void {
    for (const { socket } of this.#peers.values()) this.say(socket, method, params);
  }

  say(socket: PeerSocket, method: string, params: Readonly<Record<string, unknown>>): void {
    this.#send(socket, { method, params });
  }

  /** The journal forgets its oldest events. */
  truncate(count: number): void {
    this.#oldest = Math.min(this.journal.length, Math.max(this.#oldest, count));
  }

  /** Ends every connection and begins a new epoch, with its journal or without. */
  restart(keepsJournal: boolean, code = 1012): void {
    if (!keepsJournal) {
      this.#lostEpochs.add(this.epoch);
      this.#oldest = this.journal.length;
    }
    this.epoch++;
    this.#offset = 0;
    this.#groups.clear();
    this.hangUp(code);
  }

  hangUp(code: number, reason = ''): void {
    for (const { socket } of [...this.#peers.values()]) this.#end(socket, code, reason);
  }

  /** The connection falls behind: everything after what was sent last, or from one event earlier on, comes as a replay. */
  lag(back = false): void {
    for (const peer of this.#peers.values()) {
      const since: Record<string, string> = {};
      for (const subscription of peer.subscriptions.values()) {
        if (subscription.replaying !== undefined) continue;
        const sent = this.#groups.get(subscription.channel) ?? this.head;
        const before = this.#after('0-0', subscription.channel).filter(({ id }) => compareCursors(id, sent) < 0);
        const last = back ? (before.at(-1)?.id ?? sent) : sent;
        since[subscription.channel] = last;
        subscription.replaying = { at: last, previous: last };
      }
      this.say(peer.socket, 'lag', { since });
      for (const subscription of peer.subscriptions.values())
        if (since[subscription.channel] !== undefined) this.#replay(peer, subscription);
    }
  }

  /** The relay ends one channel. */
  unsubscribe(channel: string, reason = 'the grant shows other fields now'): void {
    for (const peer of this.#peers.values())
      if (peer.subscriptions.delete(channel))
        this.say(peer.socket, 'unsubscribed', { channel, cursor: this.#groups.get(channel), reason });
  }

  beat(): void {
    for (const peer of this.#peers.values()) this.#heartbeat(peer);
  }

  #end(socket: PeerSocket, code: number, reason = ''): void {
    this.#peers.delete(socket);
    socket.end(code, reason);
  }

  #send(socket: PeerSocket, message: Message): void {
    for (const one of this.mangle(message)) {
      // A client that ended the connection hears nothing more.
      if (socket.closedBy === undefined) socket.deliver(JSON.stringify({ jsonrpc: '2.0', ...one }));
    }
  }

  #opened(socket: PeerSocket): void {
    const peer: Peer = { socket, subscriptions: new Map(), told: new Map(), authorised: this.token === undefined };
    this.#peers.set(socket, peer);
    socket.deliver(
      JSON.stringify({
        jsonrpc: '2.0',
        method: 'welcome',
        params: {
          server: 'session-relay/0.0.0',
          protocol: 1,
          features: [],
          node: 'model',
          now: timestampOf(this.clock.now()),
          cursor: this.head,
          authRequired: this.token !== undefined,
          heartbeatMs: HEARTBEAT_MS,
          limits: { maxPayloadBytes: 65_536, maxChannels: 256, maxRequestsPerSecond: 50 },
          ...this.welcome,
        },
      }),
    );
    const again = (): void => {
      this.clock.setTimer(() => {
        if (!this.#isHere(peer)) return;
        if (this.beating) this.#heartbeat(peer);
        again();
      }, HEARTBEAT_MS);
    };
    again();
  }

  #isHere({ socket }: Peer): boolean {
    if (socket.isOpen && socket.closedBy === undefined) return this.#peers.has(socket);
    this.#peers.delete(socket);
    return false;
  }

  #heartbeat(peer: Peer): void {
    const last: Record<string, string> = {};
    for (const { channel, replaying } of peer.subscriptions.values()) {
      const now = this.#groups.get(channel);
      if (replaying !== undefined || now === undefined || peer.told.get(channel) === now) continue;
      peer.told.set(channel, now);
      last[channel] = now;
    }
    this.say(peer.socket, 'heartbeat', { now: timestampOf(this.clock.now()), cursor: this.head, last });
  }

  #received(socket: PeerSocket, text: string): void {
    const peer = this.#peers.get(socket);
    const parsed = request.parse(JSON.parse(text));
    this.requests.push(parsed);
    const special = this.answers.get(parsed.method);
    if (special !== undefined) {
      const answer = special(parsed);
      if (answer !== undefined) this.#send(socket, { id: parsed.id, ...answer });
      return;
    }
    if (peer === undefined) return;
    const answer = (result: unknown): void => this.#send(socket, { id: parsed.id, result });
    const refuse = (code: number, message: string): void =>
      this.#send(socket, { id: parsed.id, error: { code, message } });
    if (parsed.method === 'auth') {
      if (parsed.params.token !== this.token) return refuse(4401, 'this token is not known');
      peer.authorised = true;
      const { identity, expiresInMs } = this.grant;
      const expiry = expiresInMs === undefined ? {} : { expiresAt: timestampOf(this.clock.now() + expiresInMs) };
      return answer({ identity, channels: ['>'], commands: [], fields: 'full', ...expiry });
    }
    if (!peer.authorised) return refuse(4401, 'no credentials yet');
    switch (parsed.method) {
      case 'subscribe':
        return this.#subscribe(peer, parsed);
      case 'unsubscribe': {
        const { channels } = z.object({ channels: z.array(z.string()) }).parse(parsed.params);
        for (const channel of channels) peer.subscriptions.delete(channel);
        return answer({ channels });
      }
      case 'ping':
        return answer(parsed.params);
      case 'get_events':
        return answer(
          this.#page(
            z
              .object({ channel: z.string().default('>'), since: z.string().default('0-0'), limit: z.number() })
              .parse(parsed.params),
          ),
        );
      default:
        return refuse(-32_601, `no ${parsed.method} here`);
    }
  }

  /** Whether the journal holds everything after a cursor. */
  holds(since: string): boolean {
    const cursor = parseCursor(since);
    if (cursor === undefined || cursor.epoch > this.epoch || this.#lostEpochs.has(cursor.epoch)) return false;
    const first = this.journal[this.#oldest];
    const before = this.journal[this.#oldest - 1];
    if (before === undefined) return true;
    return compareCursors(since, before.id) >= 0 || (first !== undefined && compareCursors(since, first.id) >= 0);
  }

  #after(since: string, channel: string): readonly SessionEvent[] {
    return this.journal
      .slice(this.#oldest)
      .filter((event) => compareCursors(event.id, since) > 0 && matches(channel, addressOf(event)));
  }

  #page({
    channel,
    since,
    limit,
  }: {
    readonly channel: string;
    readonly since: string;
    readonly limit: number;
  }): object {
    const found = this.#after(since, channel);
    const events = found.slice(0, Math.min(limit, this.pageSize));
    const more = found.length > events.length;
    const cursor = more ? (events.at(-1)?.id ?? since) : this.holds(since) || found.length > 0 ? this.head : since;
    return { events, cursor, complete: this.holds(since), ...(more ? { next: cursor } : {}) };
  }

  #subscribe(peer: Peer, { id, params }: Request): void {
    const { channels, snapshot, pulses } = subscribe.parse(params);
    const begun = channels.map((entry) => {
      const { channel, since } = typeof entry === 'string' ? { channel: entry, since: undefined } : entry;
      if (!this.#groups.has(channel)) this.#groups.set(channel, this.head);
      const last = this.#groups.get(channel) ?? this.head;
      peer.told.set(channel, last);
      const subscription: Subscription = { channel, pulses, replaying: { at: since ?? last, previous: since ?? last } };
      peer.subscriptions.set(channel, subscription);
      return { subscription, since, last, recovered: since === undefined || this.holds(since) };
    });
    this.#send(peer.socket, {
      id,
      result: {
        channels: begun.map(({ subscription: { channel }, last, recovered }) => ({ channel, cursor: last, recovered })),
      },
    });
    for (const { subscription, since, last, recovered } of begun) {
      const { channel } = subscription;
      if (!recovered) {
        this.#gap(peer, subscription, since ?? last);
      } else if (since === undefined) {
        if (snapshot && hasSnapshot(channel)) this.#snapshot(peer, channel, last);
        subscription.replaying = undefined;
      } else {
        if (snapshot && hasSnapshot(channel)) this.#snapshot(peer, channel, since);
        this.#replay(peer, subscription);
      }
    }
  }

  #snapshot(peer: Peer, channel: string, cursor: string): void {
    const states = [...this.states.values()].filter(({ key }) => coversKey(channel, key));
    const half = Math.ceil(states.length / 2);
    this.say(peer.socket, 'snapshot', { channel, states: states.slice(0, half), last: false, cursor });
    this.say(peer.socket, 'snapshot', { channel, states: states.slice(half), last: true, cursor });
  }

  #gap(peer: Peer, subscription: Subscription, from: string): void {
    const { channel } = subscription;
    const to = this.#groups.get(channel) ?? this.head;
    this.say(peer.socket, 'gap', { channel, from, to });
    if (hasSnapshot(channel)) this.#snapshot(peer, channel, to);
    else this.say(peer.socket, 'caught_up', { channel, cursor: to });
    subscription.replaying = undefined;
  }

  /** A step now, the next after a while, until it has caught up. */
  #replay(peer: Peer, subscription: Subscription): void {
    const { channel, replaying } = subscription;
    if (replaying === undefined || !this.#isHere(peer) || peer.subscriptions.get(channel) !== subscription) return;
    // The journal was cut while the replay ran.
    if (!this.holds(replaying.at)) return this.#gap(peer, subscription, replaying.previous);
    const found = this.#after(replaying.at, channel);
    for (const event of found.slice(0, this.replayStep)) {
      this.say(peer.socket, 'subscription', { channel, previous: replaying.previous, data: event });
      replaying.at = event.id;
      replaying.previous = event.id;
    }
    if (found.length <= this.replayStep) {
      subscription.replaying = undefined;
      this.say(peer.socket, 'caught_up', { channel, cursor: this.#groups.get(channel) });
      return;
    }
    this.clock.setTimer(() => this.#replay(peer, subscription), STEP_MS);
  }
}

export const STEP_MS = 10;
