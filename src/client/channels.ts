import { SessionRelayError as Failure, type SessionRelayError } from '../errors.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import { hasSnapshot } from '../model/subject.js';
import type { Clock, Timer } from '../net/clock.js';
import { type Book, createBook } from './book.js';
import { type Chain, createChain } from './chain.js';
import { errorOf, retryAfterOf } from './endings.js';
import { cursor, isKnownType, isSessionEvent } from './event-shape.js';
import type { Notice, Reply, RpcError } from './frames.js';
import type { Line } from './line.js';
import { boolean, list, shape, string } from './shape.js';
import type { ClientNotice, Gap, View } from './status.js';

/** Whoever listens to a channel. None of its functions throws. */
export interface Listener {
  /** Single events, each; else the newest states do (states mode). */
  readonly events: boolean;
  readonly states: boolean;
  readonly pulses: boolean;
  event?(event: SessionEvent): void;
  pulse?(pulse: Pulse): void;
  /** Events of this stretch will never come. */
  lost?(gap: Gap): void;
  /** The relay has answered: from here on the channel's chain of cursors is unbroken, or says that it broke. */
  begun?(): void;
  /** The states or the view may have changed. */
  changed?(): void;
  /** The relay does not serve it. Whoever stays is served once it does. */
  refused?(error: SessionRelayError): void;
}

/** One channel, as its listeners see it. */
export interface Channel {
  readonly name: string;
  readonly view: View;
  readonly book: Book | undefined;
  readonly refused: SessionRelayError | undefined;
  /** It is subscribed on the present connection, and the relay has answered. */
  readonly isBegun: boolean;
  /** `<venue>.<source>` of what the relay cannot see at the moment, beside what `view` says. */
  readonly blindSources: ReadonlySet<string>;
}

export interface Channels {
  join(name: string, listener: Listener): Channel;
  /** Idempotent. The last one to leave ends it on the wire. */
  leave(name: string, listener: Listener): void;
  online(line: Line, limits: { readonly maxChannels: number }): void;
  offline(): void;
  notice(notice: Notice): void;
  /** A new token may cover what was refused. */
  regranted(): void;
  /** Channels that are behind. */
  replaying(): readonly string[];
  readonly blind: 'all' | ReadonlySet<string>;
  /** Forgets everything; nothing is called after it. */
  close(): void;
}

export interface ChannelsOptions {
  readonly clock: Clock;
  readonly report: (notice: ClientNotice) => void;
  /** Something that a status shows has changed. */
  readonly changed: () => void;
}

interface Terms {
  readonly states: boolean;
  readonly pulses: boolean;
  readonly snapshot: boolean;
}

interface Wire extends Channel {
  view: View;
  book: Book | undefined;
  refused: SessionRelayError | undefined;
  readonly listeners: Set<Listener>;
  readonly chain: Chain;
  /** The terms of this connection's last `subscribe`, and which one it was. */
  asked: { readonly terms: Terms; readonly number: number } | undefined;
  /** When frames of it were missing. */
  losses: readonly number[];
}

/** A connection that loses frames of a channel so often within {@link LOSSES_WITHIN_MS} is worse than a new one. */
const MAX_LOSSES = 5;
const LOSSES_WITHIN_MS = 60_000;
/** A replay without any frame over so many heartbeats has lost its end. */
const STALLED_BEATS = 2;
/** One `subscribe` names no more than this, so that it stays well below the relay's `maxPayloadBytes`. */
const REQUEST_CHARACTERS = 16_384;
const ASK_AGAIN_MS = 1_000;

const isSubscribed = shape({ channels: list(shape({ channel: string, cursor, recovered: boolean })) });

export function createChannels({ clock, report, changed }: ChannelsOptions): Channels {
  const wires = new Map<string, Wire>();
  const blindSources = new Set<string>();
  let blindAll = false;
  let line: Line | undefined;
  let maxChannels = Number.POSITIVE_INFINITY;
  let flushing = false;
  let later: Timer | undefined;
  let requests = 0;
  let stalledBeats = 0;

  const each = (wire: Wire, tell: (listener: Listener) => void): void => {
    for (const listener of [...wire.listeners]) if (wire.listeners.has(listener)) tell(listener);
  };
  const viewOf = ({ chain, book, refused }: Wire): View => {
    if (line === undefined || refused !== undefined) return 'unreachable';
    if (blindAll) return 'blind';
    return chain.phase === 'live' && book?.complete !== false ? 'live' : 'replaying';
  };
  const touch = (wire: Wire, isNew = false): void => {
    const view = viewOf(wire);
    const turned = view !== wire.view;
    wire.view = view;
    if (turned) changed();
    // While it is behind, what it has got so far is nothing to show.
    if (turned || (isNew && view === 'live')) each(wire, (listener) => listener.changed?.());
  };
  const touchAll = (isNew = false): void => {
    for (const wire of [...wires.values()]) touch(wire, isNew);
    changed();
  };

  const schedule = (): void => {
    // The relay said to wait: all that is asked for waits.
    if (flushing || later !== undefined) return;
    flushing = true;
    queueMicrotask(() => {
      flushing = false;
      flush();
    });
  };
  const askLater = (afterMs: number): void => {
    later ??= clock.setTimer(() => {
      later = undefined;
      schedule();
    }, afterMs);
  };

  const wanted = (wire: Wire): Terms => {
    const all = [...wire.listeners];
    return {
      states: !all.some(({ events }) => events),
      pulses: all.some(({ pulses }) => pulses),
      snapshot: wire.book?.complete === false,
    };
  };
  /** Whether what was asked for on this connection does not give what is wanted now. */
  const isShort = ({ asked }: Wire, terms: Terms): boolean =>
    asked === undefined ||
    (asked.terms.states && !terms.states) ||
    (!asked.terms.pulses && terms.pulses) ||
    (!asked.terms.snapshot && terms.snapshot);

  const flush = (): void => {
    const unused = [...wires.values()].filter(({ listeners }) => listeners.size === 0);
    if (unused.length > 0) {
      for (const { name } of unused) wires.delete(name);
      // There is room again.
      for (const wire of wires.values()) if (wire.refused?.code === 'rate_limited') wire.refused = undefined;
      changed();
    }
    if (line === undefined) return;
    const ended = unused.filter(({ asked }) => asked !== undefined).map(({ name }) => name);
    for (const channels of portions(ended, (name) => name)) line.ask('unsubscribe', { channels }, () => undefined);
    const groups = new Map<string, { readonly terms: Terms; readonly wires: Wire[] }>();
    let room = maxChannels - [...wires.values()].filter(({ asked }) => asked !== undefined).length;
    for (const wire of [...wires.values()]) {
      const terms = wanted(wire);
      if (wire.refused !== undefined || !isShort(wire, terms)) continue;
      if (wire.asked === undefined && --room < 0) {
        refuse(wire, new Failure('rate_limited', `the relay serves at most ${maxChannels} channels a connection`));
        continue;
      }
      const id = JSON.stringify(terms);
      const group = groups.get(id) ?? { terms, wires: [] };
      groups.set(id, group);
      group.wires.push(wire);
    }
    for (const { terms, wires: some } of groups.values())
      for (const portion of portions(some, ({ name }) => name)) subscribe(portion, terms);
  };

  const subscribe = (some: readonly Wire[], terms: Terms): void => {
    const number = ++requests;
    const channels = some.map((wire) => {
      const { name, chain } = wire;
      const { since } = chain;
      chain.asked({ since, snapshot: terms.snapshot });
      wire.asked = { terms, number };
      if (terms.snapshot) wire.book?.expectSnapshot();
      touch(wire);
      return since === undefined ? name : { channel: name, since };
    });
    const { snapshot, states, pulses } = terms;
    const params = { channels, snapshot, ...(pulses ? { pulses } : {}), ...(states ? { mode: 'states' } : {}) };
    line?.ask('subscribe', params, (reply) => {
      // What was asked for again since, or is not wanted any more, waits for its own reply.
      subscribed(
        some.filter((wire) => wire.asked?.number === number && wires.get(wire.name) === wire),
        reply,
      );
    });
  };

  const subscribed = (some: readonly Wire[], reply: Reply): void => {
    if (!reply.ok) return notSubscribed(some, reply.error);
    const answers = isSubscribed(reply.result) ? reply.result.channels : [];
    for (const wire of some) {
      const answer = answers.find(({ channel }) => channel === wire.name);
      if (answer === undefined) {
        const what = 'a subscribe reply that cannot be used';
        report({ kind: 'fault', what });
        line?.drop(what);
        return undefined;
      }
      const lost = wire.chain.answered(answer);
      if (lost !== undefined) tellLost(wire, lost);
      touch(wire);
      each(wire, (listener) => listener.begun?.());
    }
    return schedule();
  };

  const notSubscribed = (some: readonly Wire[], error: RpcError): void => {
    const { channel } = error.data;
    // All or nothing: the others are asked for again without the one that is not allowed.
    const named = some.filter(({ name }) => name === channel);
    const final = error.code === 4403 || error.code === -32_602;
    for (const wire of some) {
      wire.asked = undefined;
      wire.chain.ended();
      if (final && (named.length === 0 || named.includes(wire))) refuse(wire, errorOf(error));
    }
    if (final) schedule();
    else askLater(retryAfterOf(error, ASK_AGAIN_MS));
  };

  const refuse = (wire: Wire, error: SessionRelayError): void => {
    wire.refused = error;
    report({ kind: 'refused', channel: wire.name, error });
    touch(wire);
    each(wire, (listener) => listener.refused?.(error));
  };

  const tellLost = (wire: Wire, { from, to }: { readonly from: string; readonly to: string }): void => {
    wire.book?.expectSnapshot();
    // The relay sends one by itself.
    if (wire.asked !== undefined) wire.asked = { ...wire.asked, terms: { ...wire.asked.terms, snapshot: true } };
    // States mode promises only the newest: what follows shows all of it.
    if (wire.asked?.terms.states === true) return;
    lose(wire, { channel: wire.name, from, to, why: 'not_held' });
  };
  const lose = (wire: Wire, gap: Gap): void => {
    report({ kind: 'gap', ...gap });
    each(wire, (listener) => listener.lost?.(gap));
  };

  /** Something of the channel did not come: nothing that comes under these terms counts any more. */
  const missing = (wire: Wire): void => {
    const { name, chain } = wire;
    chain.ended();
    wire.asked = undefined;
    report({ kind: 'resubscribed', channel: name, since: chain.since });
    touch(wire);
    const now = clock.monotonic();
    wire.losses = [...wire.losses.filter((at) => now - at < LOSSES_WITHIN_MS), now];
    if (wire.losses.length > MAX_LOSSES) line?.drop('frames are missing again and again');
    else schedule();
  };

  const takeEvent = (wire: Wire, { previous, event }: Extract<Notice, { method: 'event' }>['params']): void => {
    const verdict = wire.asked?.terms.states === true ? 'missing' : wire.chain.frame(previous, event.id);
    if (verdict === 'missing') return missing(wire);
    // Consumers ignore types that they do not know (PROTOCOL.md §2); the chain goes on over them.
    if (verdict !== 'next' || !isKnownType(event.type)) return undefined;
    if (!isSessionEvent(event)) {
      report({ kind: 'fault', what: `${event.type} ${event.id} is not as its type says` });
      wire.book?.spoilt(event.subject);
      lose(wire, { channel: wire.name, from: previous, to: event.id, why: 'unreadable' });
    } else {
      wire.book?.event(event);
      each(wire, (listener) => listener.event?.(event));
    }
    return touch(wire, true);
  };

  const takeStates = (wire: Wire, said: Extract<Notice, { method: 'states' }>['params']): void => {
    const verdict = wire.asked?.terms.states === false ? 'missing' : wire.chain.frame(said.previous, said.cursor);
    if (verdict === 'missing') return missing(wire);
    if (verdict === 'old') return undefined;
    unread(wire, wire.book?.newest(said.states, said.removed));
    return touch(wire, true);
  };
  const unread = ({ name }: Wire, count = 0): void => {
    if (count > 0) report({ kind: 'fault', what: `${count} states of ${name} are not as a state is` });
  };

  const beat = (at: string, last: { readonly [name: string]: string }): void => {
    stalledBeats = blindAll ? 0 : stalledBeats + 1;
    for (const wire of [...wires.values()]) {
      const stalled = wire.chain.phase === 'replaying' && stalledBeats > STALLED_BEATS;
      if (stalled || wire.chain.beat(at, last[wire.name]) === 'missing') missing(wire);
    }
  };

  const at = (name: string, task: (wire: Wire) => void): void => {
    const wire = wires.get(name);
    if (wire?.asked === undefined) return;
    // Only what is behind counts: one that lost the end of its replay must not hide behind the others' traffic.
    if (wire.chain.phase === 'replaying') stalledBeats = 0;
    task(wire);
  };

  return {
    join(name, listener) {
      const known = wires.get(name);
      const wire: Wire = known ?? {
        name,
        view: line === undefined ? 'unreachable' : 'replaying',
        book: undefined,
        refused: undefined,
        blindSources,
        listeners: new Set(),
        chain: createChain(hasSnapshot(name)),
        get isBegun() {
          return this.chain.phase === 'replaying' || this.chain.phase === 'live';
        },
        asked: undefined,
        losses: [],
      };
      wires.set(name, wire);
      wire.listeners.add(listener);
      // Whoever comes new is answered anew.
      wire.refused = undefined;
      if (listener.states && hasSnapshot(name)) wire.book ??= createBook();
      touch(wire);
      changed();
      schedule();
      return wire;
    },
    leave(name, listener) {
      if (wires.get(name)?.listeners.delete(listener) === true) schedule();
    },
    online(next, limits) {
      line = next;
      ({ maxChannels } = limits);
      blindAll = false;
      blindSources.clear();
      stalledBeats = 0;
      for (const wire of wires.values()) {
        wire.refused = undefined;
        wire.losses = [];
      }
      touchAll();
      flush();
    },
    offline() {
      line = undefined;
      later?.cancel();
      later = undefined;
      for (const wire of wires.values()) {
        wire.asked = undefined;
        wire.chain.ended();
      }
      touchAll();
    },
    regranted() {
      for (const wire of wires.values()) wire.refused = undefined;
      touchAll();
      schedule();
    },
    replaying: () => [...wires.values()].filter(({ view }) => view === 'replaying').map(({ name }) => name),
    get blind() {
      return blindAll ? 'all' : blindSources;
    },
    close() {
      line = undefined;
      later?.cancel();
      wires.clear();
    },
    notice(notice) {
      switch (notice.method) {
        case 'event':
          return at(notice.params.channel, (wire) => takeEvent(wire, notice.params));
        case 'states':
          return at(notice.params.channel, (wire) => takeStates(wire, notice.params));
        case 'pulse':
          return at(notice.params.channel, (wire) => {
            const { pulse } = notice.params;
            if (wire.chain.phase !== 'live') return;
            wire.book?.pulse(pulse);
            each(wire, (listener) => listener.pulse?.(pulse));
            touch(wire, true);
          });
        case 'snapshot':
          return at(notice.params.channel, (wire) => {
            const { states, last, cursor: to } = notice.params;
            // What comes before the reply is of the old terms.
            if (wire.chain.phase !== 'replaying') return;
            unread(wire, wire.book?.chunk(states, last));
            if (last) wire.chain.snapshotEnded(to);
            touch(wire);
          });
        case 'caught_up':
          return at(notice.params.channel, (wire) => {
            wire.chain.caughtUp(notice.params.cursor);
            touch(wire);
          });
        case 'gap':
          return at(notice.params.channel, (wire) => {
            if (wire.chain.phase === 'asked') return;
            const lost = wire.chain.gap(notice.params);
            if (lost !== undefined) tellLost(wire, lost);
            touch(wire);
          });
        case 'lag':
          for (const [name, since] of Object.entries(notice.params.since))
            at(name, (wire) => {
              if (wire.chain.lag(since) === 'missing') missing(wire);
              touch(wire);
            });
          return undefined;
        case 'unsubscribed':
          return at(notice.params.channel, missing);
        case 'heartbeat':
          return beat(notice.params.cursor, notice.params.last);
        case 'blind':
        case 'sighted': {
          const isBlind = notice.method === 'blind';
          const { source } = notice.params;
          if (source === undefined) blindAll = isBlind;
          else if (isBlind) blindSources.add(sourceName(source));
          else blindSources.delete(sourceName(source));
          return touchAll(true);
        }
        default:
          return undefined;
      }
    },
  };
}

/** `/deribit/main`, as an event names its source, and `deribit.main`, as a command does, are the same. */
function sourceName(text: string): string {
  return text.replace(/^\//, '').replace('/', '.');
}

/** Cuts a list so that no part has more than {@link REQUEST_CHARACTERS} in its names. */
function portions<T>(all: readonly T[], nameOf: (one: T) => string): readonly (readonly T[])[] {
  const parts: T[][] = [];
  let room = 0;
  for (const one of all) {
    const size = nameOf(one).length + 64;
    if (size > room) {
      parts.push([]);
      room = REQUEST_CHARACTERS;
    }
    room -= size;
    parts.at(-1)?.push(one);
  }
  return parts;
}
