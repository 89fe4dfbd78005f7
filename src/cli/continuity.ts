import { hasSnapshot } from '../model/subject.js';

/**
 * The proof that nothing is missing on the channels of one subscriber (PROTOCOL.md §4, Continuity): pure bookkeeping
 * of cursors. It outlives connections: `since` says where each channel resumes.
 */
export interface Continuity {
  /** Where the channel resumes: everything up to here was received. `undefined`: it never began. */
  since(channel: string): string | undefined;
  /** A connection ended: no frame counts before the next subscribe reply. */
  disconnected(): void;
  /** A `subscribe` is under way: what arrives before its reply is of the old terms. */
  asking(channel: string): void;
  /** Its reply. */
  subscribed(channel: string, reply: { readonly cursor: string; readonly recovered: boolean }): void;
  /** One frame. `missing`: it does not follow the last one, subscribe again; `old`: of terms that have ended. */
  frame(channel: string, previous: string, id: string): 'next' | 'missing' | 'old';
  /** `caught_up`. */
  caughtUp(channel: string, cursor: string): void;
  /** The last chunk of a snapshot. */
  snapshotEnded(channel: string, cursor: string): void;
  /** `lag`: everything after these cursors comes again as a replay. */
  lagging(since: Readonly<Record<string, string>>): void;
  /** `heartbeat`; returns the channels whose last frames were lost. */
  heartbeat(cursor: string, last: Readonly<Record<string, string>>): readonly string[];
}

interface Place {
  /** Everything up to here was received. */
  received: string | undefined;
  /** What the next frame's `previous` must be; `undefined` while no frame counts. */
  expected: string | undefined;
  /** Whether nothing older can still be on its way: only then a heartbeat's cursor says that all before it came. */
  live: boolean;
}

export function createContinuity(
  channels: readonly string[],
  options: { readonly since?: string | undefined; readonly snapshot: boolean },
): Continuity {
  const places = new Map<string, Place>(
    channels.map((channel) => [channel, { received: options.since, expected: undefined, live: false }]),
  );
  const at = (channel: string): Place | undefined => places.get(channel);

  return {
    since: (channel) => at(channel)?.received,
    disconnected() {
      for (const place of places.values()) {
        place.expected = undefined;
        place.live = false;
      }
    },
    asking(channel) {
      const place = at(channel);
      if (place === undefined) return;
      place.expected = undefined;
      place.live = false;
    },
    subscribed(channel, { cursor, recovered }) {
      const place = at(channel);
      if (place === undefined) return;
      const resumes = place.received !== undefined;
      place.expected = place.received !== undefined && recovered ? place.received : cursor;
      // What began now has begun: an outage from here on is resumed. What cannot be recovered is announced by `gap`.
      place.received ??= cursor;
      place.live = !resumes && !(options.snapshot && hasSnapshot(channel));
    },
    frame(channel, previous, id) {
      const place = at(channel);
      if (place?.expected === undefined) return 'old';
      if (place.expected !== previous) return 'missing';
      place.expected = id;
      place.received = id;
      return 'next';
    },
    caughtUp(channel, cursor) {
      const place = at(channel);
      if (place?.expected === undefined) return;
      place.expected = cursor;
      place.received = cursor;
      place.live = true;
    },
    snapshotEnded(channel, cursor) {
      const place = at(channel);
      if (place?.expected === undefined) return;
      place.expected = cursor;
      place.received = cursor;
      // What was published while the states were sent follows without an end that is said: `live` stays as it is.
    },
    lagging(since) {
      for (const [channel, cursor] of Object.entries(since)) {
        const place = at(channel);
        if (place?.expected === undefined) continue;
        place.expected = cursor;
        place.received = cursor;
        place.live = false;
      }
    },
    heartbeat(cursor, last) {
      const lost: string[] = [];
      for (const [channel, place] of places) {
        if (place.expected === undefined) continue;
        const said = last[channel];
        if (said !== undefined && said !== place.expected) lost.push(channel);
        else if (place.live) place.received = cursor;
      }
      return lost;
    },
  };
}
