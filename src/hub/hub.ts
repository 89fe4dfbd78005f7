import { BehaviorSubject, type Observable, Subject, type Subscription } from 'rxjs';
import type {
  CommandReply,
  CommandRequest,
  EventsPage,
  Sight,
  SourceInfo,
  Turn,
  Webhook,
  WebhookAnswer,
} from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { formatCursor, parseCursor } from '../model/cursor.js';
import type { VenueName } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { SessionState, SourceState, State } from '../model/session.js';
import { sessionKey } from '../model/subject.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import { type Log, silentLog } from '../net/log.js';
import type { SourceDescription, StopOptions, Venue, VenueMemory } from '../venues/venue.js';
import { COMMAND_SPACE, createCommandDesk } from './commands.js';
import { endOfThrottle, isUnconfirmedAfterRestart, lostLinks, staleFact } from './derive.js';
import { createForgetting, spaceName } from './forgetting.js';
import { createIntake } from './intake.js';
import type { Journal, JournalContents } from './journal/journal.js';
import { createLedger, type Ledger } from './ledger.js';
import { createSources } from './sources.js';

/** How often retention runs. */
const RETENTION_EVERY_MS = 10_000;
/** How often ended sessions are looked at for `forgetAfter`. */
const FORGET_EVERY_MS = 60_000;
/** `stop` waits so long for a venue to end, and after that so long for the journal. */
const VENUE_STOP_MS = 10_000;
const LAST_COMMIT_MS = 2_000;
const NO_STATES: ReadonlyMap<string, State> = new Map();

export interface HubOptions {
  readonly venues: readonly Venue[];
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** The name of this node, as `welcome` says it. */
  readonly node: string;
}

/** The only place that has order: facts in, events with cursors out, committed before anyone sees them. */
export interface Hub {
  readonly node: string;
  /**
   * Opens the journal, makes stale what cannot be seen yet, starts the venues. Rejects with `journal_failed`, or with
   * `closed` where it was stopped meanwhile. Idempotent.
   */
  start(): Promise<void>;
  /**
   * Stops the venues (see {@link Venue.stop}), commits what they said on their way out, closes. Never hangs: a venue has
   * 10 s, and a journal that does not commit has 2 s more. Idempotent; never rejects.
   */
  stop(options: StopOptions): Promise<void>;
  /** Never errors; completes after `stop`. */
  readonly turns$: Observable<Turn>;
  readonly sight$: Observable<Sight>;
  head(): string;
  /** The committed states, live: do not keep it across turns. Empty before `start` and after `stop`. */
  states(): ReadonlyMap<string, State>;
  read(after: string, limit: number): Promise<EventsPage>;
  holds(cursor: string): boolean;
  sources(): readonly SourceInfo[];
  command(request: CommandRequest): Promise<CommandReply>;
  webhook(hook: Webhook): Promise<WebhookAnswer>;
}

/** @throws ConfigError where two venues have the same name. */
export function createHub(options: HubOptions): Hub {
  const { venues, journal, clock, random, node, log = silentLog } = options;
  const sources = createSources(venues);
  const turns = new Subject<Turn>();
  const sight = new BehaviorSubject<Sight>({ blind: true, since: clock.now(), why: 'starting' });
  let ledger: Ledger | undefined;
  let head = '0-0';
  let started = false;
  let stopped = false;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  const subscriptions: Subscription[] = [];
  const timers = new Set<Timer>();

  const every = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
      if (!stopped) every(ms, task);
    }, ms);
    timers.add(timer);
  };
  /** Waits for `task`, and no longer than `ms`; whether it ended. */
  const within = (ms: number, task: Promise<unknown>): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = clock.setTimer(() => resolve(false), ms);
      void task
        .catch(() => undefined)
        .then(() => {
          timer.cancel();
          resolve(true);
        });
    });

  const intake = createIntake({
    journal,
    clock,
    random,
    log,
    committed(turn) {
      if (turn.events.length > 0 || turn.pulses.length > 0) turns.next(turn);
      head = turn.events.at(-1)?.id ?? head;
    },
    blind(since, why) {
      if (!sight.value.blind) sight.next({ blind: true, since, why });
    },
    sighted() {
      if (started && sight.value.blind) sight.next({ blind: false, cursor: head });
    },
  });

  const describe = (venue: VenueName, source: string): SourceDescription =>
    sources.describe(venue, source) ?? sources.describeOrphan(venue, source);
  const describeState = (state: SessionState): SourceDescription =>
    sources.describe(state.venue, state.source) ?? sources.describeOrphan(state.venue, state.source, state);

  const desk = createCommandDesk({
    clock,
    venueOf: sources.find,
    hasSession(name, session) {
      const found = sources.find(name);
      const key = found === undefined ? '' : sessionKey(found.venue.venue, found.source, session);
      return ledger?.states().has(key) === true;
    },
    commit: (venue, fact, entries) =>
      new Promise((resolve, reject) => {
        const description = describe(venue, fact.source);
        const memory = { space: COMMAND_SPACE, entries };
        intake.arrive({ facts: [fact], describe: () => description, memory, committed: resolve, refused: reject });
      }),
  });

  const open = async (): Promise<void> => {
    const contents = await openJournal();
    if (stopped) await closeJournal();
    mustRun();
    head = formatCursor(contents.epoch, 0);
    const { epoch, states } = contents;
    const book = createLedger({ journal, clock, log, epoch, states, due: () => intake.wake() });
    ledger = book;
    intake.open(book);
    // What the life before this one had is gone: first the links, then the sight of what they showed.
    for (const state of states) {
      if (isSessionState(state)) continue;
      const facts = lostLinks(state);
      if (facts.length > 0) intake.arrive({ facts, describe: (source) => describe(state.venue, source) });
    }
    for (const state of states) {
      if (!isSessionState(state) || !isUnconfirmedAfterRestart(state)) continue;
      const description = describeState(state);
      intake.arrive({ facts: [staleFact(state, 'relay_restarted')], describe: () => description });
    }
    await intake.settled();
    mustRun();
    book.reviewAll(describeState);
    intake.wake();
    await desk.recover(contents.memory.get(COMMAND_SPACE));
    const forgetting = createForgetting({
      clock,
      journal,
      book,
      sources,
      describe: describeState,
      spaces: new Set(venues.map(spaceName)),
      memory: contents.memory,
      arrive: intake.arrive,
    });
    forgetting.look();
    await intake.settled();
    mustRun();
    started = true;
    sight.next({ blind: false, cursor: head });
    every(RETENTION_EVERY_MS, () => {
      journal
        .truncate(clock.now())
        .catch((thrown: unknown) => log.error('retention failed', { error: messageOf(thrown) }));
    });
    every(FORGET_EVERY_MS, () => {
      forgetting.run();
      const entries = desk.forgotten();
      if (Object.keys(entries).length === 0) return;
      intake.arrive({
        facts: [],
        describe: () => undefined,
        memory: { space: COMMAND_SPACE, entries: () => entries },
      });
    });
    for (const venue of venues) follow(venue, contents.memory.get(spaceName(venue)));
    // After the venues: one that remembers its penalty ends it itself.
    for (const state of states) if (!isSessionState(state)) endThrottle(book, state);
  };

  /** A venue's penalty that the life before this one was under ends by time, whether or not the feed remembers it. */
  const endThrottle = (book: Ledger, state: SourceState): void => {
    const end = endOfThrottle(state, clock.now());
    if (end === undefined) return;
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      const now = book.states().get(state.key);
      const isSame = now?.attributes.throttledUntilAt === state.attributes.throttledUntilAt;
      if (isSame) intake.arrive({ facts: [end.fact], describe: () => describe(state.venue, state.source) });
    }, end.inMs);
    timers.add(timer);
  };

  const openJournal = async (): Promise<JournalContents> => {
    try {
      return await journal.open(clock.now());
    } catch (thrown) {
      if (thrown instanceof SessionRelayError) throw thrown;
      throw new SessionRelayError('journal_failed', `the journal cannot be opened: ${messageOf(thrown)}`, {
        cause: thrown,
      });
    }
  };
  const mustRun = (): void => {
    if (stopped) throw new SessionRelayError('closed', 'the relay was stopped while it started');
  };

  const follow = (venue: Venue, memory: VenueMemory | undefined): void => {
    const space = spaceName(venue);
    subscriptions.push(
      venue.facts$.subscribe({
        next: ({ facts, memory: entries, committed }) =>
          intake.arrive({
            facts,
            describe: (source) => venue.sources().find((one) => one.source === source),
            ...(entries === undefined ? {} : { memory: { space, entries: () => entries } }),
            ...(committed === undefined ? {} : { committed: () => committed(true), refused: () => committed(false) }),
          }),
        error: (thrown: unknown) => loseVenue(venue, messageOf(thrown)),
        complete: () => loseVenue(venue, 'it ended by itself'),
      }),
    );
    venue.start(memory);
  };

  /** A venue that says no more without having been asked to end: what it said last cannot be believed for long. */
  const loseVenue = (venue: Venue, why: string): void => {
    if (stopped) return;
    log.error(`${venue.venue}.${venue.id} says no more`, { why });
    void intake.settled().then(() => {
      for (const description of venue.sources()) ledger?.loseSight(description);
      intake.wake();
    });
  };

  const end = async (how: StopOptions): Promise<void> => {
    desk.close();
    await Promise.all(
      venues.map(async (venue) => {
        const stopVenue = async (): Promise<void> => venue.stop(how);
        const task = stopVenue().catch((thrown: unknown) =>
          log.error(`${venue.venue}.${venue.id} did not stop as it should`, { error: messageOf(thrown) }),
        );
        if (!(await within(VENUE_STOP_MS, task))) log.error(`${venue.venue}.${venue.id} does not stop`);
      }),
    );
    // What the venues' end means for commands under way is said in this turn; the others are cut off.
    await new Promise<void>((resolve) => setImmediate(resolve));
    desk.cut();
    const last = Promise.all([starting?.catch(() => undefined), desk.idle().then(() => intake.settled())]);
    if (!(await within(LAST_COMMIT_MS, last))) log.error('the journal does not follow: what it did not take is lost');
    intake.abandon();
    await intake.settled();
    for (const subscription of subscriptions) subscription.unsubscribe();
    for (const timer of timers) timer.cancel();
    ledger?.stop();
    ledger = undefined;
    if (!(await within(LAST_COMMIT_MS, closeJournal()))) log.error('the journal does not close');
    turns.complete();
    sight.complete();
  };
  const closeJournal = async (): Promise<void> => {
    try {
      await journal.close();
    } catch (thrown) {
      log.error('the journal did not close as it should', { error: messageOf(thrown) });
    }
  };

  return {
    node,
    turns$: turns.asObservable(),
    sight$: sight.asObservable(),
    start() {
      if (stopped && starting === undefined) return Promise.reject(new SessionRelayError('closed', 'it was stopped'));
      starting ??= open();
      return starting;
    },
    stop(how) {
      stopped = true;
      stopping ??= end(how);
      return stopping;
    },
    head: () => head,
    states: () => ledger?.states() ?? NO_STATES,
    read: (after, limit) => journal.read(after, limit),
    holds: (cursor) => parseCursor(cursor) !== undefined && journal.holds(cursor),
    sources: () => sources.list(ledger?.states() ?? NO_STATES, head),
    command(request) {
      if (stopped || !started) {
        return Promise.reject(
          new SessionRelayError('source_unavailable', 'the relay is not running: it is starting or stopping'),
        );
      }
      if (sight.value.blind) {
        return Promise.reject(
          new SessionRelayError('journal_failed', 'the journal does not commit: nothing is sent to a venue unrecorded'),
        );
      }
      return desk.run(request);
    },
    async webhook({ venue: name, id, headers, body }) {
      const found = venues.find((venue) => venue.venue === name && venue.id === id);
      if (found?.webhook === undefined)
        throw new SessionRelayError('not_found', `no source ${name}.${id} takes webhooks`);
      if (stopped || !started || sight.value.blind)
        throw new SessionRelayError('journal_failed', 'nothing can be journaled now: send it again later');
      return found.webhook({ headers, body });
    },
  };
}
