import { Subscription } from 'rxjs';
import {
  type ClientStatus,
  isSessionState,
  type Pulse,
  type RelayClient,
  type SafetyLevel,
  type SessionEvent,
  type SessionRelayError,
  type SourceCommands,
  type SourceState,
  type State,
  type StatesView,
  type View,
} from '../client/index.js';
import { detailOf, noticeWords, outageWords } from './notice-words.js';
import { createOrder, ownerOf, type Row } from './order.js';
import { ownerName } from './owner.js';
import { pastCursor } from './past.js';
import { createRoundTrips, type RoundTrips } from './round-trips.js';
import { createSkew } from './skew.js';
import { createTimeline, type Timeline } from './timeline.js';

/** All that the page knows of one relay. Changes in place; `changed` says when to look again. */
export interface Feed {
  readonly status: ClientStatus | undefined;
  /** Whether what is shown may be believed: the worst view of the channels that it came by. */
  readonly view: View;
  /** Something was live at least once. */
  readonly wasLive: boolean;
  /** Since when it may not be believed; `undefined` while it may. This machine's clock. */
  readonly doubtSinceMs: number | undefined;
  /** When the relay was heard last. This machine's clock. */
  readonly heardAtMs: number | undefined;
  /** Worst first. */
  readonly rows: readonly Row[];
  row(key: string): Row | undefined;
  /** By `<venue>.<source>`. */
  source(owner: string): SourceState | undefined;
  lastEvent(key: string): SessionEvent | undefined;
  /** When the session gave its last sign of life, by the relay's clock; `undefined` where that is not known. */
  seenAtMs(key: string): number | undefined;
  readonly timeline: Timeline;
  readonly roundTrips: RoundTrips;
  /** By `<venue>.<source>`; `undefined` until the relay has said it. */
  commands(owner: string): SourceCommands | undefined;
  /** How many channels are subscribed. */
  readonly channels: number;
  /** The token does not show everything: only these sources are shown. */
  readonly narrowedTo: readonly string[] | undefined;
  /** Why nothing can be shown. */
  readonly refusal: SessionRelayError | undefined;
  /** This machine's clock less the relay's, ms. */
  readonly skewMs: number;
  /** Sessions that became unsafe since this was asked last. */
  takeNewlyUnsafe(): readonly Row[];
  stop(): void;
}

export interface FeedOptions {
  readonly client: RelayClient;
  readonly now: () => number;
  /** Called for each change, as often as changes come. */
  readonly changed: () => void;
}

/** The events before the page was opened that its timeline begins with. */
const PAST_EVENTS = 1_000;
/** More sources than this are more channels than a relay serves one connection. */
const MAX_SOURCES = 100;

const VIEW_RANK: { readonly [V in View]: number } = { live: 0, replaying: 1, blind: 2, unreachable: 3 };

/**
 * States and events come on two channels that mean the same: what is true now as a fold four times a second at most,
 * and what happened one by one. So thousands of sessions cost a screen no more than a few.
 */
const ALL = { states: '*.>', events: '>' } as const;

export function createFeed({ client, now, changed }: FeedOptions): Feed {
  const all = new Subscription();
  const order = createOrder();
  const timeline = createTimeline();
  const roundTrips = createRoundTrips();
  const skew = createSkew();
  const views = new Map<string, StatesView>();
  const channels = new Set<string>();
  const lastEvents = new Map<string, SessionEvent>();
  const lastPulses = new Map<string, number>();
  const commands = new Map<string, SourceCommands>();
  const levels = new Map<string, SafetyLevel>();
  let newlyUnsafe = new Map<string, Row>();
  let states: ReadonlyMap<string, State> = new Map();
  let rows: readonly Row[] = [];
  let byKey = new Map<string, Row>();
  let status: ClientStatus | undefined;
  let view: View = 'unreachable';
  let wasLive = false;
  let doubtSinceMs: number | undefined = now();
  let heardAtMs: number | undefined;
  let narrowedTo: readonly string[] | undefined;
  let refusal: SessionRelayError | undefined;
  let sourcesAsked = new Subscription();
  /** The sources whose states stand here, when their commands were asked for last. */
  let askedFor = '';

  const heard = (): void => {
    heardAtMs = now();
  };

  const setView = (): void => {
    const worst = [...views.values()].reduce<View>(
      (most, one) => (VIEW_RANK[one.view] > VIEW_RANK[most] ? one.view : most),
      'live',
    );
    const isOver = status === undefined || status.state === 'closed';
    const next: View = isOver || views.size === 0 ? 'unreachable' : worst;
    if (next === view) return;
    if (next === 'live') {
      if (wasLive) timeline.mark('back', 'The page follows the relay again.', now());
      wasLive = true;
      doubtSinceMs = undefined;
    } else if (view === 'live') {
      doubtSinceMs = now();
      timeline.mark('outage', outageWords(next), now(), { status: { ...status } });
    }
    view = next;
  };

  const setStates = (name: string, said: StatesView): void => {
    const isFirst = !wasLive;
    views.set(name, said);
    setView();
    if (said.view === 'live') heard();
    states = views.size === 1 ? said.states : new Map([...views.values()].flatMap((one) => [...one.states]));
    setRows();
    if (view === 'live') {
      noteLevels(isFirst);
      forget();
      askAgain();
    }
    changed();
  };

  const setRows = (): void => {
    rows = order.update(states, status === undefined || status.state === 'closed' ? 'relay_unreachable' : undefined);
    byKey = new Map(rows.map((row) => [row.key, row]));
  };

  /** What was safe or doubtful before and is unsafe now. Only what may be believed counts. */
  const noteLevels = (isFirst: boolean): void => {
    for (const row of rows) {
      const { level } = row.safety;
      if (level === 'unsafe' && !isFirst && levels.get(row.key) !== 'unsafe') newlyUnsafe.set(row.key, row);
      if (level !== 'unsafe') newlyUnsafe.delete(row.key);
      levels.set(row.key, level);
    }
  };
  const forget = (): void => {
    for (const key of lastEvents.keys()) if (!states.has(key)) lastEvents.delete(key);
    for (const key of lastPulses.keys()) if (!states.has(key)) lastPulses.delete(key);
    for (const key of levels.keys()) if (!byKey.has(key)) levels.delete(key);
    roundTrips.keep(states);
  };

  const takeEvent = (event: SessionEvent): void => {
    heard();
    timeline.event(event);
    // What is derived of a fact stands beside it: the fact says more.
    if (event.type !== 'safety.changed' || !lastEvents.has(event.subject)) lastEvents.set(event.subject, event);
    changed();
  };
  const takePulse = ({ subject, time, data }: Pulse): void => {
    const at = now();
    heard();
    // Pulses are never sent again: how old they are when they come is what clocks and the way make.
    skew.saw(Date.parse(time), at);
    lastPulses.set(subject, Date.parse(time));
    if (data.rttMs !== undefined) roundTrips.add(subject, at / 1_000, data.rttMs);
    changed();
  };
  const listen = (
    pair: { readonly states: string; readonly events: string },
    refused: (e: SessionRelayError) => void,
  ) => {
    channels.add(pair.states).add(pair.events);
    const both = new Subscription();
    all.add(both);
    let begun = false;
    const failed = (thrown: SessionRelayError): void => {
      both.unsubscribe();
      channels.delete(pair.states);
      channels.delete(pair.events);
      views.delete(pair.states);
      refused(thrown);
      setView();
      changed();
    };
    both.add(
      client.states$(pair.states, { mode: 'states' }).subscribe({
        next(said) {
          setStates(pair.states, said);
          if (begun || said.view !== 'live') return;
          begun = true;
          const cursors = [...said.states.values()].map(({ cursor }) => cursor);
          both.add(listenToEvents(pair.events, pastCursor(cursors, PAST_EVENTS)));
        },
        error: failed,
      }),
    );
    return both;
  };

  const listenToEvents = (channel: string, since: string | undefined): Subscription => {
    const both = new Subscription();
    const onGap = (gap: Parameters<Timeline['gap']>[0]): void => {
      timeline.gap(gap, now());
      changed();
    };
    both.add(
      client.events$(channel, { onGap, ...(since === undefined ? {} : { since }) }).subscribe({
        next: takeEvent,
        error(thrown: SessionRelayError) {
          timeline.mark('gap', `The timeline ended: ${thrown.message}`, now(), { code: thrown.code });
          changed();
        },
      }),
    );
    both.add(client.pulses$(channel).subscribe({ next: takePulse, error() {} }));
    return both;
  };

  /** The token does not contain everything: what it shows is asked for source by source. */
  const narrow = (thrown: SessionRelayError): void => {
    refusal = thrown;
    if (thrown.code !== 'forbidden') return;
    refusal = undefined;
    narrowedTo = [];
    listenToSources();
  };
  const narrowTo = (sources: readonly SourceCommands[]): void => {
    if (narrowedTo === undefined) return;
    const owners = sources.map(ownerName).filter((owner) => narrowedTo?.includes(owner) === false);
    const more = owners.slice(0, MAX_SOURCES - narrowedTo.length);
    narrowedTo = [...narrowedTo, ...more];
    for (const owner of more) {
      listen({ states: `${owner}.*.>`, events: `${owner}.>` }, (thrown) => {
        timeline.mark('note', `${owner} is not shown: ${thrown.message}`, now(), { code: thrown.code });
      });
    }
  };

  const listenToSources = (): void => {
    sourcesAsked.unsubscribe();
    sourcesAsked = client.sources$().subscribe((sources) => {
      heard();
      commands.clear();
      for (const source of sources) commands.set(ownerName(source), source);
      narrowTo(sources);
      changed();
    });
    all.add(sourcesAsked);
  };
  /** A source that appeared since has commands that nobody has asked for. */
  const askAgain = (): void => {
    const owners = [...states.values()].filter((state) => !isSessionState(state)).map(({ key }) => ownerOf(key));
    const unknown = owners.filter((owner) => !commands.has(owner)).join(' ');
    if (unknown === '' || unknown === askedFor) return;
    askedFor = unknown;
    listenToSources();
  };

  all.add(
    client.status$.subscribe({
      next(next) {
        const beat = 'heartbeatAtMs' in next ? next.heartbeatAtMs : undefined;
        if (beat !== undefined && beat !== lastBeat(status)) heard();
        status = next;
        setView();
        if (next.state === 'closed') setRows();
        changed();
      },
    }),
  );
  all.add(
    client.notices$.subscribe((notice) => {
      const words = noticeWords(notice);
      if (words !== undefined) timeline.mark('note', words, now(), detailOf(notice));
      changed();
    }),
  );
  listen(ALL, narrow);
  listenToSources();

  return {
    get status() {
      return status;
    },
    get view() {
      return view;
    },
    get wasLive() {
      return wasLive;
    },
    get doubtSinceMs() {
      return doubtSinceMs;
    },
    get heardAtMs() {
      return heardAtMs;
    },
    get rows() {
      return rows;
    },
    row: (key) => byKey.get(key),
    source(owner) {
      const state = states.get(`${owner}.-`);
      return state === undefined || isSessionState(state) ? undefined : state;
    },
    lastEvent: (key) => lastEvents.get(key),
    seenAtMs(key) {
      const state = states.get(key);
      const said = state !== undefined && isSessionState(state) ? Date.parse(state.lastSeenAt ?? '') : Number.NaN;
      const pulsed = lastPulses.get(key) ?? Number.NaN;
      const latest = Math.max(...[said, pulsed].filter((at) => !Number.isNaN(at)));
      return Number.isFinite(latest) ? latest : undefined;
    },
    timeline,
    roundTrips,
    commands: (owner) => commands.get(owner),
    get channels() {
      return channels.size;
    },
    get narrowedTo() {
      return narrowedTo;
    },
    get refusal() {
      return refusal;
    },
    get skewMs() {
      return skew.ms;
    },
    takeNewlyUnsafe() {
      const taken = [...newlyUnsafe.values()];
      newlyUnsafe = new Map();
      return taken;
    },
    stop: () => all.unsubscribe(),
  };
}

function lastBeat(status: ClientStatus | undefined): number | undefined {
  return status !== undefined && 'heartbeatAtMs' in status ? status.heartbeatAtMs : undefined;
}
