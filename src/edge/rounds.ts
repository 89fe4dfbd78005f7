import { ROUND_PARTS } from './limits.js';

/**
 * Takes turns among all who replay: each does one part and stands at the end of the queue again. Between rounds the
 * event loop runs, so that a replay, however long and for however many, holds up neither a venue's frame nor a live one.
 */
export interface Rounds {
  /** Runs `part` soon, never within this call; once, however often it is asked for before. `true` from it: again. */
  wake(part: () => boolean): void;
}

/** `defer` runs its task after what the event loop has waiting. `part` must not throw. */
export function createRounds(defer: (task: () => void) => void = (task) => void setImmediate(task)): Rounds {
  const queue = new Set<() => boolean>();
  let isDeferred = false;

  const round = (): void => {
    isDeferred = false;
    let left = ROUND_PARTS;
    for (const part of queue) {
      if (left-- === 0) break;
      queue.delete(part);
      if (part()) queue.add(part);
    }
    if (queue.size > 0) goOn();
  };
  const goOn = (): void => {
    if (isDeferred) return;
    isDeferred = true;
    defer(round);
  };
  return {
    wake(part) {
      queue.add(part);
      goOn();
    },
  };
}
