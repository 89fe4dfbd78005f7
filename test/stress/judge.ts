import { z } from 'zod';
import { Broken, mustHold } from './broken.js';
import { difference, hasCaughtUp } from './compare.js';
import { REMEMBERED_PAGE } from './entry-options.js';
import { asState, shownState } from './held-states.js';
import { createJournalRecord, type JournalRecord, journaledEvent } from './record.js';
import type { RelayProcess } from './relay-process.js';
import type { Stage } from './stage.js';
import type { Subscriber } from './subscriber.js';

/** What a judged run came to. */
export interface Verdict {
  readonly events: number;
  readonly deliveries: number;
  /** Gaps that subscribers were told of. */
  readonly announced: number;
}

export interface JudgeOptions {
  readonly relay: RelayProcess;
  /** What was read of the journal before; default: from its beginning. */
  readonly record?: JournalRecord;
  readonly token?: string;
  /** How the record grows; default: what the journal holds is read over HTTP. */
  readonly read?: (record: JournalRecord) => Promise<void>;
  readonly subscribers?: readonly Subscriber[];
  /** How long the last of them may take to come up to the journal's head. */
  readonly boundMs?: number;
  /** Words of log lines at level `error` that this run brings about. */
  readonly mayComplain?: RegExp;
}

const page = z.object({
  events: z.array(journaledEvent),
  cursor: z.string(),
  next: z.string().optional(),
  complete: z.boolean(),
});
const sessionsPage = z.looseObject({ sessions: z.array(z.unknown()), next: z.string().optional() });
const CATCH_UP_MS = 12_000;
/** The head must stand still over one look at everybody: simulators may say something meanwhile. */
const MAX_LOOKS = 50;

/** Reads what the journal holds beyond the record, over HTTP. */
export async function readJournal(relay: RelayProcess, record: JournalRecord, token?: string): Promise<void> {
  let since: string | undefined = record.head;
  while (since !== undefined) {
    const { status, body } = await relay.get(`/v1/events?limit=1000&since=${since}`, token);
    mustHold(status === 200, `the journal can be read over HTTP: ${status} ${JSON.stringify(body)}`);
    const { events, next, complete } = page.parse(body);
    mustHold(complete, `the journal holds everything after ${since}`);
    for (const event of events) record.add(event);
    since = next;
  }
}

/** Reads what a relay that remembers has published, whether or not its journal still holds it. */
export async function readRemembered(relay: RelayProcess, record: JournalRecord): Promise<void> {
  for (;;) {
    const { events } = await relay.remembered(record.length);
    for (const event of events) record.add(event);
    // Up to where it was when it was asked: while events flow there is always more.
    if (events.length < REMEMBERED_PAGE) return;
  }
}

/**
 * The invariants of every scenario, once nothing is told any more: each subscriber's sequence on each channel is the
 * journal's, each once and in order, or its loss was announced; what was folded is what the relay holds; nobody was
 * sent anything that PROTOCOL.md forbids; the relay logged no error.
 */
export async function judge(stage: Stage, options: JudgeOptions): Promise<Verdict> {
  const { relay, token, boundMs = CATCH_UP_MS, read = (of) => readJournal(relay, of, token) } = options;
  const record = options.record ?? createJournalRecord();
  const subscribers = options.subscribers ?? stage.subscribers;
  const folding = subscribers.find(({ states }) => states !== undefined);
  for (let look = 0; ; look++) {
    if (look === MAX_LOOKS) throw new Broken('the journal stands still once nothing is told any more');
    await read(record);
    const { head } = record;
    await stage.until(
      () => areLevel(subscribers, record),
      () => `everybody is at ${head}: ${whoIsNot(subscribers, record)}`,
      boundMs,
    );
    const wrong = folding === undefined ? undefined : await foldedWrong(relay, subscribers, token);
    await read(record);
    if (record.head !== head) continue;
    if (wrong !== undefined) throw new Broken(`snapshot and events make the next snapshot: ${wrong}`);
    break;
  }
  return held(subscribers, record, relay, options.mayComplain);
}

/** The same of what is at hand, without asking a relay. */
export function held(
  subscribers: readonly Subscriber[],
  record: JournalRecord,
  relay?: RelayProcess,
  mayComplain?: RegExp,
): Verdict {
  const [problem] = record.problems;
  if (problem !== undefined) throw new Broken(problem);
  let deliveries = 0;
  let announced = 0;
  for (const { name, trails, problems } of subscribers) {
    const [first] = problems;
    if (first !== undefined) throw new Broken(`what a subscriber is sent follows PROTOCOL.md: ${first}`);
    for (const trail of trails.values()) {
      const wrong = difference(trail, record.sequence(trail.channel));
      if (wrong !== undefined)
        throw new Broken(`a subscriber's sequence is the journal's, each once, in order: ${name}: ${wrong}`);
      deliveries += trail.cursors.length;
      announced += trail.gaps;
    }
  }
  const complaint = relay?.complaints.find((line) => mayComplain?.test(line) !== true);
  if (complaint !== undefined) throw new Broken(`the relay logs no error: ${complaint}`);
  return { events: record.length, deliveries, announced };
}

function areLevel(subscribers: readonly Subscriber[], record: JournalRecord): boolean {
  return subscribers.every((one) => isLevel(one, record));
}

function isLevel({ trails }: Subscriber, record: JournalRecord): boolean {
  return [...trails.values()].every((trail) => hasCaughtUp(trail, record.sequence(trail.channel)));
}

function whoIsNot(subscribers: readonly Subscriber[], record: JournalRecord): string {
  const late = subscribers
    .filter((one) => !isLevel(one, record))
    .map(({ name, trails, isLive, connects }) => {
      const at = [...trails.values()].map(
        (one) =>
          `${one.channel} at ${one.expected} of ${record.sequence(one.channel).at(record.sequence(one.channel).length - 1)}`,
      );
      return `${name} (${isLive ? 'live' : 'not live'}, ${connects} connects, ${at.join(', ')})`;
    });
  return late.length === 0 ? 'all are' : `${late.length} are not, ${late.slice(0, 3).join(', ')}`;
}

/** Where a subscriber's states are not the relay's; looked at only while nothing happens. */
async function foldedWrong(
  relay: RelayProcess,
  subscribers: readonly Subscriber[],
  token: string | undefined,
): Promise<string | undefined> {
  const actual = await readStates(relay, token);
  for (const { name, states } of subscribers) {
    if (states === undefined) continue;
    const known = states.shown();
    if (known.size !== actual.size) return `${name} knows ${known.size} sessions, the relay ${actual.size}`;
    for (const [key, state] of actual)
      if (known.get(key) !== state) return `${name} has ${known.get(key) ?? 'nothing'}, the relay ${state}`;
  }
  return undefined;
}

/** Every state that the relay holds, by key, as `shownState` writes it. */
export async function readStates(relay: RelayProcess, token?: string): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  let after = '';
  for (;;) {
    const { body } = await relay.get(`/v1/sessions?limit=1000${after}`, token);
    const { sessions, next } = sessionsPage.parse(body);
    for (const state of sessions.map(asState)) states.set(state.key, shownState(state));
    if (next === undefined) return states;
    after = `&after=${encodeURIComponent(next)}`;
  }
}
