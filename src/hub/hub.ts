import { BehaviorSubject, type Observable, Subject, type Subscription } from 'rxjs';
import type {
  CommandReply,
  CommandRequest,
  EventsPage,
  JournalLag,
  Sight,
  SourceInfo,
  Turn,
  Webhook,
  WebhookAnswer,
} from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { formatCursor, parseCursor } from '../model/cursor.js';
import { type Fact, SOURCE_TOKEN, type VenueName } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { Json } from '../model/json.js';
import type { SessionState, SourceState, State } from '../model/session.js';
import { sessionKey } from '../model/subject.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import { type Log, silentLog } from '../net/log.js';
import { within } from '../net/within.js';
import type { SourceDescription, StopOptions, Venue } from '../venues/venue.js';
import {
  type ChangedVenues,
  type ChangePorts,
  changeVenues,
  planVenues,
  type VenueChanges,
  type VenuePlan,
} from './changes.js';
import { COMMAND_SPACE, createCommandDesk } from './commands.js';
import { endOfThrottle, isUnconfirmedAfterRestart, lostLinks, staleFact } from './derive.js';
import { createForgetting, spaceName } from './forgetting.js';
import { type Arrival, remembering } from './inbox.js';
import { createIntake } from './intake.js';
import type { Journal, JournalContents } from './journal/journal.js';
import { leaveVenues } from './leave.js';
import { createLedger, type Ledger } from './ledger.js';
import { createRecollection } from './recollection.js';
import { createRoles, ROLE_SPACE, type Roles } from './roles.js';
import { createSources, refuseNamesakes } from './sources.js';

/** How often retention runs. */
const RETENTION_EVERY_MS = 10_000;
/** How often ended sessions are looked at for `forgetAfter`. */
const FORGET_EVERY_MS = 60_000;
/** How long ending may take unless it is said: most of it is the venues', the rest the journal's, to commit and to close. */
const END_WITHIN_MS = 14_000;
const VENUES_SHARE = 5 / 7;
const JOURNAL_SHARE = 1 / 7;
/** Whatever the time, Deribit has its second to log out, and the journal this long. */
const LEAST_VENUES_MS = 1_500;
const LEAST_JOURNAL_MS = 500;
/** Webhooks that wait for the journal at once: more are refused, and their venue sends them again. */
export const MAX_WEBHOOKS_WAITING = 256;
const WEBHOOK_RETRY_MS = 5_000;
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
   * Looks whether the hub can hold other venues from now on, and changes nothing: that begins, and cannot be refused, in
   * the turn in which the answer is called; see {@link changeVenues}. Throws `config_invalid` (two of one name),
   * `conflict` (another change goes on, or one of them was ended), and where there is something to change `closed`, `source_unavailable` (not
   * started yet) or `journal_failed`.
   */
  prepareChange(changes: VenueChanges): () => Promise<ChangedVenues>;
  /**
   * Stops the venues (see {@link Venue.stop}), those that orders go through first, and commits what they said on their
   * way out. No command and no webhook is taken from then on; states and journal stay readable until `stop`. Never
   * hangs, see {@link EndOptions}. Idempotent, the first call decides; never rejects.
   */
  leave(options: EndOptions): Promise<void>;
  /** `leave`, then closes the journal. Idempotent; never rejects. */
  stop(options: EndOptions): Promise<Ending>;
  /** Never errors; completes after `stop`. */
  readonly turns$: Observable<Turn>;
  readonly sight$: Observable<Sight>;
  /** What is not committed yet. */
  lag(): JournalLag;
  head(): string;
  /** The committed states, live: do not keep it across turns. Empty before `start` and after `stop`. */
  states(): ReadonlyMap<string, State>;
  read(after: string, limit: number): Promise<EventsPage>;
  holds(cursor: string): boolean;
  sources(): readonly SourceInfo[];
  command(request: CommandRequest): Promise<CommandReply>;
  webhook(hook: Webhook): Promise<WebhookAnswer>;
}

export interface EndOptions extends StopOptions {
  /**
   * How long it may take, default 14 000 ms: five sevenths for the venues, a seventh for the last commit, a seventh for
   * closing the journal; never less than 1.5 s and twice 0.5 s.
   */
  readonly withinMs?: number;
}

/** What became of what was said last. */
export interface Ending {
  /** Everything was committed, and the journal closed in time. Where `false`, the log says what was not. */
  readonly journaled: boolean;
}

/** @throws ConfigError where two venues have the same name. */
export function createHub(options: HubOptions): Hub {
  const { journal, clock, random, node, log = silentLog } = options;
  let { venues } = options;
  const sources = createSources(() => venues);
  const recollection = createRecollection();
  /** Venues that have ended, or are ending, because the configuration has changed. */
  const ended = new WeakSet<Venue>();
  const turns = new Subject<Turn>();
  const sight = new BehaviorSubject<Sight>({ blind: true, since: clock.now(), forMs: 0, why: 'starting' });
  let ledger: Ledger | undefined;
  let roles: Roles | undefined;
  let head = '0-0';
  let started = false;
  let stopped = false;
  let starting: Promise<void> | undefined;
  let leaving: Promise<boolean> | undefined;
  let stopping: Promise<Ending> | undefined;
  let truncating = false;
  let webhooks = 0;
  const subscriptions = new Map<Venue, Subscription>();
  let changing = false;
  const timers = new Set<Timer>();

  const every = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
      if (!stopped) every(ms, task);
    }, ms);
    timers.add(timer);
  };
  const intake = createIntake({
    journal,
    clock,
    random,
    log,
    committed(turn) {
      if (turn.events.length > 0 || turn.pulses.length > 0) turns.next(turn);
      head = turn.events.at(-1)?.id ?? head;
    },
    blind(blindness) {
      const { value } = sight;
      const isNews = !value.blind || (blindness.lasting === true && value.lasting !== true);
      if (isNews) sight.next({ blind: true, ...blindness });
    },
    sighted() {
      if (started && sight.value.blind) sight.next({ blind: false, cursor: head });
    },
    flooded(origin) {
      const venue = venues.find((one) => `${one.venue}.${one.id}` === origin);
      if (venue === undefined) return;
      const why = 'it says more than can be journaled: nothing of it is taken in until the relay is started again';
      for (const description of venue.sources()) {
        const data = {
          what: 'inconsistent',
          sample: 'more facts than can be journaled: not followed any more',
        } as const;
        const fault: Fact = { source: description.source, session: SOURCE_TOKEN, type: 'source.fault', data };
        intake.arrive({ facts: [fault], describe: () => description });
      }
      loseVenue(venue, why);
    },
  });

  /** What is committed of a venue's memory is known here too: it may have to begin anew. */
  const arrive = (arrival: Arrival): void => {
    const { memory, committed } = arrival;
    if (memory === undefined) return intake.arrive(arrival);
    const { space } = memory;
    let made: { readonly [key: string]: Json } = {};
    return intake.arrive({
      ...arrival,
      memory: {
        space,
        entries(cursor) {
          made = memory.entries(cursor);
          return made;
        },
      },
      committed(cursor) {
        recollection.note(space, made);
        committed?.(cursor);
      },
    });
  };

  const describe = (venue: VenueName, source: string): SourceDescription =>
    sources.describe(venue, source) ?? sources.describeOrphan(venue, source);
  const describeState = (state: SessionState): SourceDescription =>
    sources.describe(state.venue, state.source) ?? sources.describeOrphan(state.venue, state.source, state);

  const desk = createCommandDesk({
    clock,
    venueOf: sources.find,
    takesCommands: (venue) => !ended.has(venue),
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

  /** Behind what waits already: the venue made that before it forgot. */
  const forgetDropped = ({ source, session }: Fact, { venue }: SourceDescription): void => {
    const found = sources.find(`${venue}.${source}`);
    const entries = found?.venue.forget?.(source, session);
    if (found === undefined || entries === undefined) return;
    arrive(remembering(spaceName(found.venue), entries));
  };

  const open = async (): Promise<void> => {
    const contents = await openJournal();
    if (stopped) await closeJournal();
    mustRun();
    head = formatCursor(contents.epoch, 0);
    const { epoch, states } = contents;
    recollection.begin(contents.memory);
    const book = createLedger({ journal, clock, log, epoch, states, dropped: forgetDropped, due: () => intake.wake() });
    ledger = book;
    roles = createRoles({ memory: contents.memory.get(ROLE_SPACE), states: book.states, arrive });
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
      isConfigured: (space) => venues.some((venue) => spaceName(venue) === space),
      memory: recollection.spaces,
      arrive,
    });
    forgetting.look();
    roles.look(venues);
    await intake.settled();
    mustRun();
    started = true;
    sight.next({ blind: false, cursor: head });
    every(RETENTION_EVERY_MS, () => void truncate());
    every(FORGET_EVERY_MS, () => {
      forgetting.run();
      const entries = desk.forgotten();
      if (Object.keys(entries).length > 0) intake.arrive(remembering(COMMAND_SPACE, entries));
    });
    for (const venue of venues) follow(venue);
    // After the venues: one that remembers its penalty ends it itself.
    for (const state of states) if (!isSessionState(state)) endThrottle(book, state);
  };

  /** One at a time, however long the journal takes. */
  const truncate = async (): Promise<void> => {
    if (truncating) return;
    truncating = true;
    try {
      await journal.truncate(clock.now());
    } catch (thrown) {
      log.error('retention failed', { error: messageOf(thrown) });
    } finally {
      truncating = false;
    }
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

  const follow = (venue: Venue): void => {
    const space = spaceName(venue);
    subscriptions.set(
      venue,
      venue.facts$.subscribe({
        next: ({ facts, memory: entries, committed }) =>
          arrive({
            facts,
            origin: space,
            describe: (source) => venue.sources().find((one) => one.source === source),
            ...(entries === undefined ? {} : { memory: { space, entries: () => entries } }),
            ...(committed === undefined ? {} : { committed: () => committed(true), refused: () => committed(false) }),
          }),
        error: (thrown: unknown) => loseVenue(venue, messageOf(thrown)),
        complete: () => loseVenue(venue, 'it ended by itself'),
      }),
    );
    venue.start(recollection.of(space));
    roles?.started(venue);
  };

  /** A venue that says no more without having been asked to end: what it said last cannot be believed for long. */
  const loseVenue = (venue: Venue, why: string): void => {
    if (stopped || ended.has(venue)) return;
    log.error(`${venue.venue}.${venue.id} says no more`, { why });
    void intake.settled().then(() => {
      for (const description of venue.sources()) ledger?.loseSight(description);
      intake.wake();
    });
  };

  /** Why the venues cannot be changed now. */
  const mustBeAbleToChange = (): Ledger => {
    if (stopped) throw new SessionRelayError('closed', 'the relay is stopping: nothing of it is changed any more');
    if (!started || ledger === undefined)
      throw new SessionRelayError('source_unavailable', 'the relay has not started yet');
    if (sight.value.blind)
      throw new SessionRelayError(
        'journal_failed',
        'the journal does not commit: no source is ended or begun unrecorded',
      );
    return ledger;
  };
  const prepareChange = (changes: VenueChanges): (() => Promise<ChangedVenues>) => {
    if (changing) throw new SessionRelayError('conflict', 'another change of the venues goes on');
    refuseNamesakes(changes.venues);
    const over = changes.venues.find((venue) => ended.has(venue));
    if (over !== undefined)
      throw new SessionRelayError('conflict', `${spaceName(over)} was ended, and cannot begin again: make another one`);
    const plan = planVenues(venues, changes.venues);
    const isSame = plan.added.length + plan.removed.length + plan.changed.length + (changes.revisions?.size ?? 0) === 0;
    const book = isSame ? undefined : mustBeAbleToChange();
    return async () => {
      changing = true;
      try {
        return await change(plan, changes, book);
      } finally {
        changing = false;
      }
    };
  };
  const change = async (plan: VenuePlan, changes: VenueChanges, book: Ledger | undefined): Promise<ChangedVenues> => {
    const fresh = [...plan.added, ...plan.changed.map(({ after }) => after)];
    const ports = (ledgerNow: Ledger): ChangePorts => ({
      clock,
      log,
      ledger: ledgerNow,
      hold: (next) => {
        venues = next;
      },
      arrive,
      wake: () => intake.wake(),
      follow(venue) {
        follow(venue);
        for (const { venue: name, source } of venue.sources()) {
          const state = ledgerNow.states().get(sessionKey(name, source, SOURCE_TOKEN));
          if (state !== undefined && !isSessionState(state)) endThrottle(ledgerNow, state);
        }
      },
      unfollow(venue) {
        subscriptions.get(venue)?.unsubscribe();
        subscriptions.delete(venue);
      },
      closeTo(going) {
        for (const venue of going) ended.add(venue);
      },
      async cutOff(going) {
        desk.cut(new Set(going));
        await desk.idle(going.flatMap((one) => one.sources().map(({ source }) => `${one.venue}.${source}`)));
      },
      isStopping: () => stopped,
    });
    const revised = book === undefined ? new Set<Venue>() : await changeVenues(plan, changes, ports(book));
    // What was not begun before the end must not stay behind with what it opened when it was made.
    if (stopped) await Promise.all(fresh.map((venue) => venue.stop({ orders: 'leave' })));
    const names = (some: readonly Venue[]): readonly string[] => some.map(spaceName);
    return {
      added: names(plan.added),
      removed: names(plan.removed),
      changed: names(plan.changed.map(({ after }) => after)),
      revised: names(plan.kept.filter((venue) => revised.has(venue))),
      kept: names(plan.kept.filter((venue) => !revised.has(venue))),
    };
  };

  /** Whether everything that was said is committed. */
  const leave = async ({ orders, withinMs = END_WITHIN_MS }: EndOptions): Promise<boolean> => {
    desk.close();
    ledger?.worsenOnly();
    const venuesMs = Math.max(LEAST_VENUES_MS, withinMs * VENUES_SHARE);
    await leaveVenues(venues, { orders }, { clock, log, withinMs: venuesMs });
    // What the venues' end means for commands under way is said in this turn; the others are cut off.
    await new Promise<void>((resolve) => setImmediate(resolve));
    desk.cut();
    const last = Promise.all([starting?.catch(() => undefined), desk.idle().then(() => intake.settled())]);
    return within(clock, journalMs(withinMs), last);
  };
  const journalMs = (withinMs: number): number => Math.max(LEAST_JOURNAL_MS, withinMs * JOURNAL_SHARE);

  /** `hasLeft`: the venues were left before it was asked to end. */
  const end = async (how: EndOptions, hasLeft: boolean): Promise<Ending> => {
    const patienceMs = journalMs(how.withinMs ?? END_WITHIN_MS);
    let isSettled = await leaveOnce(how);
    // Since they left time may have said more; and a journal that did not follow then may do so now.
    if (hasLeft) isSettled = await within(clock, patienceMs, Promise.all([desk.idle(), intake.settled()]));
    const isWhole = ledger !== undefined || starting === undefined;
    const journaled = isSettled && isWhole && !(sight.value.blind && sight.value.lasting === true);
    // Where it was never opened nothing was taken that could be lost.
    if (!journaled && ledger !== undefined)
      log.error('the journal does not follow: what it did not take is lost', { ...intake.lag() });
    intake.abandon();
    await intake.settled();
    for (const subscription of subscriptions.values()) subscription.unsubscribe();
    for (const timer of timers) timer.cancel();
    ledger?.stop();
    const closed = closeJournal();
    const isInTime = await within(clock, patienceMs, closed);
    if (!isInTime) log.error('the journal does not close');
    ledger = undefined;
    turns.complete();
    sight.complete();
    return { journaled: journaled && isInTime && (await closed) };
  };
  const closeJournal = async (): Promise<boolean> => {
    try {
      await journal.close();
      return true;
    } catch (thrown) {
      log.error('the journal did not close as it should', { error: messageOf(thrown) });
      return false;
    }
  };
  const leaveOnce = (how: EndOptions): Promise<boolean> => {
    stopped = true;
    leaving ??= leave(how);
    return leaving;
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
    prepareChange,
    async leave(how) {
      await leaveOnce(how);
    },
    stop(how) {
      stopping ??= end(how, leaving !== undefined);
      return stopping;
    },
    lag: () => ({ ...intake.lag(), bytes: journal.bytes() }),
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
      if (webhooks >= MAX_WEBHOOKS_WAITING) {
        throw new SessionRelayError('source_unavailable', 'too many webhooks are under way: send it again later', {
          data: { retryAfterMs: WEBHOOK_RETRY_MS },
        });
      }
      webhooks++;
      try {
        return await found.webhook({ headers, body });
      } finally {
        webhooks--;
      }
    },
  };
}
