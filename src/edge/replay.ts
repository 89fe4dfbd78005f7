import type { Bus } from '../bus/bus.js';
import { type Channels, type ChannelsOptions, createChannels } from './channels.js';
import { createJournalPages, type JournalPages } from './journal-pages.js';
import { REPLAY_CACHE_BYTES } from './limits.js';
import { createLru } from './lru.js';
import { createRounds, type Rounds } from './rounds.js';
import { createSnapshots, type Snapshots } from './snapshots.js';
import { createTapes, type Tapes } from './tapes.js';

/** What all connections of one edge share: the live channels, what is replayed of them, and whose turn it is. */
export interface Replay {
  readonly channels: Channels;
  readonly journal: JournalPages;
  readonly tapes: Tapes;
  readonly snapshots: Snapshots;
  readonly rounds: Rounds;
  readonly counts: () => ReplayCounts;
}

export interface ReplayCounts {
  /** Frames that were rendered, live and for replays. */
  readonly rendered: number;
  /** Pages of the journal, and of states, that were read. */
  readonly reads: number;
  /** Bytes that are kept to be sent again; at most `REPLAY_CACHE_BYTES`. */
  readonly bytes: number;
}

export interface ReplayOptions {
  readonly bus: Pick<Bus, 'head' | 'events' | 'states' | 'holds'>;
  /** Default {@link REPLAY_CACHE_BYTES}. */
  readonly cacheBytes?: number;
  /** How a task is put behind what the event loop has waiting. Default `setImmediate`. */
  readonly defer?: (task: () => void) => void;
  /** How live frames go to many at once. */
  readonly live?: Pick<ChannelsOptions, 'mostBytes' | 'stats'>;
}

export function createReplay({ bus, cacheBytes = REPLAY_CACHE_BYTES, defer, live }: ReplayOptions): Replay {
  const lru = createLru(cacheBytes);
  const journal = createJournalPages({ bus, lru, position: () => channels.at() });
  const tapes = createTapes({ lru, journal });
  const channels = createChannels(bus.head(), { ...live, keeper: tapes });
  const snapshots = createSnapshots({ bus, channels, lru });
  return {
    channels,
    journal,
    tapes,
    snapshots,
    rounds: createRounds(defer),
    counts: () => ({
      rendered: channels.rendered + tapes.rendered,
      reads: journal.reads + snapshots.reads,
      bytes: lru.bytes,
    }),
  };
}
