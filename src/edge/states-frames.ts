import type { Bus } from '../bus/bus.js';
import { SessionRelayError } from '../errors.js';
import { compareCursors, cursorBefore } from '../model/cursor.js';
import { type Grant, redactState } from '../model/grant.js';
import { everythingOf } from '../model/subject.js';
import type { Channels } from './channels.js';
import { MAX_PAGE, SNAPSHOT_STATES, STATES_FRAME_BYTES } from './limits.js';

/** A session whose state is to be sent; `first` is absent where only a pulse touched it. */
export interface Wanted {
  readonly key: string;
  readonly first?: string;
  readonly removed: boolean;
}

/** States as JSON, each rendered once for whoever gets it. */
export interface RenderedStates {
  /** They are at least as new as this. */
  readonly cursor: string;
  readonly states: ReadonlyMap<string, RenderedState>;
}

interface RenderedState {
  readonly text: string;
  readonly bytes: number;
}

export interface StatesFrame {
  /** Everything up to here was sent with it. */
  readonly cursor: string;
  readonly text: string;
  readonly bytes: number;
}

/**
 * A state that lacks what its frame's cursor promises would never be corrected.
 *
 * @throws SessionRelayError `internal`, where the bus answers with what is older than what it has published itself.
 */
function mustBeNew(cursor: string, published: string): void {
  if (compareCursors(cursor, published) < 0)
    throw new SessionRelayError('internal', `the bus has states of ${cursor} after it published ${published}`);
}

/**
 * Reads the states of these sessions as they are now, no older than `atLeast`, and not before the edge's own stream
 * has come to where they were read. Rejects where the bus does, and as {@link mustBeNew} says.
 */
export async function readStates(
  { bus, channels }: { readonly bus: Bus; readonly channels: Channels },
  keys: Iterable<string>,
  fields: Grant['fields'],
  atLeast: string,
): Promise<RenderedStates> {
  const states = new Map<string, RenderedState>();
  const all = [...keys];
  let oldest: string | undefined;
  for (let from = 0; from < all.length; from += MAX_PAGE) {
    const within = all.slice(from, from + MAX_PAGE).map(everythingOf);
    let after: string | undefined;
    do {
      const page = await bus.states({ within, limit: MAX_PAGE, ...(after === undefined ? {} : { after }) });
      mustBeNew(page.cursor, atLeast);
      await channels.reached(page.cursor);
      if (oldest === undefined || compareCursors(page.cursor, oldest) < 0) oldest = page.cursor;
      for (const state of page.states) {
        const text = JSON.stringify(redactState(state, fields));
        states.set(state.key, { text, bytes: Buffer.byteLength(text) });
      }
      after = page.next;
    } while (after !== undefined);
  }
  return { cursor: oldest ?? atLeast, states };
}

/**
 * The frames that bring a subscriber from `previous` to `end`. Sessions come in the order of their first event, so
 * that a frame which is not the last can name a cursor of its own: the position before the first event of what is not
 * sent yet. Each is a good `since`, and one that is missing shows. There is always one frame, for its cursor's sake.
 */
export function cutFrames(
  channel: string,
  { previous, end }: { readonly previous: string; readonly end: string },
  wanted: readonly Wanted[],
  { states }: RenderedStates,
): readonly StatesFrame[] {
  const frames: StatesFrame[] = [];
  let at = previous;
  let shown: string[] = [];
  let removed: string[] = [];
  let bytes = 0;
  const cut = (cursor: string): void => {
    const text = frameText(channel, at, cursor, shown, removed);
    frames.push({ cursor, text, bytes: Buffer.byteLength(text) });
    at = cursor;
    shown = [];
    removed = [];
    bytes = 0;
  };
  for (const one of wanted) {
    const state = states.get(one.key);
    // An event may be of a session that has no state, and never had one.
    if (state === undefined && !one.removed) continue;
    const size = state?.bytes ?? one.key.length;
    const count = shown.length + removed.length;
    if (count === SNAPSHOT_STATES || (count > 0 && bytes + size > STATES_FRAME_BYTES))
      cut(one.first === undefined ? at : cursorBefore(one.first));
    if (state === undefined) removed.push(one.key);
    else shown.push(state.text);
    bytes += size;
  }
  cut(end);
  return frames;
}

function frameText(
  channel: string,
  previous: string,
  cursor: string,
  states: readonly string[],
  removed: readonly string[],
): string {
  const gone = removed.length === 0 ? '' : `,"removed":${JSON.stringify(removed)}`;
  return `{"jsonrpc":"2.0","method":"subscription","params":{"channel":${JSON.stringify(channel)},"previous":"${previous}","cursor":"${cursor}","states":[${states.join(',')}]${gone}}}`;
}
