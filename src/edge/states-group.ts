import { compareCursors } from '../model/cursor.js';
import type { Grant } from '../model/grant.js';
import type { Clock, Timer } from '../net/clock.js';
import { STATES_EVERY_MS } from './limits.js';
import { cutFrames, type RenderedStates, type StatesFrame, type Wanted } from './states-frames.js';
import { type Change, createStatesTail } from './states-tail.js';

/** One subscription in states mode, as its group sees it. None of the calls throws. */
export interface StatesMember {
  /** Sends now; `false` where the connection is gone or being ended. */
  send(frames: readonly string[]): boolean;
  /** Nothing waits in its socket: only then it is sent to, else it skips. */
  isIdle(): boolean;
  /** Resolves once nothing waits in its socket; `false` where the connection is gone. */
  idle(): Promise<boolean>;
  /** It was brought to here: what it may be told as `last`, and resume with. */
  moved(cursor: string): void;
  /** The group does not remember so far back as where it stands, and has let it go: it must see for itself. */
  lost(): void;
  fail(thrown: unknown): void;
}

/**
 * What identical subscriptions in states mode share (PROTOCOL.md §4, States mode). What changed is collected, and at
 * most every 250 ms read once, rendered once, and sent to every member that can take it. A member is a cursor: one
 * that cannot take a frame stays where it is, and gets what is newest then with a later flush. Members that stand
 * together are sent the very same frames.
 */
export interface StatesGroup {
  readonly channel: string;
  readonly fields: Grant['fields'];
  /** Up to where a member that has everything was brought: a new member begins here. */
  last(): string;
  /** Takes in an event, in journal order; a flush follows, at once where the last one is long enough ago. */
  changed(key: string, id: string, removed: boolean): void;
  /** Takes in a pulse: the session's state is sent with the next flush to whoever can take it then. */
  touched(key: string): void;
  /** `held`: nothing is sent to it before `release`, and what changes meanwhile is remembered for it. */
  join(member: StatesMember, cursor: string, held: boolean): void;
  release(member: StatesMember): void;
  /** Idempotent. */
  leave(member: StatesMember): void;
  /** The position up to which one who stands at `cursor` lacks nothing; `undefined` where it lacks nothing at all. */
  completeUpTo(cursor: string): string | undefined;
  /** No flush and no timer after this. */
  stop(): void;
}

export interface StatesGroupOptions {
  readonly channel: string;
  readonly fields: Grant['fields'];
  readonly start: string;
  readonly clock: Clock;
  /** Reads and renders these states, no older than `atLeast`. */
  readonly read: (keys: Iterable<string>, atLeast: string) => Promise<RenderedStates>;
}

interface Place {
  cursor: string;
  /** It gets nothing before it is told that it may. */
  waiting: boolean;
}

/** Members that stand at one cursor and can be sent to, and what they lack. */
interface Ready {
  readonly cursor: string;
  readonly members: readonly StatesMember[];
  readonly changes: readonly Change[];
}

export function createStatesGroup({ channel, fields, start, clock, read }: StatesGroupOptions): StatesGroup {
  const tail = createStatesTail(start);
  const places = new Map<StatesMember, Place>();
  const standing = new Map<string, Set<StatesMember>>();
  let pulsed = new Set<string>();
  let notBefore = Number.NEGATIVE_INFINITY;
  let timer: Timer | undefined;
  let flushing = false;
  let stopped = false;

  const stand = (member: StatesMember, cursor: string): void => {
    const others = standing.get(cursor);
    if (others === undefined) standing.set(cursor, new Set([member]));
    else others.add(member);
  };
  const step = (member: StatesMember, cursor: string): void => {
    const others = standing.get(cursor);
    if (others?.delete(member) === true && others.size === 0) standing.delete(cursor);
  };
  const leave = (member: StatesMember): void => {
    const place = places.get(member);
    if (place === undefined) return;
    places.delete(member);
    step(member, place.cursor);
  };
  const waitForRoom = (member: StatesMember): void => {
    const place = places.get(member);
    if (place === undefined || place.waiting) return;
    place.waiting = true;
    void member.idle().then((open) => {
      if (!open) return;
      place.waiting = false;
      wake();
    });
  };

  const isDue = (): boolean => {
    if (tail.hasOpen() || pulsed.size > 0) return true;
    for (const [cursor, members] of standing) {
      if (cursor === tail.last()) continue;
      for (const member of members) if (places.get(member)?.waiting === false) return true;
    }
    return false;
  };
  const wake = (): void => {
    if (stopped || flushing || timer !== undefined || !isDue()) return;
    const inMs = notBefore - clock.monotonic();
    if (inMs > 0) {
      timer = clock.setTimer(() => {
        timer = undefined;
        wake();
      }, inMs);
      return;
    }
    flushing = true;
    // A microtask later, so that one turn is taken whole, and the bus knows itself what it has published.
    queueMicrotask(() => void flush());
  };

  const flush = async (): Promise<void> => {
    tail.close();
    const touched = pulsed;
    pulsed = new Set();
    const end = tail.last();
    let ready: readonly Ready[] = [];
    try {
      ready = whoIsReady(end, touched.size > 0);
      if (ready.length > 0) await bring(ready, end, touched);
    } catch (thrown) {
      // Who has left meanwhile has no part in it.
      for (const { members } of ready) for (const member of members) if (places.has(member)) member.fail(thrown);
    }
    // From when it was sent on: however long the states took, two flushes are never closer than this.
    notBefore = clock.monotonic() + STATES_EVERY_MS;
    forget(end);
    flushing = false;
    wake();
  };

  const whoIsReady = (end: string, hasPulses: boolean): readonly Ready[] => {
    const ready: Ready[] = [];
    for (const [cursor, members] of [...standing]) {
      const isBehind = cursor !== end;
      if (!isBehind && !hasPulses) continue;
      const able = [...members].filter((member) => {
        if (places.get(member)?.waiting !== false) return false;
        if (member.isIdle()) return true;
        // A pulse alone may be dropped: nobody waits for it.
        if (isBehind) waitForRoom(member);
        return false;
      });
      if (able.length === 0) continue;
      const changes = tail.after(cursor);
      if (changes !== undefined) ready.push({ cursor, members: able, changes });
      else {
        for (const member of able) {
          leave(member);
          member.lost();
        }
      }
    }
    return ready;
  };

  /** Reads what any of them lacks, once, and sends each what it lacks. */
  const bring = async (ready: readonly Ready[], end: string, touched: ReadonlySet<string>): Promise<void> => {
    const keys = new Set(touched);
    for (const { changes } of ready) for (const { key } of changes) keys.add(key);
    const rendered = await read(keys, end);
    for (const { cursor, members, changes } of ready) {
      const known = new Set(changes.map(({ key }) => key));
      const wanted: Wanted[] = [...touched].flatMap((key) => (known.has(key) ? [] : [{ key, removed: false }]));
      wanted.push(...changes);
      const frames = cutFrames(channel, { previous: cursor, end }, wanted, rendered);
      for (const member of members) if (places.get(member)?.cursor === cursor) deliver(member, frames);
    }
  };

  /** As many of the frames as it has room for; it stays behind the last of them. */
  const deliver = (member: StatesMember, frames: readonly StatesFrame[]): void => {
    for (const { cursor, text } of frames) {
      if (!member.isIdle()) return waitForRoom(member);
      if (!member.send([text])) return undefined;
      const place = places.get(member);
      if (place === undefined) return undefined;
      step(member, place.cursor);
      place.cursor = cursor;
      stand(member, cursor);
      member.moved(cursor);
    }
    return undefined;
  };

  /** What every member was sent is remembered no longer. */
  const forget = (end: string): void => {
    let slowest = end;
    for (const cursor of standing.keys()) if (compareCursors(cursor, slowest) < 0) slowest = cursor;
    tail.trim(slowest);
  };

  return {
    channel,
    fields,
    last: tail.last,
    changed(key, id, removed) {
      tail.note(key, id, removed);
      wake();
    },
    touched(key) {
      pulsed.add(key);
      wake();
    },
    join(member, cursor, held) {
      if (stopped || places.has(member)) return;
      places.set(member, { cursor, waiting: held });
      stand(member, cursor);
      wake();
    },
    release(member) {
      const place = places.get(member);
      if (place === undefined) return;
      place.waiting = false;
      wake();
    },
    leave,
    completeUpTo: tail.quietUpTo,
    stop() {
      stopped = true;
      timer?.cancel();
      timer = undefined;
      places.clear();
      standing.clear();
    },
  };
}
