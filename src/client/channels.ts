import { hasSnapshot } from '../model/subject.js';
import type { Clock } from '../net/clock.js';
import { createBook } from './book.js';
import type { LostStretch } from './chain.js';
import { isKnownType, isSessionEvent } from './event-shape.js';
import type { ChannelNotice, Notice } from './frames.js';
import type { Line } from './line.js';
import type { ClientNotice, Gap, View } from './status.js';
import { createSubscribing } from './subscribing.js';
import { type Channel, createWire, type Listener, tell, type Wire } from './wire.js';

/** All channels of a client: who listens to what, and what of that may be believed (PROTOCOL.md §4, Continuity). */
export interface Channels {
  join(name: string, listener: Listener): Channel;
  /** Idempotent. The last one to leave ends it on the wire. */
  leave(name: string, listener: Listener): void;
  online(line: Line, maxChannels: number): void;
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

/** A connection that loses frames of a channel so often within {@link LOSSES_WITHIN_MS} is worse than a new one. */
const MAX_LOSSES = 5;
const LOSSES_WITHIN_MS = 60_000;
/** What is behind and gets no frame over so many heartbeats has lost its end. */
const STALLED_BEATS = 2;

export function createChannels({ clock, report, changed }: ChannelsOptions): Channels {
  const wires = new Map<string, Wire>();
  const blindSources = new Set<string>();
  let blindAll = false;
  let line: Line | undefined;
  let stalledBeats = 0;

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
    if (turned || (isNew && view === 'live')) tell(wire, (listener) => listener.changed?.());
  };
  const touchAll = (isNew = false): void => {
    for (const wire of [...wires.values()]) touch(wire, isNew);
    changed();
  };

  const subscribing = createSubscribing({
    wires,
    clock,
    report,
    changed,
    touch,
    lost: (wire, stretch) => tellLost(wire, stretch),
  });

  const tellLost = (wire: Wire, { from, to }: LostStretch): void => {
    wire.book?.expectSnapshot();
    // The relay sends one by itself.
    if (wire.asked !== undefined) wire.asked = { ...wire.asked, terms: { ...wire.asked.terms, snapshot: true } };
    // States mode promises only the newest: what follows shows all of it.
    if (wire.asked?.terms.states === true) return;
    lose(wire, { channel: wire.name, from, to, why: 'not_held' });
  };
  const lose = (wire: Wire, gap: Gap): void => {
    report({ kind: 'gap', ...gap });
    tell(wire, (listener) => listener.lost?.(gap));
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
    else subscribing.schedule();
  };

  const takeEvent = (wire: Wire, { previous, event }: ChannelNotice<'event'>['params']): void => {
    const verdict = isOfMode(wire, false) ? wire.chain.frame(previous, event.id) : 'missing';
    if (verdict === 'missing') return missing(wire);
    // Consumers ignore types that they do not know (PROTOCOL.md §2); the chain goes on over them.
    if (verdict !== 'next' || !isKnownType(event.type)) return undefined;
    if (isSessionEvent(event)) {
      wire.book?.event(event);
      return tell(wire, (listener) => listener.event?.(event));
    }
    report({ kind: 'fault', what: `${event.type} ${event.id} is not as its type says` });
    wire.book?.spoilt(event.subject);
    return lose(wire, { channel: wire.name, from: previous, to: event.id, why: 'unreadable' });
  };

  const takeStates = (wire: Wire, said: ChannelNotice<'states'>['params']): void => {
    const verdict = isOfMode(wire, true) ? wire.chain.frame(said.previous, said.cursor) : 'missing';
    if (verdict === 'missing') missing(wire);
    else if (verdict !== 'old') unread(wire, wire.book?.newest(said.states, said.removed));
  };
  const unread = ({ name }: Wire, count = 0): void => {
    if (count > 0) report({ kind: 'fault', what: `${count} states of ${name} are not as a state is` });
  };

  const beat = (at: string, last: { readonly [name: string]: string }): void => {
    const all = [...wires.values()];
    stalledBeats = blindAll || !all.some(isBehind) ? 0 : stalledBeats + 1;
    for (const wire of all) {
      if ((stalledBeats > STALLED_BEATS && isBehind(wire)) || wire.chain.beat(at, last[wire.name]) === 'missing')
        missing(wire);
    }
  };

  const take = (wire: Wire, notice: ChannelNotice): void => {
    const { chain, book } = wire;
    switch (notice.method) {
      case 'event':
        return takeEvent(wire, notice.params);
      case 'states':
        return takeStates(wire, notice.params);
      case 'pulse': {
        const { pulse } = notice.params;
        book?.pulse(pulse);
        return tell(wire, (listener) => listener.pulse?.(pulse));
      }
      case 'snapshot':
        // What comes before the reply is of the old terms.
        if (chain.phase !== 'replaying') return undefined;
        unread(wire, book?.chunk(notice.params.states, notice.params.last));
        if (notice.params.last) chain.snapshotEnded(notice.params.cursor);
        return undefined;
      case 'caught_up':
        return chain.caughtUp(notice.params.cursor);
      case 'gap': {
        const lost = chain.gap(notice.params);
        if (lost !== undefined) tellLost(wire, lost);
        return undefined;
      }
      case 'unsubscribed':
        return missing(wire);
    }
  };
  /** A channel that is subscribed on this connection. */
  const present = (name: string, task: (wire: Wire) => void): void => {
    const wire = wires.get(name);
    if (wire?.asked === undefined) return;
    // Only what is behind counts: one that lost the end of its replay must not hide behind the others' traffic.
    if (wire.chain.phase === 'replaying') stalledBeats = 0;
    task(wire);
    touch(wire, true);
  };

  return {
    join(name, listener) {
      const wire = wires.get(name) ?? createWire(name, blindSources, line === undefined ? 'unreachable' : 'replaying');
      wires.set(name, wire);
      wire.listeners.add(listener);
      // Whoever comes new is answered anew.
      wire.refused = undefined;
      if (listener.states === true && hasSnapshot(name)) wire.book ??= createBook();
      touch(wire);
      changed();
      subscribing.schedule();
      return wire;
    },
    leave(name, listener) {
      if (wires.get(name)?.listeners.delete(listener) === true) subscribing.schedule();
    },
    online(next, maxChannels) {
      line = next;
      blindAll = false;
      blindSources.clear();
      stalledBeats = 0;
      for (const wire of wires.values()) {
        wire.refused = undefined;
        wire.losses = [];
      }
      touchAll();
      subscribing.online(next, maxChannels);
    },
    offline() {
      line = undefined;
      subscribing.offline();
      for (const wire of wires.values()) {
        wire.asked = undefined;
        wire.chain.ended();
      }
      touchAll();
    },
    regranted() {
      for (const wire of wires.values()) wire.refused = undefined;
      touchAll();
      subscribing.schedule();
    },
    replaying: () => [...wires.values()].filter(({ view }) => view === 'replaying').map(({ name }) => name),
    get blind() {
      return blindAll ? 'all' : blindSources;
    },
    close() {
      line = undefined;
      subscribing.offline();
      wires.clear();
    },
    notice(notice) {
      switch (notice.method) {
        case 'lag':
          for (const [name, since] of Object.entries(notice.params.since))
            present(name, (wire) => wire.chain.lag(since) === 'missing' && missing(wire));
          return undefined;
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
      }
      if (isOfChannel(notice)) present(notice.params.channel, (wire) => take(wire, notice));
      return undefined;
    },
  };
}

function isOfChannel(notice: Notice): notice is ChannelNotice {
  return 'channel' in notice.params;
}

function isBehind({ chain: { phase } }: Wire): boolean {
  return phase === 'replaying' || phase === 'asked';
}

/** What comes before the reply is of the old terms, and may be of the other mode. */
function isOfMode({ asked, isBegun }: Wire, states: boolean): boolean {
  return !isBegun || asked?.terms.states === states;
}

/** `/deribit/main`, as an event names its source, and `deribit.main`, as a command does, are the same. */
function sourceName(text: string): string {
  return text.replace(/^\//, '').replace('/', '.');
}
