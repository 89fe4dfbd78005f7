import { availableParallelism } from 'node:os';
import type { Log } from '../net/log.js';

/** More threads than this are a mistake. */
export const MAX_WORKERS = 128;

/** `auto`: one a processor, where the transport can share its port with threads. */
export function workersOf(asked: number | 'auto', transport: 'uws' | 'ws', log: Log): number {
  if (asked !== 'auto') return asked;
  const count = Math.min(availableParallelism(), MAX_WORKERS);
  if (count === 1 || transport === 'uws') return count;
  log.warn('one thread serves all subscribers: more need uWebSockets.js', { processors: count });
  return 1;
}
