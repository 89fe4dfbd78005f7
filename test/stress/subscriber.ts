import { z } from 'zod';
import type { Carrier, CarrierEnd, Dial, OpenCarrier } from './carrier.js';
import type { Draw } from './draw.js';
import { createHeldStates, eventOfFrame, type HeldStates } from './held-states.js';
import { createTrail, namesType, type Trail, type TrailWriter } from './trail.js';
import { readMessage } from './wire-message.js';

/** A subscriber that checks everything it is sent and, whenever its connection ends, resumes where it was. */
export interface Subscriber {
  readonly name: string;
  readonly trails: ReadonlyMap<string, Trail>;
  /** What was wrong with what it was sent, the first ones. */
  readonly problems: readonly string[];
  /** How often each notification came, and each close code as `close 1001`, each refusal as `refused 503`. */
  readonly seen: ReadonlyMap<string, number>;
  readonly connects: number;
  /** Where it folds: what it knows of each session. */
  readonly states: HeldStates | undefined;
  /** Connected and live on each channel. */
  readonly isLive: boolean;
  pause(): void;
  resume(): void;
  /** Breaks its own connection, and comes back. */
  leave(how: 'close' | 'reset'): void;
  /** Gives a new token on the live socket. */
  authenticate(token: string): void;
  /** Connects now, where it waits to. */
  hurry(): void;
  /** Leaves for good; resolves when the socket is gone. */
  stop(how?: 'close' | 'reset'): Promise<void>;
}

export interface SubscriberOptions {
  readonly name: string;
  readonly channels: readonly string[];
  readonly open: OpenCarrier;
  /** Where to, and with which token; asked before each connection. `undefined`: not now, wait for `hurry`. */
  readonly dial: () => Dial | undefined | Promise<Dial | undefined>;
  /** How it begins: with a snapshot, without, or after a cursor. */
  readonly start: 'snapshot' | 'live' | { readonly since: string };
  /** Keeps the states of its channels, to be compared with the relay's. */
  readonly folds?: boolean;
  /** Asks for pulses too. */
  readonly pulses?: boolean;
  readonly draw: Draw;
  /** How long it waits before it connects again. */
  readonly backMs: readonly [least: number, most: number];
  /** Close codes that this run may bring; any other is a problem. 1006 and its own 1000 always may. */
  readonly mayClose?: readonly number[];
  /** What it does when it is told something. */
  readonly onNotice?: (method: string, self: Subscriber) => void;
  readonly onClosed?: (end: CarrierEnd, self: Subscriber) => void;
}

/** More say no more than the first ones do. */
const MAX_PROBLEMS = 5;
/** A connection that is not open by then is given up and tried again, as any client does: its SYN may be lost. */
const OPEN_MS = 8_000;
const OWN_CODES = [1000, 1006];

const reply = z.looseObject({
  channels: z.array(z.looseObject({ channel: z.string(), cursor: z.string(), recovered: z.boolean() })),
});
const snapshotParams = z.looseObject({
  channel: z.string(),
  states: z.array(z.unknown()),
  last: z.boolean(),
  cursor: z.string(),
});
const marked = z.looseObject({ channel: z.string(), cursor: z.string() });
const gapParams = z.looseObject({ channel: z.string(), from: z.string(), to: z.string() });
const lagParams = z.looseObject({ since: z.record(z.string(), z.string()) });
const beat = z.looseObject({ cursor: z.string(), last: z.record(z.string(), z.string()) });

export function startSubscriber(options: SubscriberOptions): Subscriber {
  const { name, channels, draw } = options;
  const trails = new Map<string, TrailWriter>(channels.map((channel) => [channel, createTrail(channel)]));
  const states = options.folds === true ? createHeldStates() : undefined;
  const problems: string[] = [];
  const seen = new Map<string, number>();
  const pending = new Map<number, (result: unknown) => void>();
  let carrier: Carrier | undefined;
  let waiting: NodeJS.Timeout | undefined;
  let opening: NodeJS.Timeout | undefined;
  let welcomed = false;
  let requests = 0;
  let connects = 0;
  let stopped: (() => void) | undefined;
  let gone: Promise<void> | undefined;

  const note = (problem: string | undefined): void => {
    if (problem !== undefined && problems.length < MAX_PROBLEMS) problems.push(`${name}: ${problem}`);
  };
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  const trailOf = (channel: string): TrailWriter | undefined => {
    const trail = trails.get(channel);
    if (trail === undefined) note(`a message of ${channel}, which it never asked for`);
    return trail;
  };
  const request = (method: string, params: object, answered: (result: unknown) => void): void => {
    const id = ++requests;
    pending.set(id, answered);
    carrier?.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  };

  const subscribe = (): void => {
    const asked = new Map(
      [...trails].flatMap(([channel, trail]) => {
        if (trail.hasEnded) return [];
        const first = typeof options.start === 'object' ? options.start.since : undefined;
        const since = trail.resumeAt ?? first;
        const snapshot = options.start !== 'live' && since === undefined && !namesType(channel);
        return [[channel, { since, snapshot }]];
      }),
    );
    const params = {
      channels: [...asked].map(([channel, { since }]) => (since === undefined ? channel : { channel, since })),
      ...(options.start === 'live' ? { snapshot: false } : {}),
      ...(options.pulses === true ? { pulses: true } : {}),
    };
    if (asked.size === 0) return;
    request('subscribe', params, (result) => {
      for (const { channel, ...said } of reply.parse(result).channels) {
        const terms = asked.get(channel);
        if (terms === undefined) note(`subscribed to ${channel}, which it did not ask for`);
        else note(trailOf(channel)?.subscribed(terms, said));
        if (terms?.since !== undefined) count(said.recovered ? 'recovered' : 'not recovered');
      }
    });
  };

  const notified = (method: string, params: unknown): void => {
    count(method);
    if (!welcomed && method !== 'welcome') note(`${method} before welcome`);
    switch (method) {
      case 'welcome':
        welcomed = true;
        subscribe();
        break;
      case 'snapshot': {
        const { channel, states: chunk, last, cursor } = snapshotParams.parse(params);
        note(trailOf(channel)?.snapshot(cursor, last));
        states?.chunk(chunk, last);
        break;
      }
      case 'caught_up': {
        const { channel, cursor } = marked.parse(params);
        note(trailOf(channel)?.caughtUp(cursor));
        break;
      }
      case 'gap': {
        const { channel, from } = gapParams.parse(params);
        note(trailOf(channel)?.gap(from));
        break;
      }
      case 'lag':
        for (const [channel, since] of Object.entries(lagParams.parse(params).since))
          note(trailOf(channel)?.lag(since));
        break;
      case 'unsubscribed': {
        const { channel, cursor } = marked.parse(params);
        note(trailOf(channel)?.unsubscribed(cursor));
        break;
      }
      case 'heartbeat': {
        const { cursor, last } = beat.parse(params);
        for (const [channel, trail] of trails) note(trail.heartbeat(last[channel], cursor));
        break;
      }
    }
    options.onNotice?.(method, self);
  };

  const received = (text: string): void => {
    const message = readMessage(text);
    switch (message.kind) {
      case 'event': {
        note(trailOf(message.channel)?.event(message.previous, message.id));
        states?.event(eventOfFrame(text));
        return;
      }
      case 'pulse':
        return count('pulse');
      case 'notice':
        return notified(message.method, message.params);
      case 'reply': {
        const answered = pending.get(message.id);
        pending.delete(message.id);
        if (message.error !== undefined) note(`a request failed: ${message.error.code} ${message.error.message}`);
        else if (answered === undefined) note(`a reply to ${message.id}, which was not asked`);
        else answered(message.result);
      }
    }
  };

  const ended = (end: CarrierEnd): void => {
    carrier = undefined;
    clearTimeout(opening);
    welcomed = false;
    pending.clear();
    for (const trail of trails.values()) trail.cut();
    if (end.how === 'fault') note(`the relay sent ${end.what}`);
    else if (end.how === 'refused') count(`refused ${end.status}`);
    else {
      count(`close ${end.code}`);
      if (!OWN_CODES.includes(end.code) && options.mayClose?.includes(end.code) !== true)
        note(`closed with ${end.code}: ${end.reason}`);
    }
    options.onClosed?.(end, self);
    if (stopped !== undefined) stopped();
    else waiting = setTimeout(() => void dial(), draw.between(...options.backMs));
  };

  const dial = async (): Promise<void> => {
    waiting = undefined;
    const to = await options.dial();
    if (stopped !== undefined || carrier !== undefined || waiting !== undefined) return;
    if (to === undefined) return;
    opening = setTimeout(() => carrier?.reset(), OPEN_MS);
    carrier = options.open(to, {
      opened() {
        clearTimeout(opening);
        connects++;
      },
      message(text) {
        try {
          received(text);
        } catch (thrown) {
          note(`cannot be read: ${text.slice(0, 200)} (${thrown instanceof Error ? thrown.message : ''})`);
        }
      },
      closed: ended,
    });
  };

  const self: Subscriber = {
    name,
    trails,
    problems,
    seen,
    states,
    get connects() {
      return connects;
    },
    get isLive() {
      return carrier !== undefined && [...trails.values()].every((trail) => trail.isLive || trail.hasEnded);
    },
    pause: () => carrier?.pause(),
    resume: () => carrier?.resume(),
    leave(how) {
      if (how === 'close') carrier?.close();
      else carrier?.reset();
    },
    authenticate: (token) => request('auth', { token }, () => count('authenticated')),
    hurry() {
      if (carrier !== undefined) return;
      clearTimeout(waiting);
      void dial();
    },
    stop(how = 'close') {
      gone ??= new Promise((resolve) => {
        stopped = resolve;
        clearTimeout(waiting);
        if (carrier === undefined) resolve();
        else if (how === 'reset') carrier.reset();
        else {
          carrier.resume();
          carrier.close();
        }
      });
      return gone;
    },
  };
  void dial();
  return self;
}
