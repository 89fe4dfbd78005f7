import type { Socket } from 'node:net';
import type { Draw } from './draw.js';

/** What a bad line does to what passes it. 0: nothing. */
export interface Toxics {
  /** Every byte is this late, and a drawn part of `jitterMs` more; order is kept. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly bytesPerSecond: number;
  /** What comes is passed on in drawn pieces of at most so many bytes, each a write of its own. */
  readonly sliceBytes: number;
  /** The end of one side is told to the other so much later. */
  readonly slowCloseMs: number;
}

/** One direction of a proxied connection. */
export interface Pipe {
  readonly from: Socket;
  /** Nothing passes any more, FIN included. */
  readonly isSwallowed: boolean;
  swallow(): void;
  /** Ends the far side behind what is on its way. */
  end(): void;
  /** The toxics changed: what waits is looked at again. */
  look(): void;
}

interface Piece {
  readonly dueAt: number;
  /** `undefined`: the end. */
  readonly bytes: Buffer | undefined;
}

/** While more than this is on its way nothing more is read: a proxy of a slow line holds no more than a kernel would. */
const MAX_HELD_BYTES = 256 * 1024;

export function createPipe(from: Socket, to: Socket, toxics: () => Toxics, draw: Draw): Pipe {
  const queue: Piece[] = [];
  let held = 0;
  /** When the last byte so far has passed the narrow place; and when it arrives. */
  let freeAt = 0;
  let lastDueAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let swallowed = false;
  let blocked = false;
  let ended = false;

  const put = (bytes: Buffer | undefined, extraMs = 0): void => {
    const { latencyMs, jitterMs, bytesPerSecond } = toxics();
    const now = performance.now();
    const jitter = jitterMs === 0 ? 0 : draw.random() * jitterMs;
    const takes = bytesPerSecond === 0 || bytes === undefined ? 0 : (bytes.length * 1_000) / bytesPerSecond;
    freeAt = Math.max(freeAt, now) + takes;
    lastDueAt = Math.max(lastDueAt, freeAt + latencyMs + jitter + extraMs);
    queue.push({ dueAt: lastDueAt, bytes });
    held += bytes?.length ?? 0;
  };
  const cutUp = (bytes: Buffer): void => {
    const { sliceBytes } = toxics();
    if (sliceBytes === 0) return put(bytes);
    for (let at = 0; at < bytes.length; ) {
      const size = draw.between(1, sliceBytes);
      put(bytes.subarray(at, at + size));
      at += size;
    }
    return undefined;
  };
  /** Passes on what is due, and arms a timer for what is not. */
  const flow = (): void => {
    clearTimeout(timer);
    timer = undefined;
    while (!blocked && !swallowed) {
      const [next] = queue;
      if (next === undefined) break;
      const inMs = next.dueAt - performance.now();
      if (inMs > 0) {
        timer = setTimeout(flow, inMs);
        break;
      }
      queue.shift();
      held -= next.bytes?.length ?? 0;
      if (to.destroyed || to.writableEnded) continue;
      if (next.bytes === undefined) to.end();
      else if (!to.write(next.bytes)) blocked = true;
    }
    if (swallowed) return;
    if (held > MAX_HELD_BYTES) from.pause();
    else if (from.isPaused()) from.resume();
  };
  const end = (afterMs: number): void => {
    if (ended) return;
    ended = true;
    put(undefined, afterMs);
    flow();
  };

  from.on('data', (bytes: Buffer) => {
    if (swallowed || ended) return;
    cutUp(bytes);
    flow();
  });
  from.on('end', () => {
    // One that leaves a dead line closes its own side alone; the other is not told.
    if (swallowed) from.destroy();
    else end(toxics().slowCloseMs);
  });
  to.on('drain', () => {
    blocked = false;
    flow();
  });
  from.on('close', () => {
    if (to.destroyed) clearTimeout(timer);
  });
  to.on('close', () => {
    queue.length = 0;
    held = 0;
    clearTimeout(timer);
    // Nobody is left to hear it: whoever still talks is told by the end of its own side.
    if (!swallowed) from.resume();
  });

  return {
    from,
    get isSwallowed() {
      return swallowed;
    },
    swallow() {
      swallowed = true;
      clearTimeout(timer);
      queue.length = 0;
      held = 0;
      from.resume();
    },
    end: () => end(0),
    look() {
      // What waits for a latency that is no more goes at once; order is kept.
      const { latencyMs } = toxics();
      if (latencyMs === 0) {
        const now = performance.now();
        for (const [index, piece] of queue.entries()) queue[index] = { ...piece, dueAt: Math.min(piece.dueAt, now) };
        freeAt = Math.min(freeAt, now);
        lastDueAt = Math.min(lastDueAt, now);
      }
      flow();
    },
  };
}
