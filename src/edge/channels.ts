import type { Turn } from '../bus/bus.js';
import { compareCursors } from '../model/cursor.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import { type Grant, redactEvent, redactPulse } from '../model/grant.js';
import { addressOf, PatternTrie } from '../model/subject.js';

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
  /** The frames of one turn, in order. */
  deliver(frames: readonly string[]): void;
  /** A pulse: may be dropped. */
  pulse(frame: string): void;
}

interface Group extends ChannelGroup {
  last: string;
  /** Subscriptions that use the group, members or still replaying. */
  users: number;
  readonly members: Member[];
  /** Where each member stands in `members`. */
  readonly places: Map<Member, number>;
  frames: string[];
  beats: string[];
}

/**
 * The channels of one edge. Cost of an event: the groups that match it and the deliveries that are made, never the
 * subscribers that are not concerned.
 */
export interface Channels {
  /** Everything up to here was taken in: the last event, or what the hub said of itself since. */
  position(): string;
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
}

/** The frame of one event on one channel. */
export function subscriptionFrame(channel: string, previous: string, event: string): string {
  return `{"jsonrpc":"2.0","method":"subscription","params":{"channel":${JSON.stringify(channel)},"previous":"${previous}","data":${event}}}`;
}

function pulseFrame(channel: string, pulse: Pulse): string {
  return `{"jsonrpc":"2.0","method":"subscription","params":{"channel":${JSON.stringify(channel)},"pulse":true,"data":${JSON.stringify(pulse)}}}`;
}

/** An event as JSON, once for each kind of grant. */
export function createRenderer(): (event: SessionEvent, fields: Grant['fields']) => string {
  let rendered: { readonly event: SessionEvent; full?: string; redacted?: string } | undefined;
  return (event, fields) => {
    if (rendered?.event !== event) rendered = { event };
    rendered[fields] ??= JSON.stringify(redactEvent(event, fields));
    return rendered[fields];
  };
}

export function createChannels(start: string): Channels {
  const groups = new Map<string, Group>();
  const trie = new PatternTrie<Group>();
  const listeners = new PatternTrie<Group>();
  const render = createRenderer();
  let position = start;
  let waiting: { readonly cursor: string; readonly tell: () => void }[] = [];

  const moveTo = (cursor: string): void => {
    if (compareCursors(cursor, position) > 0) position = cursor;
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
    advance(cursor) {
      moveTo(cursor);
      tellWaiting();
    },
    reached(cursor) {
      if (compareCursors(cursor, position) <= 0) return Promise.resolve();
      return new Promise((tell) => waiting.push({ cursor, tell }));
    },
    get size() {
      return groups.size;
    },
    acquire(channel, fields, pulses) {
      const id = idOf({ channel, fields, pulses });
      let group = groups.get(id);
      if (group === undefined) {
        group = {
          channel,
          fields,
          pulses,
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
    publish({ events, pulses }) {
      const touched = new Set<Group>();
      for (const event of events) {
        trie.match(addressOf(event), (group) => {
          if (compareCursors(event.id, group.last) <= 0) return;
          group.frames.push(subscriptionFrame(group.channel, group.last, render(event, group.fields)));
          group.last = event.id;
          touched.add(group);
        });
        moveTo(event.id);
      }
      for (const pulse of pulses) {
        listeners.match(addressOf(pulse), (group) => {
          group.beats.push(pulseFrame(group.channel, redactPulse(pulse, group.fields)));
          touched.add(group);
        });
      }
      for (const group of touched) {
        const { frames, beats } = group;
        group.frames = [];
        group.beats = [];
        // A member that is closed by its own delivery leaves the array: walk a copy.
        for (const member of [...group.members]) {
          if (frames.length > 0) member.deliver(frames);
          for (const beat of beats) member.pulse(beat);
        }
      }
      tellWaiting();
    },
  };
}
