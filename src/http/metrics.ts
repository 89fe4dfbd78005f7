import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Observable } from 'rxjs';
import type { Bus, Turn } from '../bus/bus.js';
import type { Edge } from '../edge/edge.js';
import { MAX_PAGE } from '../edge/limits.js';
import { CARRIERS, eventData, type SessionEvent, VENUES } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { State } from '../model/session.js';
import type { Clock } from '../net/clock.js';

/**
 * `/metrics`, in the text format of Prometheus. The table in README names each one. No label takes a value from
 * outside: venues, kinds, statuses, levels, event types, commands and codes are fixed lists, and a source's or session's
 * name is never a label.
 */
export interface Metrics {
  /** The content type and the text. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Idempotent. */
  stop(): void;
}

export interface MetricsOptions {
  readonly bus: Pick<Bus, 'turns$' | 'sight$' | 'states' | 'lag'>;
  readonly edge: Pick<Edge, 'counts' | 'load' | 'stats'>;
  readonly eventLoop: { lateMs(): number };
  readonly clock: Clock;
  /** How often another configuration was taken over, or refused; absent: never. */
  readonly reloads?: Readonly<Record<(typeof RELOAD_OUTCOMES)[number], number>>;
  /** How many threads serve subscribers, and how many of those there should be; absent: the one that does everything. */
  readonly workers?: { readonly up: () => number; readonly restarts: () => number };
  /** Where other threads send: how long it took from a fact to its sending there, ms. */
  readonly sent$?: Observable<number>;
  readonly version: string;
  readonly transport: string;
}

const PREFIX = 'session_relay_';
const LATENCY_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const COMMAND_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const ROUND_TRIP_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Commands under way whose time is measured, at most; beyond it one is only counted. */
const MAX_COMMANDS = 1_000;
const RELOAD_OUTCOMES = ['applied', 'incomplete', 'refused'] as const;
const OUTCOMES = ['succeeded', 'failed', 'unknown'] as const;
const MS = 1_000;

export function createMetrics(options: MetricsOptions): Metrics {
  const { bus, edge, clock } = options;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const of = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) => ({
    name: `${PREFIX}${name}`,
    help,
    labelNames,
    registers: [registry],
  });
  /** A gauge whose value is asked for when it is scraped. */
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      ...of(name, help),
      collect() {
        this.set(value());
      },
    });
  };
  /** A counter that somebody else counts. */
  const counter = (name: string, help: string, value: () => number): void => {
    new Counter({
      ...of(name, help),
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  };
  const codes = (name: string, help: string, counts: ReadonlyMap<number, number>): void => {
    new Counter({
      ...of(name, help, ['code']),
      collect() {
        this.reset();
        for (const [code, count] of counts) this.inc({ code: code === 0 ? 'other' : String(code) }, count);
      },
    });
  };
  const { stats, counts } = edge;

  new Gauge(of('info', 'Always 1; what runs.', ['version', 'transport'])).set(
    { version: options.version, transport: options.transport },
    1,
  );
  gauge('workers', 'Threads that serve subscribers.', () => options.workers?.up() ?? 1);
  counter(
    'worker_restarts_total',
    'Threads that ended by a fault and were replaced.',
    () => options.workers?.restarts() ?? 0,
  );
  gauge('connections', 'Open sockets.', () => counts().connections);
  gauge('groups', 'Distinct (pattern, fields, mode, pulses) that are subscribed to.', () => counts().groups);
  const lagging = new Gauge(of('lagging_connections', 'Sockets that are being replayed because they fell behind.'));
  const buffered = new Gauge(of('buffered_bytes', 'Bytes that sockets have not taken yet.'));
  counter('deliveries_total', 'Frames of events and states handed to sockets.', () => stats.deliveries);
  counter('delivered_bytes_total', 'Bytes of these frames.', () => stats.deliveredBytes);
  counter('lags_total', 'How often a subscriber fell behind.', () => stats.lags);
  counter('replays_total', 'Replays that caught up.', () => stats.replays);
  counter('gaps_total', 'Losses that were announced to a subscriber.', () => stats.gaps);
  new Counter({
    ...of('resumes_total', 'Subscriptions with a cursor, by what became of them.', ['outcome']),
    collect() {
      this.reset();
      this.inc({ outcome: 'recovered' }, stats.resumed);
      this.inc({ outcome: 'lost' }, stats.unrecovered);
    },
  });
  new Counter({
    ...of('reloads_total', 'Reloads by what became of them.', ['outcome']),
    collect() {
      this.reset();
      for (const outcome of RELOAD_OUTCOMES) this.inc({ outcome }, options.reloads?.[outcome] ?? 0);
    },
  });
  codes('closes_total', 'Sockets that ended, by close code.', stats.closes);
  codes('refusals_total', 'Upgrades that were refused, by HTTP status.', stats.refusals);
  gauge(
    'event_loop_lag_seconds',
    'The worst lateness of a timer within the last 10 s.',
    () => options.eventLoop.lateMs() / MS,
  );

  const sessions = new Gauge(of('sessions', 'Sessions by status.', ['venue', 'kind', 'status']));
  const stale = new Gauge(of('sessions_stale', 'Sessions that the relay cannot see now.', ['venue']));
  const safety = new Gauge(of('safety', 'Sessions by safety level.', ['venue', 'kind', 'level']));
  const links = new Gauge(of('links', 'Links to venues by their state.', ['venue', 'carrier', 'state']));
  const throttled = new Gauge(of('sources_throttled', 'Sources that wait out a penalty of the venue.', ['venue']));
  const events = new Counter(of('events_total', 'Events that were committed, by type.', ['type']));
  for (const type of Object.keys(eventData)) if (type !== 'heartbeat.pulse') events.inc({ type }, 0);
  const commands = new Counter(of('commands_total', 'Commands by outcome.', ['venue', 'outcome']));
  for (const venue of VENUES) for (const outcome of OUTCOMES) commands.inc({ venue, outcome }, 0);
  const commandSeconds = new Histogram({
    ...of('command_seconds', "From a command's acceptance to its outcome.", ['venue']),
    buckets: COMMAND_SECONDS,
  });
  const roundTrip = new Histogram({
    ...of('upstream_round_trip_seconds', 'Round trips of heartbeats.', ['venue']),
    buckets: ROUND_TRIP_SECONDS,
  });
  const ingestToSend = new Histogram({
    ...of('ingest_to_send_seconds', "From a fact's arrival to its event's being handed to the last socket."),
    buckets: LATENCY_SECONDS,
  });
  let blind = 1;
  gauge('blind', '1 while the relay cannot follow: its journal does not commit.', () => blind);
  const waiting = new Gauge(of('journal_waiting_facts', 'Facts that are not committed yet.'));
  const journalLag = new Gauge(of('journal_lag_seconds', 'The age of the oldest fact that is not committed yet.'));
  const journalBytes = new Gauge(of('journal_bytes', 'What the events that are held take up.'));

  /** When a command was accepted, by identity and request. */
  const accepted = new Map<string, number>();
  const command = (event: SessionEvent): void => {
    if (!event.type.startsWith('command.')) return;
    const { by, requestId } = event.data as { readonly by: string; readonly requestId: string };
    const name = JSON.stringify([by, requestId]);
    const venue = event.source.split('/')[1] ?? '';
    if (event.type === 'command.accepted') {
      if (accepted.size < MAX_COMMANDS) accepted.set(name, clock.monotonic());
      return;
    }
    commands.inc({ venue, outcome: event.type.slice('command.'.length) });
    const since = accepted.get(name);
    accepted.delete(name);
    if (since !== undefined) commandSeconds.observe({ venue }, (clock.monotonic() - since) / MS);
  };
  const take = (turn: Turn): void => {
    for (const event of turn.events) {
      events.inc({ type: event.type });
      command(event);
    }
    for (const { source, data } of turn.pulses)
      if (data.rttMs !== undefined) roundTrip.observe({ venue: source.split('/')[1] ?? '' }, data.rttMs / MS);
    if (options.sent$ === undefined && turn.receivedAt !== undefined && turn.events.length > 0)
      ingestToSend.observe((clock.monotonic() - turn.receivedAt) / MS);
  };
  const following = bus.turns$.subscribe(take);
  const sending = options.sent$?.subscribe((ms) => ingestToSend.observe(ms / MS));
  const seeing = bus.sight$.subscribe((sight) => {
    blind = sight.blind ? 1 : 0;
  });

  const readStates = async (): Promise<void> => {
    for (const one of [sessions, stale, safety, links, throttled]) one.reset();
    for (const venue of VENUES) {
      stale.set({ venue }, 0);
      throttled.set({ venue }, 0);
    }
    let after: string | undefined;
    do {
      const page = await bus.states({ limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
      for (const state of page.states) count(state);
      after = page.next;
    } while (after !== undefined);
  };
  const count = (state: State): void => {
    const { venue, kind } = state;
    if (isSessionState(state)) {
      sessions.inc({ venue, kind, status: state.status });
      safety.inc({ venue, kind, level: state.safety.level });
      if (state.stale) stale.inc({ venue });
      return;
    }
    for (const carrier of CARRIERS) {
      const link = state.attributes.links[carrier];
      if (link !== undefined) links.inc({ venue, carrier, state: link });
    }
    if (state.attributes.throttledUntilAt !== undefined) throttled.inc({ venue });
  };

  return {
    async render() {
      const [lag] = await Promise.all([bus.lag(), readStates()]);
      const load = edge.load();
      lagging.set(load.lagging);
      buffered.set(load.bufferedBytes);
      waiting.set(lag.waiting);
      journalLag.set(lag.oldestMs / MS);
      journalBytes.set(lag.bytes);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    stop() {
      following.unsubscribe();
      sending?.unsubscribe();
      seeing.unsubscribe();
      registry.clear();
    },
  };
}
