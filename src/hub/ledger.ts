import type { Turn } from '../bus/bus.js';
import { messageOf } from '../errors.js';
import { formatCursor } from '../model/cursor.js';
import { type Fact, type Pulse, type SessionEvent, SOURCE_TOKEN, timestampOf } from '../model/event.js';
import { fold, foldPulse, isSessionState, statusAfter } from '../model/fold.js';
import { sampleOf } from '../model/grant.js';
import type { Json } from '../model/json.js';
import type { SessionState, SourceState, State } from '../model/session.js';
import { sessionKey } from '../model/subject.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import type { SourceDescription } from '../venues/venue.js';
import {
  type CarrierSight,
  concernsSessions,
  isEnded,
  isLiving,
  isOutOfSight,
  NO_CARRIERS,
  seeCarrier,
  staleFact,
  supportsChildren,
} from './derive.js';
import { createEnded } from './ended.js';
import type { Journal, JournalBatch } from './journal/journal.js';
import { createNames } from './names.js';
import { isRepeat, nameOf, wordsOf } from './naming.js';
import { createRoom } from './room.js';
import { createSafetyWatch } from './safety-watch.js';
import { createStateBook, sourceOfKey } from './state-book.js';

/**
 * The book of one epoch: facts become events here, states follow, and what is derived from them is added to the same
 * batch. A batch is open from the first `take` to `close`; its states are seen by `states()` only once committed.
 */
export interface Ledger {
  /** Takes in facts that belong together; returns the cursor of the last event (or of the last one before them). */
  take(facts: readonly Fact[], describe: (source: string) => SourceDescription | undefined): string;
  /** What to remember, in the same transaction; `null` forgets. */
  remember(space: string, entries: { readonly [key: string]: Json }): void;
  /** Whatever proved the sessions of a source has fallen silent for good: each living one is owed staleness. */
  loseSight(description: SourceDescription): void;
  /**
   * Whoever proved the sessions of a source is gone, by the relay's own decision: nothing of them is confirmed any more,
   * as after a restart, and each living one is owed staleness.
   */
  unprove(description: SourceDescription): void;
  /** Each session is owed a look at its safety: at the start, when nothing is confirmed. */
  reviewAll(describe: (state: SessionState) => SourceDescription): void;
  /** The same of one source: other rules hold for its sessions from now on. */
  review(description: SourceDescription): void;
  /** Looks at no more than so many of the sessions that are owed something because of what happened elsewhere. */
  deriveDue(most: number): void;
  /** Whether anything is owed. */
  hasDue(): boolean;
  /** Since when the oldest is owed of what is, on the monotonic clock. */
  dueSince(): number | undefined;
  /** How many events the open batch has. */
  size(): number;
  close(): { readonly batch: JournalBatch; readonly turn: Turn };
  /** What `close` returned last is committed. */
  committed(): void;
  states(): ReadonlyMap<string, State>;
  /** Sessions that ended, each with how long ago. */
  ended(): Iterable<{ readonly state: SessionState; readonly forMs: number }>;
  /** The venues are left: nothing gets better any more, while what gets worse by time is still told. */
  worsenOnly(): void;
  /** Time makes nothing due any more, and nothing gets better: as `SafetyWatch.stop` says. */
  stop(): void;
}

export interface LedgerOptions {
  readonly journal: Pick<Journal, 'hasKey'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly epoch: number;
  readonly states: readonly State[];
  /** A session was dropped to make room for others: what its venue is to do and to remember about it. */
  readonly dropped?: (fact: Fact<'session.removed'>, description: SourceDescription) => void;
  /** Time alone has made something due: run `deriveDue` and commit. */
  readonly due: () => void;
}

/** What is owed to a session: staleness first, then a look at its safety. */
interface Owed {
  readonly description: SourceDescription;
  readonly at: number;
  stale?: 'link_down' | 'parent';
}

export function createLedger(options: LedgerOptions): Ledger {
  const { journal, clock, epoch, log } = options;
  const book = createStateBook(options.states);
  const namesOf = createNames();
  let events: SessionEvent[] = [];
  /** Their JSON, made once for the journal and for everybody who is told. */
  let texts: string[] = [];
  let pulses: Pulse[] = [];
  let keys = new Set<string>();
  let memory = new Map<string, { [key: string]: Json }>();
  let offset = 0;
  let lastTimeMs = 0;
  const owed = new Map<string, Owed>();
  const carriers = new Map<string, CarrierSight>();
  /** By `<venue>.<source>`: as last handed in with a fact. */
  const descriptions = new Map<string, SourceDescription>();
  /** What led to a session's present status. */
  const lastWords = new Map<string, string>();
  const endedSince = createEnded(clock);
  for (const state of options.states) {
    if (!isSessionState(state) || !isEnded(state)) continue;
    const since = state.statusSince === undefined ? clock.now() : Date.parse(state.statusSince.at);
    endedSince.begin(state.key, Math.max(0, clock.now() - since));
  }

  const watch = createSafetyWatch({
    clock,
    due: (key) => {
      const description = descriptions.get(sourceOfKey(key));
      if (description === undefined) return;
      owe(key, description);
      options.due();
    },
  });

  for (const state of options.states) if (isSessionState(state)) watch.recall(state);

  const sessionOf = (key: string): SessionState | undefined => {
    const state = book.get(key);
    return state !== undefined && isSessionState(state) ? state : undefined;
  };
  const sourceStateOf = ({ venue, source }: SourceDescription): SourceState | undefined => {
    const state = book.get(namesOf(venue, { source, session: SOURCE_TOKEN }).subject);
    return state !== undefined && !isSessionState(state) ? state : undefined;
  };

  const nextTime = (): string => {
    lastTimeMs = Math.max(lastTimeMs, clock.now());
    return timestampOf(lastTimeMs);
  };

  /** Makes an event of a fact, unless it was told before. Where the fold fails, or it is no JSON, nothing is recorded. */
  const record = (fact: Fact, description: SourceDescription): SessionEvent | undefined => {
    const { subject, source } = namesOf(description.venue, fact);
    const before = book.get(subject);
    if (isRepeat(fact, before, lastWords.get(subject))) return undefined;
    const id = formatCursor(epoch, offset + 1);
    const key = nameOf(fact, subject, before, id);
    if (keys.has(key) || journal.hasKey(key)) return undefined;
    const event = {
      id,
      key,
      source: `/${description.venue}/${fact.source}`,
      subject,
      type: fact.type,
      time: nextTime(),
      data: fact.data,
    } as SessionEvent;
    const after = fold(before, event);
    const text = JSON.stringify(event);
    offset++;
    keys.add(key);
    events.push(event);
    texts.push(text);
    if (after !== undefined || before !== undefined) book.put(subject, after);
    if (after === undefined) forget(subject, source);
    else if (isSessionState(after)) follow(fact, after);
    return event;
  };

  const follow = (fact: Fact, after: SessionState): void => {
    if (statusAfter(fact.type) !== undefined) lastWords.set(after.key, wordsOf(fact));
    if (!isEnded(after)) endedSince.end(after.key);
    else if (after.statusSince?.cursor === after.cursor || !endedSince.has(after.key)) endedSince.begin(after.key);
  };

  const forget = (key: string, source: string): void => {
    watch.forget(key);
    lastWords.delete(key);
    endedSince.end(key);
    owed.delete(key);
    if (key !== `${source}.${SOURCE_TOKEN}`) return;
    carriers.delete(source);
    descriptions.delete(source);
  };

  const judge = (key: string, description: SourceDescription): void => {
    const state = sessionOf(key);
    if (state === undefined) return;
    const judgement = watch.judge(state, sourceStateOf(description), description.safety);
    if (judgement === undefined) return;
    const { source, session } = state;
    const { level, reasons, notes, previous } = judgement;
    record({ source, session, type: 'safety.changed', data: { level, reasons, notes, previous } }, description);
  };

  const makeStale = (state: SessionState, reason: NonNullable<Owed['stale']>, description: SourceDescription): void => {
    const event = record(staleFact(state, reason), description);
    if (event !== undefined) watch.observe(state.key, event);
  };

  const owe = (key: string, description: SourceDescription, stale?: Owed['stale']): void => {
    const known = owed.get(key);
    if (known === undefined)
      owed.set(key, { description, at: clock.monotonic(), ...(stale === undefined ? {} : { stale }) });
    else if (stale !== undefined) known.stale ??= stale;
  };

  const pay = (key: string, { stale, description }: Owed): void => {
    owed.delete(key);
    const state = sessionOf(key);
    if (state === undefined) return;
    if (stale !== undefined && !state.stale && isLiving(state)) makeStale(state, stale, description);
    judge(key, description);
  };

  /** What a session's own fact means for itself: a child of a parent that is not active cannot be believed. */
  const deriveFor = (subject: string, description: SourceDescription): void => {
    const state = sessionOf(subject);
    const parent = state?.parent === undefined ? undefined : sessionOf(state.parent);
    if (state !== undefined && parent !== undefined && !supportsChildren(parent) && isLiving(state) && !state.stale)
      makeStale(state, 'parent', description);
    judge(subject, description);
  };

  const oweChildren = (subject: string, description: SourceDescription): void => {
    const parent = sessionOf(subject);
    if (parent === undefined || supportsChildren(parent)) return;
    for (const child of book.childrenOf(subject)) {
      if (isLiving(child) && !child.stale)
        owe(child.key, descriptions.get(sourceOfKey(child.key)) ?? description, 'parent');
    }
  };

  /** What happens to a source is owed to each of its sessions. */
  const spread = (event: SessionEvent, description: SourceDescription): void => {
    if (!concernsSessions(event)) return;
    const name = sourceOfKey(event.subject);
    const sight = seeCarrier(carriers.get(name) ?? NO_CARRIERS, event);
    carriers.set(name, sight);
    watch.observe(event.subject, event);
    for (const state of book.sessionsOf(name)) {
      watch.observe(state.key, event);
      const dark =
        event.type === 'link.down' && isLiving(state) && !state.stale && isOutOfSight(state, sight, description);
      owe(state.key, description, dark ? 'link_down' : undefined);
    }
  };

  const room = createRoom({
    book,
    ended: endedSince,
    record,
    dropped: (fact, description) => options.dropped?.(fact, description),
    log,
  });

  const takeFact = (fact: Fact, description: SourceDescription): void => {
    const names = namesOf(description.venue, fact);
    const { subject } = names;
    descriptions.set(names.source, description);
    const due = owed.get(subject);
    // A fact that says itself that the session is stale knows better why; the verdict follows it.
    if (due !== undefined && fact.type === 'session.stale') delete due.stale;
    else if (due !== undefined) pay(subject, due);
    if (fact.type === 'heartbeat.pulse') {
      pulse(fact, subject, description);
      return;
    }
    if (!room.admits(fact, names, description)) return;
    const before = sessionOf(subject)?.status;
    const event = record(fact, description);
    if (event === undefined) return;
    if (fact.session === SOURCE_TOKEN) {
      spread(event, description);
      return;
    }
    const after = sessionOf(subject)?.status;
    if (after === undefined) return;
    watch.observe(subject, event);
    owed.delete(subject);
    deriveFor(subject, description);
    if (after !== before) oweChildren(subject, description);
  };

  const pulse = (fact: Fact<'heartbeat.pulse'>, subject: string, description: SourceDescription): void => {
    const beat: Pulse = {
      source: `/${description.venue}/${fact.source}`,
      subject,
      type: 'heartbeat.pulse',
      time: nextTime(),
      data: fact.data,
    };
    pulses.push(beat);
    const state = sessionOf(subject);
    if (state === undefined) return;
    watch.observe(subject, beat);
    // Not part of the journaled state: the next event of the session carries it there.
    book.touch(foldPulse(state, beat));
    judge(subject, description);
  };

  /** One fact that cannot be taken in must neither stop the others nor pass unnoticed. */
  const takeOrTell = (fact: Fact, description: SourceDescription): void => {
    try {
      takeFact(fact, description);
    } catch (thrown) {
      log.error('a fact could not be taken in', { type: fact.type, source: fact.source, error: messageOf(thrown) });
      const sample = sampleOf(`${fact.type} of ${fact.session}: ${messageOf(thrown)}`);
      record(
        { source: fact.source, session: SOURCE_TOKEN, type: 'source.fault', data: { what: 'inconsistent', sample } },
        description,
      );
    }
  };

  return {
    take(facts, describe) {
      const known = new Map<string, SourceDescription | undefined>();
      for (const fact of facts) {
        if (!known.has(fact.source)) known.set(fact.source, describe(fact.source));
        const description = known.get(fact.source);
        if (description !== undefined) takeOrTell(fact, description);
      }
      return formatCursor(epoch, offset);
    },
    remember(space, entries) {
      const known = memory.get(space);
      if (known === undefined) memory.set(space, { ...entries });
      else Object.assign(known, entries);
    },
    loseSight(description) {
      for (const { key } of book.sessionsOf(sourceOfKey(sessionKey(description.venue, description.source, '-'))))
        owe(key, description, 'link_down');
    },
    unprove(description) {
      const name = sourceOfKey(sessionKey(description.venue, description.source, SOURCE_TOKEN));
      watch.unprove(`${name}.${SOURCE_TOKEN}`);
      for (const { key } of book.sessionsOf(name)) {
        watch.unprove(key);
        owe(key, description, 'link_down');
      }
    },
    reviewAll(describe) {
      for (const state of book.committed.values()) {
        if (!isSessionState(state)) continue;
        const description = describe(state);
        descriptions.set(sourceOfKey(state.key), description);
        owe(state.key, description);
      }
    },
    review(description) {
      const source = sourceOfKey(sessionKey(description.venue, description.source, SOURCE_TOKEN));
      descriptions.set(source, description);
      for (const { key } of book.sessionsOf(source)) {
        const known = owed.get(key);
        owed.delete(key);
        owe(key, description, known?.stale);
      }
    },
    deriveDue(most) {
      let paid = 0;
      for (const [key, due] of owed) {
        if (++paid > most) return;
        try {
          pay(key, due);
        } catch (thrown) {
          log.error('what follows from a fact could not be derived', { key, error: messageOf(thrown) });
        }
      }
    },
    hasDue: () => owed.size > 0,
    dueSince() {
      for (const { at } of owed.values()) return at;
      return undefined;
    },
    size: () => events.length,
    close() {
      const batch: JournalBatch = { events, texts, states: book.seal(), ...(memory.size === 0 ? {} : { memory }) };
      const turn: Turn = { events, texts, pulses };
      events = [];
      texts = [];
      pulses = [];
      keys = new Set();
      memory = new Map();
      return { batch, turn };
    },
    committed: () => book.settle(),
    states: () => book.committed,
    *ended() {
      for (const [key, forMs] of endedSince.entries()) {
        const state = sessionOf(key);
        if (state !== undefined) yield { state, forMs };
      }
    },
    worsenOnly: () => watch.worsenOnly(),
    stop: () => watch.stop(),
  };
}
