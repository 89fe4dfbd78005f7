import type { Turn } from '../bus/bus.js';
import { type Cursor, compareCursors, orderOf, parseCursor } from '../model/cursor.js';
import type { Grant } from '../model/grant.js';
import { addressOf, PatternTrie } from '../model/subject.js';
import { type Entry, entryOf, type Frame, frameOf, headOf, pulseFrame } from './frames.js';
import { type Tapes, tapeId } from './tapes.js';

/** What identical subscriptions share: they see the same frames, so a frame is rendered once for all of them. */
export interface ChannelGroup {
  readonly channel: string;
  readonly fields: Grant['fields'];
  readonly pulses: boolean;
  /** The last event that this channel delivered, or the edge's position when the group was made: the next `previous`. */
  readonly last: string;
}

/** One subscription, as its group sees it. Neither call throws: one subscriber's fault must not reach the next. */
export interface Member {
  /** The frames of one turn, in order: the same array for every member. */
  deliver(frames: readonly Frame[]): void;
  /** A pulse: may be dropped. */
  pulse(frame: string): void;
}

interface Group extends ChannelGroup {
  /** What each of its frames begins with. */
  readonly head: string;
  last: string;
  /** Subscriptions that use the group, members or still replaying. */
  users: number;
  readonly members: Member[];
  /** Where each member stands in `members`. */
  readonly places: Map<Member, number>;
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

/** What is told of each turn after it was delivered; see {@link Tapes}. */
type Keeper = Pick<Tapes, 'keep'>;

export function createChannels(start: string, keeper?: Keeper): Channels {
  const groups = new Map<string, Group>();
  const trie = new PatternTrie<Group>();
  const listeners = new PatternTrie<Group>();
  let position = start;
  let at: Cursor = parseCursor(start) ?? { epoch: 0, offset: 0 };
  let delivered = start;
  let rendered = 0;
  let waiting: { readonly cursor: string; readonly tell: () => void }[] = [];

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
          users: 0,
          members: [],
          places: new Map(),
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
      trie.delete(group.channel, group);
      if (group.pulses) listeners.delete(group.channel, group);
    },
    join(given, member) {
      const group = own(given);
      if (group === undefined || group.places.has(member)) return;
      group.places.set(member, group.members.length);
      group.members.push(member);
    },
    leave(given, member) {
      const group = own(given);
      const place = group?.places.get(member);
      if (group === undefined || place === undefined) return;
      group.places.delete(member);
      const moved = group.members.pop();
      if (moved === undefined || moved === member) return;
      group.members[place] = moved;
      group.places.set(moved, place);
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
          group.frames.push(frameOf(group.head, group.last, entry, group.fields, group.members.length > 1));
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
        if (frames.length > 0) framesOf.set(tapeId(group.channel, group.fields), frames);
        // A member that is closed, or falls behind, by its own delivery leaves the array: walk a copy.
        for (const member of [...group.members]) {
          if (frames.length > 0) member.deliver(frames);
          for (const beat of beats) member.pulse(beat);
        }
      }
      // Those who fell behind find what they missed rendered.
      keeper?.keep(entries, (id) => framesOf.get(id));
      delivered = position;
      tellWaiting();
    },
  };
}
