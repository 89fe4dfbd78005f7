import type { Turn } from '../bus/bus.js';
import { messageOf, SessionRelayError } from '../errors.js';
import type { Fact } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { Clock, Random, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { createRetry } from '../net/retry.js';
import type { SourceDescription } from '../venues/venue.js';
import type { Journal, JournalBatch } from './journal/journal.js';
import type { Ledger } from './ledger.js';

/** Facts that wait for the journal at most; beyond it the relay is blind until it is started again. */
export const MAX_INBOX_FACTS = 200_000;
/** Facts of one journal batch, and sessions looked at for one, at most: a longer turn becomes several. */
export const MAX_BATCH_FACTS = 500;
/** A commit that takes longer leaves the relay blind, even where it does not fail. */
export const SLOW_COMMIT_MS = 1_000;
/** Arrivals that are taken in leave a hole at the front of the list; it is closed when it is this long. */
const COMPACT_AFTER = 4_096;
const APPEND_RETRY_BASE_MS = 100;
const APPEND_RETRY_CAP_MS = 5_000;

/** What waits to be taken in: facts that belong together, and who wants to know their cursor. */
export interface Arrival {
  readonly facts: readonly Fact[];
  readonly describe: (source: string) => SourceDescription | undefined;
  /** What to remember, under which name, in the same transaction. It may speak of the cursor that the facts get. */
  readonly memory?: { readonly space: string; readonly entries: (cursor: string) => { readonly [key: string]: Json } };
  readonly committed?: (cursor: string) => void;
  /** It will never be committed: the relay stops, or took in no more. */
  readonly refused?: (why: SessionRelayError) => void;
}

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
  /** Gives up on what is not committed yet; nothing is taken in afterwards. Idempotent. */
  abandon(): void;
}

export interface IntakeOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A batch is committed: its states are the present ones. */
  readonly committed: (turn: Turn) => void;
  /** The journal does not follow since then (wall-clock ms); called for each failure. */
  readonly blind: (since: number, why: string) => void;
  /** The journal follows again. */
  readonly sighted: () => void;
}

export function createIntake(options: IntakeOptions): Intake {
  const { journal, clock, random, log } = options;
  let ledger: Ledger | undefined;
  let inbox: Arrival[] = [];
  /** Arrivals before this index are taken in. */
  let first = 0;
  let waitingFacts = 0;
  let working = false;
  let failing = false;
  let closed: SessionRelayError | undefined;
  let giveUp: (() => void) | undefined;
  const idle: (() => void)[] = [];

  const waiting = (): number => inbox.length - first;
  const shift = (): Arrival | undefined => {
    const arrival = inbox[first++];
    if (first >= inbox.length || first >= COMPACT_AFTER) {
      inbox = inbox.slice(first);
      first = 0;
    }
    return arrival;
  };

  const arrive = (arrival: Arrival): void => {
    if (closed !== undefined) {
      arrival.refused?.(closed);
      return;
    }
    // A sign of life is worth nothing later.
    if (failing && arrival.memory === undefined && arrival.facts.every(({ type }) => type === 'heartbeat.pulse'))
      return;
    if (waitingFacts + arrival.facts.length > MAX_INBOX_FACTS) {
      const why = shut('the journal does not follow', { waitingFacts });
      arrival.refused?.(why);
      return;
    }
    waitingFacts += arrival.facts.length;
    inbox.push(arrival);
    wake();
  };

  const wake = (): void => {
    if (working) return;
    working = true;
    // One microtask later: what a venue says within one task becomes one batch.
    queueMicrotask(() => void work());
  };

  const refuseWaiting = (why: SessionRelayError): void => {
    for (const arrival of inbox.slice(first)) arrival.refused?.(why);
    inbox = [];
    first = 0;
    waitingFacts = 0;
  };

  /** Nothing more is taken in before the relay is started again: what was not told must not be remembered as told. */
  const shut = (why: string, fields: Readonly<Record<string, unknown>>): SessionRelayError => {
    closed = new SessionRelayError('journal_failed', `${why}: the relay must be started again`);
    // Nothing gets better of what cannot be seen any more.
    ledger?.stop();
    log.error(closed.message, fields);
    options.blind(clock.now(), closed.message);
    return closed;
  };

  const work = async (): Promise<void> => {
    try {
      await takeAllIn();
    } catch (thrown) {
      refuseWaiting(shut('facts could not be taken in', { error: messageOf(thrown) }));
    }
    if (closed !== undefined && waiting() === 0) ledger = undefined;
    working = false;
    for (const wakeIdle of idle.splice(0)) wakeIdle();
  };

  const takeAllIn = async (): Promise<void> => {
    while (ledger !== undefined && giveUp !== ABANDONED && (waiting() > 0 || ledger.hasDue())) {
      const answers = takeTurn(ledger);
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
    while (waiting() > 0 && book.size() < MAX_BATCH_FACTS) {
      const arrival = shift();
      if (arrival === undefined) break;
      waitingFacts -= arrival.facts.length;
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
    options.committed(turn);
    if (!isEmpty) {
      failing = false;
      if (closed === undefined) options.sighted();
    }
    return true;
  };

  /** Appends until it is done; `false` where it was given up. */
  const write = async (batch: JournalBatch): Promise<boolean> => {
    const since = clock.now();
    const slow = clock.setTimer(() => fail(since, `a commit takes longer than ${SLOW_COMMIT_MS} ms`), SLOW_COMMIT_MS);
    const retry = createRetry({ clock, random, baseMs: APPEND_RETRY_BASE_MS, capMs: APPEND_RETRY_CAP_MS });
    try {
      for (;;) {
        try {
          return await unlessGivenUp(journal.append(batch).then(() => true));
        } catch (thrown) {
          if (isHeld(batch)) return true;
          fail(since, `the journal does not commit: ${messageOf(thrown)}`);
          log.error('the journal does not commit', { error: messageOf(thrown), events: batch.events.length });
        }
        if (!(await pause(retry.next().delayMs))) return false;
      }
    } finally {
      slow.cancel();
    }
  };

  const fail = (since: number, why: string): void => {
    failing = true;
    options.blind(since, why);
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
    const over = new Promise<boolean>((resolve) => {
      timer = clock.setTimer(() => resolve(true), ms);
    });
    const goOn = await unlessGivenUp(over);
    timer?.cancel();
    return goOn;
  };

  const unlessGivenUp = (task: Promise<boolean>): Promise<boolean> =>
    new Promise((resolve, reject) => {
      if (giveUp === ABANDONED) {
        resolve(false);
        return;
      }
      giveUp = () => resolve(false);
      task.then(resolve, reject);
    });

  const notCommitted = (): SessionRelayError =>
    new SessionRelayError('journal_failed', 'the relay stopped before the journal took it');

  return {
    open(book) {
      ledger = book;
    },
    arrive,
    wake,
    settled: () => (working ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
    abandon() {
      if (giveUp === ABANDONED) return;
      const pending = giveUp;
      giveUp = ABANDONED;
      closed ??= notCommitted();
      refuseWaiting(closed);
      pending?.();
    },
  };
}

/** Stands for a relay that has given up on its journal. */
const ABANDONED = (): void => {};
