import type { JournalLag, Turn } from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { type Fact, SOURCE_TOKEN } from '../model/event.js';
import { sampleOf } from '../model/grant.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { createRetry, type Retry } from '../net/retry.js';
import { fitFact } from './fact-size.js';
import { type Arrival, createInbox } from './inbox.js';
import type { Journal, JournalBatch } from './journal/journal.js';
import type { Ledger } from './ledger.js';

/** Facts of one journal batch, and sessions looked at for one, at most: a longer turn becomes several. */
export const MAX_BATCH_FACTS = 500;
/**
 * What waits longer than this to be committed leaves the relay blind, whether or not anything fails: it leaves room for
 * subscribers to be told within a second.
 */
export const SLOW_COMMIT_MS = 750;
/** A blind relay follows again once nothing waits for longer than this. */
export const FOLLOWS_AGAIN_MS = 250;
const APPEND_RETRY_BASE_MS = 100;
const APPEND_RETRY_CAP_MS = 5_000;

/**
 * Takes facts in, in their order, commits them batch by batch and only then tells of them. Where the journal does not
 * commit it tries the same batch again until it does: nothing is lost, doubled or told out of order.
 */
export interface Intake {
  open(ledger: Ledger): void;
  arrive(arrival: Arrival): void;
  /** There may be something due without an arrival. */
  wake(): void;
  /** Resolves when nothing waits and nothing is owed. */
  settled(): Promise<void>;
  /** What is not committed yet, and for how long the oldest of it waits. */
  lag(): Omit<JournalLag, 'bytes'>;
  /** Gives up on what is not committed yet; nothing is taken in afterwards. Idempotent. */
  abandon(): void;
}

/** Why, and for how long, the journal does not follow. */
export interface Blindness {
  /** Wall-clock ms. */
  readonly since: number;
  /** How long that is ago, on the monotonic clock. */
  readonly forMs: number;
  readonly why: string;
  /** For good: the relay must be started again. */
  readonly lasting?: true;
}

export interface IntakeOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A batch is committed: its states are the present ones. */
  readonly committed: (turn: Turn) => void;
  /** The journal does not follow; called for each failure. */
  readonly blind: (blindness: Blindness) => void;
  /** The journal follows again. */
  readonly sighted: () => void;
  /** One venue says more than can be journaled: from here on nothing of it is taken in. Called once for each. */
  readonly flooded: (origin: string) => void;
}

export function createIntake(options: IntakeOptions): Intake {
  const { journal, clock, random, log } = options;
  const inbox = createInbox();
  /** Venues of which nothing is taken in any more. */
  const cutOff = new Set<string>();
  /** Facts that were too large, by source and type: each is told once. */
  const oversized = new Map<string, number>();
  let ledger: Ledger | undefined;
  /** The batch that is being taken in or committed: since when it waits, and its events. */
  let flight: { readonly at: number; events: number } | undefined;
  let working = false;
  let failing = false;
  let closed: SessionRelayError | undefined;
  let giveUp: (() => void) | undefined;
  let watch: Timer | undefined;
  const idle: (() => void)[] = [];

  const arrive = (arrival: Arrival): void => {
    const { origin, memory } = arrival;
    if (closed !== undefined || (origin !== undefined && cutOff.has(origin))) {
      arrival.refused?.(closed ?? tooMuch(origin ?? ''));
      return;
    }
    // A sign of life is worth nothing later.
    if (failing && memory === undefined && isPulses(arrival.facts)) return;
    const { facts, bytes } = fitted(arrival.facts);
    const taken = facts === arrival.facts ? arrival : { ...arrival, facts };
    const outcome = inbox.push(taken, clock.monotonic(), bytes);
    if (outcome === 'taken') return wake();
    if (outcome === 'full' || origin === undefined) {
      const why = shut('the journal does not follow', { waitingFacts: inbox.facts });
      arrival.refused?.(why);
      return;
    }
    cutOff.add(origin);
    arrival.refused?.(tooMuch(origin));
    options.flooded(origin);
  };

  /** Facts as they may be told; a source whose fact lost something by that is at fault, which is told once a type. */
  const fitted = (facts: readonly Fact[]): { readonly facts: readonly Fact[]; readonly bytes: number } => {
    const kept: Fact[] = [];
    let bytes = 0;
    for (const given of facts) {
      const one = fitFact(given);
      bytes += one.bytes;
      if (one.fact !== undefined) kept.push(one.fact);
      if (!one.faulty) continue;
      const { source, session, type } = given;
      const name = `${source} ${type}`;
      const times = (oversized.get(name) ?? 0) + 1;
      oversized.set(name, times);
      if (times > 1) continue;
      log.warn('a fact is too large to be told whole', { source, type });
      const sample = sampleOf(`${type} of ${session.slice(0, 64)} is too large to be told whole`);
      const data = { what: 'inconsistent', sample } as const;
      kept.push({ source, session: SOURCE_TOKEN, type: 'source.fault', data });
    }
    const isSame = kept.length === facts.length && kept.every((fact, index) => fact === facts[index]);
    return { facts: isSame ? facts : kept, bytes };
  };

  const wake = (): void => {
    if (working) return;
    working = true;
    // One microtask later: what a venue says within one task becomes one batch.
    queueMicrotask(() => void work());
    watchFor(SLOW_COMMIT_MS);
  };

  /** Since when the oldest waits of what is not committed, or owed to a session. */
  const oldestAt = (): number | undefined => {
    const never = Number.POSITIVE_INFINITY;
    const at = Math.min(flight?.at ?? never, inbox.oldestAt ?? never, ledger?.dueSince() ?? never);
    return at === never ? undefined : at;
  };
  const oldestMs = (): number => {
    const at = oldestAt();
    return at === undefined ? 0 : Math.max(0, clock.monotonic() - at);
  };
  const watchFor = (ms: number): void => {
    watch?.cancel();
    watch = clock.setTimer(() => {
      watch = undefined;
      const waitsMs = oldestMs();
      if (waitsMs >= SLOW_COMMIT_MS) fail(`what waits for the journal waits longer than ${SLOW_COMMIT_MS} ms`);
      else if (working) watchFor(SLOW_COMMIT_MS - waitsMs);
    }, ms);
  };

  const refuseWaiting = (why: SessionRelayError): void => {
    for (const arrival of inbox.clear()) arrival.refused?.(why);
  };

  /** Nothing more is taken in before the relay is started again: what was not told must not be remembered as told. */
  const shut = (why: string, fields: Readonly<Record<string, unknown>>): SessionRelayError => {
    closed = new SessionRelayError('journal_failed', `${why}: the relay must be started again`);
    // Nothing gets better of what cannot be seen any more.
    ledger?.stop();
    log.error(closed.message, fields);
    tellBlind(closed.message, true);
    return closed;
  };
  const tellBlind = (why: string, lasting: boolean): void => {
    const forMs = oldestMs();
    options.blind({ since: clock.now() - forMs, forMs, why, ...(lasting ? { lasting: true } : {}) });
  };

  const work = async (): Promise<void> => {
    try {
      // What arrives between its last look and here must not wait for whatever wakes it next.
      do await takeAllIn();
      while (hasWork());
    } catch (thrown) {
      refuseWaiting(shut('facts could not be taken in', { error: messageOf(thrown) }));
    }
    flight = undefined;
    if (closed !== undefined && inbox.size === 0) ledger = undefined;
    working = false;
    watch?.cancel();
    watch = undefined;
    for (const wakeIdle of idle.splice(0)) wakeIdle();
  };

  const hasWork = (): boolean => ledger !== undefined && giveUp !== ABANDONED && (inbox.size > 0 || ledger.hasDue());

  const takeAllIn = async (): Promise<void> => {
    while (ledger !== undefined && hasWork()) {
      flight = { at: oldestAt() ?? clock.monotonic(), events: 0 };
      const answers = takeTurn(ledger);
      flight.events = ledger.size();
      const isFull = ledger.size() >= MAX_BATCH_FACTS;
      const done = await commit(ledger);
      for (const answer of answers) answer(done);
      // A long fan-out, or a long queue, spans turns of the event loop: nothing that a venue waits for stands behind it.
      if (isFull || ledger.hasDue()) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };

  /** Fills one batch from the inbox and from what is owed. */
  const takeTurn = (book: Ledger): readonly ((done: boolean) => void)[] => {
    const answers: ((done: boolean) => void)[] = [];
    while (book.size() < MAX_BATCH_FACTS) {
      const arrival = inbox.shift()?.arrival;
      if (arrival === undefined) break;
      const cursor = book.take(arrival.facts, arrival.describe);
      const { memory } = arrival;
      if (memory !== undefined) book.remember(memory.space, memory.entries(cursor));
      answers.push((done) => (done ? arrival.committed?.(cursor) : arrival.refused?.(notCommitted())));
    }
    book.deriveDue(MAX_BATCH_FACTS);
    return answers;
  };

  const commit = async (book: Ledger): Promise<boolean> => {
    const { batch, turn } = book.close();
    const isEmpty = batch.events.length === 0 && batch.states.size === 0 && batch.memory === undefined;
    if (!isEmpty && !(await write(batch))) return false;
    book.committed();
    const receivedAt = flight?.at;
    flight = undefined;
    options.committed(receivedAt === undefined ? turn : { ...turn, receivedAt });
    if (failing && closed === undefined && oldestMs() <= FOLLOWS_AGAIN_MS) {
      failing = false;
      options.sighted();
      watchFor(SLOW_COMMIT_MS);
    }
    return true;
  };

  /** Appends until it is done; `false` where it was given up. */
  const write = async (batch: JournalBatch): Promise<boolean> => {
    let retry: Retry | undefined;
    for (;;) {
      try {
        return await unlessGivenUp(journal.append(batch));
      } catch (thrown) {
        if (isHeld(batch)) return true;
        fail(`the journal does not commit: ${messageOf(thrown)}`);
        log.error('the journal does not commit', { error: messageOf(thrown), events: batch.events.length });
      }
      retry ??= createRetry({ clock, random, baseMs: APPEND_RETRY_BASE_MS, capMs: APPEND_RETRY_CAP_MS });
      if (!(await pause(retry.next().delayMs))) return false;
    }
  };

  const fail = (why: string): void => {
    failing = true;
    tellBlind(why, false);
  };

  /** Whether an append that failed was committed after all: an engine may lose its own answer. */
  const isHeld = ({ events }: JournalBatch): boolean => {
    const last = events.at(-1);
    try {
      return last !== undefined && journal.head() === last.id;
    } catch {
      return false;
    }
  };

  const pause = async (ms: number): Promise<boolean> => {
    let timer: Timer | undefined;
    const over = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, ms);
    });
    const goOn = await unlessGivenUp(over);
    timer?.cancel();
    return goOn;
  };

  /** `false` where it was given up before it was done. */
  const unlessGivenUp = (task: Promise<unknown>): Promise<boolean> =>
    new Promise((resolve, reject) => {
      if (giveUp === ABANDONED) {
        resolve(false);
        return;
      }
      giveUp = () => resolve(false);
      task.then(() => resolve(true), reject);
    });

  const notCommitted = (): SessionRelayError =>
    new SessionRelayError('journal_failed', 'the relay stopped before the journal took it');
  const tooMuch = (origin: string): SessionRelayError =>
    new SessionRelayError('journal_failed', `${origin} said more than could be journaled: nothing of it is taken in`);

  return {
    open(book) {
      ledger = book;
    },
    arrive,
    wake,
    lag: () => ({ oldestMs: Math.round(oldestMs()), waiting: inbox.facts + (flight?.events ?? 0) }),
    settled: () => (working ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
    abandon() {
      if (giveUp === ABANDONED) return;
      const pending = giveUp;
      giveUp = ABANDONED;
      closed ??= notCommitted();
      refuseWaiting(closed);
      watch?.cancel();
      pending?.();
    },
  };
}

function isPulses(facts: readonly Fact[]): boolean {
  return facts.length > 0 && facts.every(({ type }) => type === 'heartbeat.pulse');
}

/** Stands for a relay that has given up on its journal. */
const ABANDONED = (): void => {};
