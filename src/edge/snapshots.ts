import type { Bus } from '../bus/bus.js';
import { compareCursors } from '../model/cursor.js';
import { type Grant, redactState, showsSession } from '../model/grant.js';
import { coversKey } from '../model/subject.js';
import type { Channels } from './channels.js';
import { MAX_PAGE, SNAPSHOT_BYTES, SNAPSHOT_STATES } from './limits.js';
import type { Lru } from './lru.js';

/** States in key order as one frame of a snapshot has them: a JSON array, shared by all who are sent it. */
export interface Chunk {
  readonly states: string;
  readonly count: number;
  /** What to ask with for the next one; `undefined`: this is the last. */
  readonly next: string | undefined;
}

export type TakenChunk =
  | { readonly how: 'chunk'; readonly chunk: Chunk }
  | { readonly how: 'wait'; readonly chunk: Promise<ReadChunk> };

/** A chunk that was waited for: hand it to the next `take`, which needs it where it is kept no more. */
export interface ReadChunk extends Chunk {
  /** The states are as new as this, or newer. */
  readonly cursor: string;
}

export interface ChunkQuery {
  readonly channel: string;
  readonly grant: Grant;
  /** `next` of the chunk before; `undefined`: from the start. */
  readonly after: string | undefined;
  /** The states must not be older than this. They may be newer. */
  readonly atLeast: string;
}

/**
 * The states of channels, read and rendered once for all who are sent them while nothing happens in between: a crowd
 * that connects at once costs what one subscriber does. A subscriber on its way through a snapshot is a key.
 */
export interface Snapshots {
  take(query: ChunkQuery, fetched?: ReadChunk): TakenChunk;
  readonly reads: number;
}

export interface SnapshotsOptions {
  readonly bus: Pick<Bus, 'states'>;
  readonly channels: Pick<Channels, 'position' | 'reached'>;
  readonly lru: Lru;
}

interface Kept extends ReadChunk {
  readonly drop: () => void;
}

export function createSnapshots({ bus, channels, lru }: SnapshotsOptions): Snapshots {
  const chunks = new Map<string, Kept>();
  const reading = new Map<string, Promise<ReadChunk>>();
  let reads = 0;

  const keep = (key: string, chunk: Chunk, cursor: string): ReadChunk => {
    const before = chunks.get(key);
    if (before !== undefined) lru.release(before);
    const kept: Kept = {
      ...chunk,
      cursor,
      drop() {
        if (chunks.get(key) === kept) chunks.delete(key);
      },
    };
    chunks.set(key, kept);
    lru.hold(kept, chunk.states.length + 2 * key.length);
    return kept;
  };

  const read = async ({ channel, grant, after }: ChunkQuery): Promise<ReadChunk> => {
    reads++;
    const position = channels.position();
    const page = await bus.states({ within: [channel], limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
    // What was read ahead of the stream is told once the stream has come there.
    await channels.reached(page.cursor);
    const cursor = compareCursors(page.cursor, position) < 0 ? position : page.cursor;
    const shown = page.states.filter(({ key }) => coversKey(channel, key) && showsSession(grant, key));
    let from = after;
    let states: string[] = [];
    let bytes = 0;
    let last = '';
    let wanted: ReadChunk | undefined;
    const cut = (next: string | undefined): ReadChunk => {
      const chunk = { states: `[${states.join(',')}]`, count: states.length, next };
      const kept = keep(keyOf(channel, grant, from), chunk, cursor);
      wanted ??= kept;
      from = next;
      states = [];
      bytes = 0;
      return wanted;
    };
    for (const state of shown) {
      const text = JSON.stringify(redactState(state, grant.fields));
      const size = Buffer.byteLength(text);
      if (states.length === SNAPSHOT_STATES || (states.length > 0 && bytes + size > SNAPSHOT_BYTES)) cut(last);
      states.push(text);
      bytes += size;
      last = state.key;
    }
    return cut(page.next);
  };

  return {
    get reads() {
      return reads;
    },
    take(query, fetched) {
      const key = keyOf(query.channel, query.grant, query.after);
      const kept = chunks.get(key);
      if (kept !== undefined) lru.touch(kept);
      const chunk = kept ?? fetched;
      if (chunk !== undefined && compareCursors(chunk.cursor, query.atLeast) >= 0) return { how: 'chunk', chunk };
      let task = reading.get(key);
      if (task === undefined) {
        task = read(query).finally(() => reading.delete(key));
        reading.set(key, task);
      }
      return { how: 'wait', chunk: task };
    },
  };
}

/** One notification of a snapshot: PROTOCOL.md §4, `snapshot`. */
export function snapshotFrame(channel: string, { states, next }: Chunk, cursor: string): string {
  const params = `{"channel":${JSON.stringify(channel)},"states":${states},"last":${next === undefined},"cursor":"${cursor}"}`;
  return `{"jsonrpc":"2.0","method":"snapshot","params":${params}}`;
}

/** Grants that show the same are one: their channels decide, and their fields. */
function keyOf(channel: string, { channels, fields }: Grant, after: string | undefined): string {
  return `${channel} ${after ?? ''} ${fields} ${channels.join(' ')}`;
}
