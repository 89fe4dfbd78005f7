import type { Bus, Turn } from '../bus/bus.js';
import type { SessionEvent } from '../model/event.js';
import type { Grant } from '../model/grant.js';
import { addressOf, matches, PatternTrie } from '../model/subject.js';
import type { Clock } from '../net/clock.js';
import type { Channels } from './channels.js';
import { type RenderedStates, readStates } from './states-frames.js';
import { createStatesGroup, type StatesGroup } from './states-group.js';
import { removalsOf, type StatesView, viewOf } from './states-view.js';

/** A group with what decides which events concern it. */
export interface SharedStates extends StatesGroup {
  readonly pulses: boolean;
  readonly view: StatesView;
  /** Whether an event changed a state that the group shows; `removed`: it may have ended it. */
  concern(event: SessionEvent): { readonly removed: boolean } | undefined;
}

/**
 * The channels of one edge in states mode. Subscriptions share a group where they have the channel, the fields, the
 * wish for pulses, and the sessions that their grants show in common.
 */
export interface States {
  /** Joins or makes the group; every `acquire` needs a `release`. */
  acquire(channel: string, grant: Grant, pulses: boolean): SharedStates;
  release(group: SharedStates): void;
  /** One turn, once the edge's channels have taken it in. */
  publish(turn: Turn): void;
  read(keys: Iterable<string>, fields: Grant['fields'], atLeast: string): Promise<RenderedStates>;
  readonly size: number;
}

export interface StatesOptions {
  readonly bus: Bus;
  readonly channels: Channels;
  readonly clock: Clock;
}

interface Used {
  readonly group: SharedStates;
  users: number;
}

export function createStates({ bus, channels, clock }: StatesOptions): States {
  const groups = new Map<string, Used>();
  const trie = new PatternTrie<SharedStates>();
  const listeners = new PatternTrie<SharedStates>();
  const read: States['read'] = (keys, fields, atLeast) => readStates({ bus, channels }, keys, fields, atLeast);

  const make = (channel: string, fields: Grant['fields'], pulses: boolean, view: StatesView): SharedStates => {
    const removals = removalsOf(channel);
    const group: SharedStates = {
      ...createStatesGroup({
        channel,
        fields,
        start: channels.position(),
        clock,
        read: (keys, atLeast) => read(keys, fields, atLeast),
      }),
      pulses,
      view,
      concern(event) {
        if (!view.shows(event.subject)) return undefined;
        const address = addressOf(event);
        if (matches(removals, address)) return { removed: true };
        return matches(channel, address) ? { removed: false } : undefined;
      },
    };
    return group;
  };

  return {
    read,
    get size() {
      return groups.size;
    },
    acquire(channel, grant, pulses) {
      const view = viewOf(grant, channel);
      const id = idOf(channel, grant.fields, pulses, view);
      let used = groups.get(id);
      if (used === undefined) {
        used = { group: make(channel, grant.fields, pulses, view), users: 0 };
        groups.set(id, used);
        trie.add(channel, used.group);
        trie.add(removalsOf(channel), used.group);
        if (pulses) listeners.add(channel, used.group);
      }
      used.users++;
      return used.group;
    },
    release(group) {
      const { channel, fields, pulses, view } = group;
      const id = idOf(channel, fields, pulses, view);
      const used = groups.get(id);
      if (used === undefined || --used.users > 0) return;
      groups.delete(id);
      trie.delete(channel, group);
      trie.delete(removalsOf(channel), group);
      if (pulses) listeners.delete(channel, group);
      group.stop();
    },
    publish({ events, pulses }) {
      for (const event of events) {
        trie.match(addressOf(event), (group) => {
          const concern = group.concern(event);
          if (concern !== undefined) group.changed(event.subject, event.id, concern.removed);
        });
      }
      for (const pulse of pulses) {
        listeners.match(addressOf(pulse), (group) => {
          if (group.view.shows(pulse.subject)) group.touched(pulse.subject);
        });
      }
    },
  };
}

function idOf(channel: string, fields: Grant['fields'], pulses: boolean, view: StatesView): string {
  return `${channel} ${fields} ${pulses ? 1 : 0} ${view.id}`;
}
