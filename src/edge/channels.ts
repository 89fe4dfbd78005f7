import type { Turn } from '../bus/bus.js';
import { type Cursor, compareCursors, orderOf, parseCursor } from '../model/cursor.js';
import type { Grant } from '../model/grant.js';
import { addressOf, PatternTrie } from '../model/subject.js';
import { type Entry, entryOf, type Frame, frameOf, headOf, pulseFrame } from './frames.js';
import type { EdgeStats } from './stats.js';
import { type Tapes, tapeId } from './tapes.js';
import { bytesOnWire, type FanOut, type Slot } from './wire.js';

/** What identical subscriptions share: they see the same frames, so a frame is rendered once for all of them. */
export interface ChannelGroup {
  readonly channel: string;
  readonly fields: Grant['fields'];
  readonly pulses: boolean;
  /** The last event that this channel delivered, or the edge's position when the group was made: the next `previous`. */
  readonly last: string;
  /**
   * The last event that was handed to the members: behind `last` while a turn is being delivered. Whoever has taken
   * everything keeps no cursor of its own.
   */
  readonly sent: string;
}

/** One subscription, as its group sees it. No call throws: one subscriber's fault must not reach the next. */
export interface Member {
  /** Where it is sent to together with others. */
  readonly slot: Slot | undefined;
  /** Where it stands among the members of its group, which alone changes it; {@link NO_PLACE} while it is in none. */
  place: number;
  /** The frames of one turn, in order, for this member alone: the same array for every one of them. */
  deliver(frames: readonly Frame[]): void;
  /** The frames of one turn, so many bytes, were taken by its socket and not all have left it. */
  queued(bytes: number): void;
  /** Part of a turn's frames was taken, and nobody knows how many: it cannot go on. */
  broken(): void;
  /** A pulse: may be dropped. */
  pulse(frame: string): void;
}

interface Group extends ChannelGroup {
  /** What each of its frames begins with. */
  readonly head: string;
  last: string;
  sent: string;
  /** Subscriptions that use the group, members or still replaying. */
  users: number;
  readonly members: Member[];
  /** The slot of each member, at its place in `members`; {@link NO_SLOT} for one that is sent to by itself. */
  readonly slots: number[];
  /** What this turn brought, until it is delivered. */
  frames: Frame[];
  beats: string[];
}

/**
 * The channels of one edge. Cost of an event: the groups that match it and the deliveries that are made, never the
 * subscribers that are not concerned.
 */
export interface Channels {
  /** Everything up to here was taken in: the last event, or what the hub said of itself since. */
  position(): string;
  /** The same, as numbers. */
  at(): Cursor;
  /**
   * Everything up to here was handed to every member of every group: behind `position` only while a turn is being
   * delivered, which is when members fall behind.
   */
  delivered(): string;
  /** The hub says that there is nothing before `cursor` which was not published. */
  advance(cursor: string): void;
  /** Resolves once the stream has come to `cursor`: what was read elsewhere may be ahead of it. */
  reached(cursor: string): Promise<void>;
  /** Joins or makes the group; every `acquire` needs a `release`. */
  acquire(channel: string, fields: Grant['fields'], pulses: boolean): ChannelGroup;
  release(group: ChannelGroup): void;
  /** From the next turn on the member gets what the group gets. */
  join(group: ChannelGroup, member: Member): void;
  leave(group: ChannelGroup, member: Member): void;
  /** Matches, renders once a group, and delivers one turn. */
  publish(turn: Turn): void;
  readonly size: number;
  /** Frames that were rendered, each for all members of a group. */
  readonly rendered: number;
}

const NO_SLOT = -1;
export const NO_PLACE = -1;

export interface ChannelsOptions {
  /** What is told of each turn after it was delivered; see {@link Tapes}. */
  readonly keeper?: Pick<Tapes, 'keep'>;
  /** Bytes of one turn that may be sent to many at once: what a socket in which nothing waits takes of live frames. */
  readonly mostBytes?: number;
  /** Where deliveries to many at once are counted. */
  readonly stats?: Pick<EdgeStats, 'deliveries' | 'deliveredBytes'>;
}

export function createChannels(
  start: string,
  { keeper, mostBytes = Number.POSITIVE_INFINITY, stats }: ChannelsOptions = {},
): Channels {
  const groups = new Map<string, Group>();
  const trie = new PatternTrie<Group>();
  const listeners = new PatternTrie<Group>();
  let position = start;
  let at: Cursor = parseCursor(start) ?? { epoch: 0, offset: 0 };
  let delivered = start;
  let rendered = 0;
  let waiting: { readonly cursor: string; readonly tell: () => void }[] = [];
  /** The transport of whoever came first; members of another are sent to by themselves. */
  let fanOut: FanOut | undefined;

  const moveTo = (cursor: string, to = parseCursor(cursor)): void => {
    if (to === undefined || orderOf(to, at) <= 0) return;
    position = cursor;
    at = to;
  };
  const tellWaiting = (): void => {
    if (waiting.length === 0) return;
    const isReached = ({ cursor }: { readonly cursor: string }): boolean => compareCursors(cursor, position) <= 0;
    const [done, left] = [waiting.filter(isReached), waiting.filter((one) => !isReached(one))];
    waiting = left;
    for (const { tell } of done) tell();
  };
  /** All members in which nothing waits together, then the others one by one. */
  const deliver = (group: Group, frames: readonly Frame[]): void => {
    const { members, slots } = group;
    const bytes = frames.reduce((sum, frame) => sum + bytesOnWire(frame.bytes), 0);
    const result =
      bytes > mostBytes
        ? undefined
        : fanOut?.send(
            frames.map(({ data, text }) => data ?? text),
            slots,
          );
    // Looked up before anybody is told: a member that is closed, or falls behind, leaves the arrays.
    const at = (positions: readonly number[]): readonly Member[] =>
      positions.flatMap((position) => members[position] ?? []);
    const alone = result === undefined ? [...members] : at(result.skipped);
    const [waits, broken] = [at(result?.queued ?? []), at(result?.failed ?? [])];
    if (stats !== undefined) {
      const many = members.length - alone.length - broken.length;
      stats.deliveries += many * frames.length;
      stats.deliveredBytes += many * bytes;
    }
    group.sent = group.last;
    for (const member of waits) member.queued(bytes);
    for (const member of broken) member.broken();
    for (const member of alone) member.deliver(frames);
  };
  const idOf = ({ channel, fields, pulses }: Pick<Group, 'channel' | 'fields' | 'pulses'>): string =>
    `${channel} ${fields} ${pulses ? 1 : 0}`;
  const own = (group: ChannelGroup): Group | undefined => groups.get(idOf(group));

  return {
    position: () => position,
    at: () => at,
    delivered: () => delivered,
    advance(cursor) {
      moveTo(cursor);
      delivered = position;
      tellWaiting();
    },
    reached(cursor) {
      if (compareCursors(cursor, position) <= 0) return Promise.resolve();
      return new Promise((tell) => waiting.push({ cursor, tell }));
    },
    get size() {
      return groups.size;
    },
    get rendered() {
      return rendered;
    },
    acquire(channel, fields, pulses) {
      const id = idOf({ channel, fields, pulses });
      let group = groups.get(id);
      if (group === undefined) {
        group = {
          channel,
          fields,
          pulses,
          head: headOf(channel),
          last: position,
          sent: position,
          users: 0,
          members: [],
          slots: [],
          frames: [],
          beats: [],
        };
        groups.set(id, group);
        trie.add(channel, group);
        if (pulses) listeners.add(channel, group);
      }
      group.users++;
      return group;
    },
    release(given) {
      const group = own(given);
      if (group === undefined || --group.users > 0) return;
      groups.delete(idOf(group));
      fanOut?.forget(group.slots);
      trie.delete(group.channel, group);
      if (group.pulses) listeners.delete(group.channel, group);
    },
    join(given, member) {
      const group = own(given);
      if (group === undefined || member.place !== NO_PLACE) return;
      const { slot } = member;
      fanOut ??= slot?.fanOut;
      member.place = group.members.length;
      group.members.push(member);
      group.slots.push(slot === undefined || slot.fanOut !== fanOut ? NO_SLOT : slot.index);
    },
    leave(given, member) {
      const group = own(given);
      const { place } = member;
      if (group === undefined || group.members[place] !== member) return;
      member.place = NO_PLACE;
      const moved = group.members.pop();
      const slot = group.slots.pop();
      if (moved === undefined || slot === undefined || moved === member) return;
      group.members[place] = moved;
      group.slots[place] = slot;
      moved.place = place;
    },
    publish({ events, pulses, texts }) {
      const touched = new Set<Group>();
      const entries: Entry[] = [];
      for (const [index, event] of events.entries()) {
        const entry = entryOf(event, texts?.[index]);
        // What comes twice was delivered already.
        if (orderOf(entry.at, at) <= 0) continue;
        entries.push(entry);
        trie.match(entry.address, (group) => {
          group.frames.push(frameOf(group.head, group.last, entry, group.fields));
          group.last = event.id;
          rendered++;
          touched.add(group);
        });
        moveTo(event.id, entry.at);
      }
      for (const pulse of pulses) {
        listeners.match(addressOf(pulse), (group) => {
          group.beats.push(pulseFrame(group.channel, pulse, group.fields));
          touched.add(group);
        });
      }
      const framesOf = new Map<string, readonly Frame[]>();
      for (const group of touched) {
        const { frames, beats } = group;
        group.frames = [];
        group.beats = [];
        if (frames.length > 0) {
          framesOf.set(tapeId(group.channel, group.fields), frames);
          deliver(group, frames);
        }
        // A member that is closed by its own delivery leaves the array: walk a copy.
        if (beats.length > 0) for (const member of [...group.members]) for (const beat of beats) member.pulse(beat);
      }
      // Those who fell behind find what they missed rendered.
      keeper?.keep(entries, (id) => framesOf.get(id));
      delivered = position;
      tellWaiting();
    },
  };
}
