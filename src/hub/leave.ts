import { messageOf } from '../errors.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { within } from '../net/within.js';
import type { StopOptions, Venue } from '../venues/venue.js';

/** The others begin to end once the venues that orders go through have ended, or after this. */
const ORDERS_FIRST_MS = 1_500;

/**
 * Stops venues. Those that orders go through (they have `call`) are asked in this very turn, before anything else:
 * whether resting orders stay must not depend on how long the others take. Resolves when all have ended, or after
 * `withinMs`; a venue that fails or hangs is logged and holds nobody up longer.
 */
export async function leaveVenues(
  venues: readonly Venue[],
  how: StopOptions,
  { clock, log, withinMs }: { readonly clock: Clock; readonly log: Log; readonly withinMs: number },
): Promise<void> {
  const startedAt = clock.monotonic();
  const stop = async (venue: Venue): Promise<void> => {
    const name = `${venue.venue}.${venue.id}`;
    const task = async (): Promise<void> => venue.stop(how);
    const ended = task().catch((thrown: unknown) =>
      log.error(`${name} did not stop as it should`, { error: messageOf(thrown) }),
    );
    const leftMs = Math.max(0, startedAt + withinMs - clock.monotonic());
    if (!(await within(clock, leftMs, ended))) log.error(`${name} does not stop`);
  };
  const holders = venues.filter(({ call }) => call !== undefined);
  const others = venues.filter(({ call }) => call === undefined);
  const first = Promise.all(holders.map(stop));
  if (holders.length > 0) await within(clock, Math.min(ORDERS_FIRST_MS, withinMs), first);
  await Promise.all([first, ...others.map(stop)]);
}
