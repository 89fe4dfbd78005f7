import type { CursorList } from './cursors.js';
import type { Trail } from './trail.js';

/**
 * Holds what one subscriber was sent on a channel against the journal's sequence for that channel. Answers the first
 * counter-example in words; `undefined` where everything is there, each once and in order, or its loss was announced.
 */
export function difference(trail: Trail, journal: CursorList): string | undefined {
  const { channel, cursors, stretches } = trail;
  if (stretches.length === 0) return cursors.length === 0 ? undefined : `${channel}: events came before anything began`;
  for (const [number, { from, start, until }] of stretches.entries()) {
    const end = stretches[number + 1]?.start ?? cursors.length;
    const first = journal.countUpTo(from);
    // The last stretch goes to the journal's end, unless the channel itself has ended.
    const last =
      until === undefined ? (trail.hasEnded ? first + end - start : journal.length) : journal.countUpTo(until);
    for (let index = 0; index < Math.max(end - start, last - first); index++) {
      const got = start + index < end ? cursors.at(start + index) : undefined;
      const wanted = first + index < last ? journal.at(first + index) : undefined;
      if (got === wanted) continue;
      return `${channel}: event ${start + index + 1} is ${got ?? 'missing'}, the journal's is ${wanted ?? 'none'} (since ${from})`;
    }
  }
  return undefined;
}

/** Whether the trail has come as far as the journal: nothing to wait for any more. */
export function hasCaughtUp(trail: Trail, journal: CursorList): boolean {
  const last = journal.at(journal.length - 1);
  if (!trail.isLive) return trail.hasEnded;
  const base = trail.stretches.at(-1)?.from;
  if (last === undefined || base === undefined) return true;
  if (journal.countUpTo(base) === journal.length) return true;
  return trail.cursors.at(trail.cursors.length - 1) === last;
}
