import type { Bus } from '../bus/bus.js';
import { type Entry, jsonOf } from '../edge/frames.js';
import { type JournalPages, pageKey } from '../edge/journal-pages.js';
import { HEARTBEAT_MS, MAX_PAGE, REPLAY_BYTES, SNAPSHOT_STATES } from '../edge/limits.js';
import { decideRecovery } from '../edge/recovery.js';
import type { Spectator } from '../edge/spectators.js';
import { messageOf } from '../errors.js';
import { compareCursors, formatCursor, parseCursor } from '../model/cursor.js';
import { type Grant, redactState, showsSession } from '../model/grant.js';
import { coversKey, hasSnapshot, matches } from '../model/subject.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';

/**
 * Server-Sent Events over the union of channels (PROTOCOL.md §5): journal order, each event once. What is sent is read
 * from the journal as the client takes it, live or not, so that a client that reads nothing costs a cursor and one
 * chunk; nothing is ever pushed at it.
 */
export interface EventStream extends Spectator {
  readonly body: ReadableStream<Uint8Array>;
  /** Ends it. Idempotent. */
  end(): void;
}

export interface EventStreamOptions {
  readonly bus: Pick<Bus, 'states' | 'holds'>;
  readonly journal: Pick<JournalPages, 'get' | 'read'>;
  /** Up to where the edge has published: nothing beyond it is sent. */
  readonly position: () => string;
  readonly channels: readonly string[];
  readonly grant: Grant;
  /** `Last-Event-ID`, or `since`. */
  readonly since: string | undefined;
  readonly clock: Clock;
  readonly stallMs: number;
  readonly log: Log;
  /** It has ended, by whichever side. Called once. */
  readonly ended: () => void;
}

const encoder = new TextEncoder();
/** What may be made before the client takes it. */
const HIGH_WATER_BYTES = REPLAY_BYTES;

export async function createEventStream(options: EventStreamOptions): Promise<EventStream> {
  const { bus, journal, position, channels, grant, since, clock, log } = options;
  const withTable = channels.filter(hasSnapshot);
  const held = since !== undefined && (await bus.holds(since));
  const recovery = decideRecovery({ since, held, hasSnapshot: withTable.length > 0, snapshot: undefined });
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let over = false;
  let working = false;
  let at = position();
  /** What `relay.caught_up` is owed for: a replay that was asked for, or that follows a hole without a table. */
  let isReplaying = false;
  let timer: Timer | undefined;
  let expiry: Timer | undefined;
  let stall: Timer | undefined;

  const finish = (): void => {
    if (over) return;
    over = true;
    for (const one of [timer, expiry, stall]) one?.cancel();
    options.ended();
  };
  const end = (): void => {
    if (over) return;
    finish();
    try {
      controller?.close();
    } catch {
      // It was closed by the client meanwhile.
    }
  };
  const write = (text: string): void => {
    if (!over) controller?.enqueue(encoder.encode(text));
  };
  const block = (event: string, data: object, id?: string): string =>
    `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  const hasRoom = (): boolean => (controller?.desiredSize ?? 0) > 0;
  /** Whoever takes nothing for so long is let go, and resumes. */
  const watchForStall = (): void => {
    stall?.cancel();
    stall = undefined;
    if (over || hasRoom()) return;
    stall = clock.setTimer(end, options.stallMs);
  };

  const channel = channels.join(',');
  const sendTable = async (): Promise<void> => {
    const cursor = position();
    const seen = new Set<string>();
    let after: string | undefined;
    do {
      const query = { within: withTable, limit: MAX_PAGE, ...(after === undefined ? {} : { after }) };
      const page = await bus.states(query);
      const shown = page.states.filter(
        ({ key }) => !seen.has(key) && withTable.some((one) => coversKey(one, key)) && showsSession(grant, key),
      );
      for (const { key } of shown) seen.add(key);
      after = page.next;
      const states = shown.map((state) => redactState(state, grant.fields));
      for (let from = 0; from === 0 || from < states.length; from += SNAPSHOT_STATES) {
        const chunk = states.slice(from, from + SNAPSHOT_STATES);
        const last = after === undefined && from + SNAPSHOT_STATES >= states.length;
        if (chunk.length === 0 && !last) continue;
        await room();
        if (over) return;
        write(block('relay.snapshot', { channel, states: chunk, last, cursor }, last ? cursor : undefined));
      }
    } while (after !== undefined && !over);
    at = cursor;
  };
  const sendGap = async (from: string): Promise<void> => {
    const to = position();
    write(block('relay.gap', { channel, from, to }, withTable.length > 0 ? undefined : to));
    at = to;
    isReplaying = withTable.length === 0;
    if (withTable.length > 0) await sendTable();
  };

  let taken: (() => void) | undefined;
  /** Resolves when the client has taken what was made, or is gone. */
  const room = (): Promise<void> => {
    if (over || hasRoom()) return Promise.resolve();
    watchForStall();
    return new Promise((resolve) => {
      taken = resolve;
    });
  };
  const isWanted = ({ address }: Entry): boolean => channels.some((one) => matches(one, address));

  /** Everything that is published and not sent yet, as far as there is room. Pages are read once for all who follow. */
  const follow = async (): Promise<void> => {
    while (!over && compareCursors(at, position()) < 0) {
      const here = parseCursor(at);
      if (here === undefined) return;
      const known = journal.get(pageKey(here.epoch, here.offset));
      const page = known !== undefined && known.upTo > here.offset ? known : await journal.read(here);
      if (over) return;
      if (here.offset < page.after) {
        await sendGap(at);
        continue;
      }
      for (let index = 0; index < page.entries.length; index++) {
        const entry = page.entries[index];
        if (entry === undefined || entry.at.offset <= here.offset) continue;
        if (isWanted(entry)) {
          await room();
          if (over) return;
          write(`id: ${entry.event.id}\nevent: ${entry.event.type}\ndata: ${jsonOf(entry, grant.fields)}\n\n`);
        }
        at = entry.event.id;
      }
      if (page.upTo > here.offset) continue;
      if (page.next !== undefined) at = formatCursor(page.next.epoch, page.next.offset);
      else if (page.missingUpTo !== undefined && here.offset < page.missingUpTo) await sendGap(at);
      // Nothing more to read: what the position is ahead by was no event.
      else return catchUp(position());
    }
    return catchUp(at);
  };
  const catchUp = async (cursor: string): Promise<void> => {
    at = cursor;
    if (over || !isReplaying) return;
    isReplaying = false;
    await room();
    write(block('relay.caught_up', { channel, cursor: at }, at));
  };
  const begin = async (): Promise<void> => {
    switch (recovery.how) {
      case 'live':
        if (recovery.snapshot) await sendTable();
        return;
      case 'gap':
        return sendGap(recovery.since);
      case 'replay':
        at = recovery.since;
        isReplaying = true;
    }
  };

  let begun = false;
  const work = async (): Promise<void> => {
    if (working || over) return;
    working = true;
    try {
      if (!begun) await begin();
      begun = true;
      await follow();
    } catch (thrown) {
      if (!over) log.error('an event stream failed', { error: messageOf(thrown) });
      end();
    } finally {
      working = false;
    }
    // Something may have been published while the last of it was sent.
    if (!over && compareCursors(at, position()) < 0) void work();
  };
  const beat = (): void => {
    timer = clock.setTimer(() => {
      // An id alone moves the client's Last-Event-ID; while it is behind, what it has not got must not be passed over.
      if (hasRoom()) write(begun && !working ? `id: ${at}\n\n` : ': still replaying\n\n');
      beat();
    }, HEARTBEAT_MS);
  };

  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
        // Behind a proxy nothing is seen before the first byte.
        write(': session-relay\n\n');
      },
      pull() {
        watchForStall();
        const tell = taken;
        taken = undefined;
        tell?.();
        void work();
      },
      cancel() {
        const tell = taken;
        finish();
        tell?.();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }),
  );
  beat();
  if (grant.expiresAtMs !== undefined) expiry = clock.setTimer(end, Math.max(0, grant.expiresAtMs - clock.now()));
  return {
    body,
    end,
    published: () => void work(),
    blind: (sinceMs) => write(block('relay.blind', { sinceMs })),
    sighted: (cursor) => write(block('relay.sighted', { cursor })),
    leave(retryAfterMs) {
      write(`retry: ${Math.round(retryAfterMs)}\n\n`);
      end();
    },
  };
}
