import { Observable, type Subscriber } from 'rxjs';
import { SessionRelayError } from '../errors.js';
import { parseCursor } from '../model/cursor.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import type { Safety } from '../model/session.js';
import { addressOf, everythingOf, hasSnapshot, matches, parseSessionKey, patternProblem } from '../model/subject.js';
import type { EventsOptions, RelayClient, StatesOptions, StatesView } from './api.js';
import type { Channels } from './channels.js';
import { createHistory, type HistoryOptions } from './history.js';
import { believedStates, safetyOf, unknownBecause } from './safety.js';
import type { Gap } from './status.js';
import type { EventOn } from './typed.js';
import type { Channel, Listener } from './wire.js';

/** What subscribers of the API get, each made of a listener on a channel. */
export interface Streams extends Pick<RelayClient, 'events$' | 'states$' | 'safety$' | 'pulses$'> {
  /** Ends all of them, and whoever subscribes later: completes, or errors where there is an error. Idempotent. */
  finish(error: SessionRelayError | undefined): void;
}

export interface StreamsOptions extends Pick<HistoryOptions, 'clock' | 'ask' | 'rate' | 'unreadable'> {
  readonly channels: Channels;
}

export function createStreams({ channels, ...past }: StreamsOptions): Streams {
  const open = new Set<(error: SessionRelayError | undefined) => void>();
  let over: { readonly error: SessionRelayError | undefined } | undefined;

  /** Joins a channel for as long as a subscriber stays. Returns it; `undefined` where the client has ended. */
  const attend = <T>(
    name: string,
    subscriber: Subscriber<T>,
    listener: Listener,
    end: (error: SessionRelayError | undefined) => void,
  ): Channel | undefined => {
    if (over !== undefined) {
      end(over.error);
      return undefined;
    }
    open.add(end);
    subscriber.add(() => {
      open.delete(end);
      channels.leave(name, listener);
    });
    return channels.join(name, listener);
  };
  const endOf =
    <T>(subscriber: Subscriber<T>) =>
    (error: SessionRelayError | undefined): void => {
      if (error === undefined) subscriber.complete();
      else subscriber.error(error);
    };

  const events$ = <const C extends string>(channel: C, { since, onGap }: EventsOptions = {}): Observable<EventOn<C>> =>
    new Observable<EventOn<C>>((subscriber) => {
      const problem =
        patternProblem(channel) ??
        (since === undefined || parseCursor(since) !== undefined ? undefined : '`since` is a cursor, <epoch>-<offset>');
      if (problem !== undefined) return subscriber.error(badCall(problem));
      const event = (one: SessionEvent): void => {
        if (isOn(channel, one)) subscriber.next(one);
      };
      const lost = (gap: Gap): void => {
        if (subscriber.closed) return;
        if (onGap === undefined) return subscriber.error(eventsLost(gap));
        try {
          onGap(gap);
        } catch (thrown) {
          subscriber.error(thrown);
        }
      };
      const common = { events: true, refused: endOf(subscriber) };
      if (since === undefined) {
        attend(channel, subscriber, { ...common, event, lost }, endOf(subscriber));
        return undefined;
      }
      const history = createHistory({
        channel,
        since,
        event,
        lost,
        ...past,
      });
      subscriber.add(() => history.stop());
      const listener = { ...common, event: history.live, lost: history.lost, begun: history.begun };
      const joined = attend(channel, subscriber, listener, endOf(subscriber));
      // Whoever joins what is subscribed already is not told that it begins.
      if (joined?.isBegun === true) history.begun();
      return undefined;
    });

  const states$ = (channel: string, { mode, pulses = false }: StatesOptions = {}): Observable<StatesView> =>
    new Observable<StatesView>((subscriber) => {
      const problem =
        patternProblem(channel) ?? (hasSnapshot(channel) ? undefined : 'a channel of states names no type');
      if (problem !== undefined) return subscriber.error(badCall(problem));
      let joined: Channel | undefined;
      let shown: StatesView | undefined;
      let waits = false;
      const show = (): void => {
        waits = false;
        if (joined === undefined || subscriber.closed) return;
        shown = { view: joined.view, states: believedStates(joined) };
        subscriber.next(shown);
      };
      const listener: Listener = {
        events: mode !== 'states',
        states: true,
        pulses,
        refused: endOf(subscriber),
        changed() {
          if (joined === undefined) return;
          // What cannot be believed any more is said at once; the changes of one turn are shown together.
          if (joined.view !== shown?.view) return show();
          if (waits) return undefined;
          waits = true;
          return queueMicrotask(show);
        },
      };
      joined = attend(channel, subscriber, listener, endOf(subscriber));
      show();
      return undefined;
    });

  const safety$ = (key: string): Observable<Safety> =>
    new Observable<Safety>((subscriber) => {
      if (parseSessionKey(key) === undefined)
        return subscriber.error(badCall('a session key is <venue>.<source>.<session>'));
      let said = '';
      const say = (safety: Safety): void => {
        const text = JSON.stringify(safety);
        if (text === said) return;
        said = text;
        subscriber.next(safety);
      };
      let joined: Channel | undefined;
      const look = (): void => {
        if (joined !== undefined) say(safetyOf(joined, key));
      };
      const listener: Listener = { events: true, states: true, refused: look, changed: look };
      joined = attend(everythingOf(key), subscriber, listener, () => {
        say(unknownBecause('relay_unreachable'));
        subscriber.complete();
      });
      look();
      return undefined;
    });

  const pulses$ = (channel: string): Observable<Pulse> =>
    new Observable<Pulse>((subscriber) => {
      const problem = patternProblem(channel);
      if (problem !== undefined) return subscriber.error(badCall(problem));
      const listener: Listener = {
        events: true,
        pulses: true,
        pulse: (pulse) => subscriber.next(pulse),
        refused: endOf(subscriber),
      };
      attend(channel, subscriber, listener, endOf(subscriber));
      return undefined;
    });

  return {
    events$,
    states$,
    safety$,
    pulses$,
    finish(error) {
      over ??= { error };
      for (const end of [...open]) end(over.error);
      open.clear();
    },
  };
}

/** What the relay sends on a channel is of that channel; what is not, is nobody's. */
function isOn<C extends string>(channel: C, event: SessionEvent): event is EventOn<C> & SessionEvent {
  return matches(channel, addressOf(event));
}

function badCall(message: string): SessionRelayError {
  return new SessionRelayError('invalid_params', message);
}

function eventsLost(gap: Gap): SessionRelayError {
  const { channel, from, to, why } = gap;
  const message = `events of ${channel} after ${from} up to ${to} are lost (${why})`;
  return new SessionRelayError('events_lost', message, { data: { ...gap } });
}
