import { messageOf } from '../errors.js';
import { type Fact, SOURCE_TOKEN } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { State } from '../model/session.js';
import { sessionKey } from '../model/subject.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import type { SourceDescription, Venue } from '../venues/venue.js';
import { lostLinks } from './derive.js';
import { spaceName } from './forgetting.js';
import type { Arrival } from './inbox.js';
import { leaveVenues } from './leave.js';
import type { Ledger } from './ledger.js';

/** How venues come and go while the hub runs. */

/** What a hub is to hold from now on. */
export interface VenueChanges {
  /** All of them. One that is the same object as before is kept and not touched; another of the same name takes its place. */
  readonly venues: readonly Venue[];
  /** Options that kept venues take over while they run, see {@link Venue.revise}. */
  readonly revisions?: ReadonlyMap<Venue, unknown>;
}

/** What became of each, by `<venue>.<id>`. */
export interface ChangedVenues {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Ended and begun anew, with what the journal remembers of it. */
  readonly changed: readonly string[];
  /** Took over other options on the connection that it has. */
  readonly revised: readonly string[];
  readonly kept: readonly string[];
}

export interface VenuePlan {
  readonly added: readonly Venue[];
  readonly removed: readonly Venue[];
  readonly changed: readonly { readonly before: Venue; readonly after: Venue }[];
  readonly kept: readonly Venue[];
}

/** What differs: an object that was there is kept, another of its name takes its place. */
export function planVenues(before: readonly Venue[], after: readonly Venue[]): VenuePlan {
  const held = new Set(before);
  const byName = new Map(before.map((venue) => [spaceName(venue), venue]));
  const names = new Set(after.map(spaceName));
  return {
    kept: after.filter((venue) => held.has(venue)),
    changed: after.flatMap((venue) => {
      const known = byName.get(spaceName(venue));
      return known === undefined || held.has(venue) ? [] : [{ before: known, after: venue }];
    }),
    added: after.filter((venue) => !byName.has(spaceName(venue))),
    removed: before.filter((venue) => !names.has(spaceName(venue))),
  };
}

/** What the hub lends to whoever changes its venues. */
export interface ChangePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly ledger: Pick<Ledger, 'states' | 'unprove' | 'review'>;
  /** From now on these are held. */
  readonly hold: (venues: readonly Venue[]) => void;
  readonly arrive: (arrival: Arrival) => void;
  /** There may be something due. */
  readonly wake: () => void;
  /** Takes in what a venue says, and starts it with what is remembered of it. */
  readonly follow: (venue: Venue) => void;
  /** Takes in nothing more of it, and takes its end for no fault. */
  readonly unfollow: (venue: Venue) => void;
  /** No command begins at these from now on. */
  readonly closeTo: (venues: readonly Venue[]) => void;
  /** Commands at these that have no answer yet are unknown; resolves when each outcome is recorded. */
  readonly cutOff: (venues: readonly Venue[]) => Promise<void>;
  /** The hub is being stopped: nothing new is started. */
  readonly isStopping: () => boolean;
}

/** How long venues have to end: Deribit's logout takes a second at most, requests over HTTP a few. */
const LEAVE_WITHIN_MS = 10_000;
/** The `reason` of what a change of the configuration ends. */
const RELOADED = 'reloaded';

/**
 * Ends what is gone or changed, orders left as they are; then starts what is new. What that means is what a restart of
 * the relay would mean, for these sources alone: their sessions go stale, those of a changed venue are proved again by
 * the one in its place, which finds what the journal remembers, and those of a removed one are dropped after a day
 * (`forgetting.ts`), so that a line that is missing by mistake ends nothing. Resolves when all of it has begun, with
 * those that took other options over. Never rejects.
 */
export async function changeVenues(
  plan: VenuePlan,
  { venues, revisions }: VenueChanges,
  ports: ChangePorts,
): Promise<ReadonlySet<Venue>> {
  const { clock, log, ledger } = ports;
  const replaced = new Map(plan.changed.map(({ before, after }) => [before, after]));
  const going = [...plan.removed, ...replaced.keys()];
  const revised = revise(revisions ?? new Map(), ports);
  if (going.length > 0) {
    ports.closeTo(going);
    await leaveVenues(going, { orders: 'leave' }, { clock, log, withinMs: LEAVE_WITHIN_MS });
    // What the venue's end means for commands under way is said in this turn; the others are cut off.
    await new Promise<void>((resolve) => setImmediate(resolve));
    await ports.cutOff(going);
    await committed(ports);
    if (ports.isStopping()) return revised;
    for (const venue of going) darken(venue, ports);
    await committed(ports);
    if (ports.isStopping()) return revised;
  }
  ports.hold(venues);
  for (const venue of going) ports.unfollow(venue);
  const fresh = [...replaced.values(), ...plan.added];
  for (const venue of fresh) ports.follow(venue);
  // Other rules of safety hold at once, also for what the venue has not told anew yet.
  for (const venue of [...fresh, ...revised]) for (const description of venue.sources()) ledger.review(description);
  ports.wake();
  return revised;
}

/** Which of them took their options over. One that cannot is as it was. */
function revise(revisions: ReadonlyMap<Venue, unknown>, { log }: ChangePorts): ReadonlySet<Venue> {
  const revised = new Set<Venue>();
  for (const [venue, options] of revisions) {
    if (venue.revise === undefined) continue;
    try {
      venue.revise(options);
      revised.add(venue);
    } catch (thrown) {
      log.error(`${spaceName(venue)} did not take its options over`, { error: messageOf(thrown) });
    }
  }
  return revised;
}

/** Resolves when all that has arrived is committed, or never will be. */
function committed({ arrive }: ChangePorts): Promise<void> {
  return new Promise((resolve) =>
    arrive({ facts: [], describe: () => undefined, committed: () => resolve(), refused: () => resolve() }),
  );
}

/** A venue that has ended shows nothing, whether or not it has said so of each link, and what it has shown proves nothing. */
function darken(venue: Venue, { ledger, arrive }: ChangePorts): void {
  for (const description of venue.sources()) {
    const facts = linksOf(description, ledger.states());
    if (facts.length > 0) arrive({ facts, describe: () => description });
    ledger.unprove(description);
  }
}

function linksOf({ venue, source }: SourceDescription, states: ReadonlyMap<string, State>): readonly Fact[] {
  const state = states.get(sessionKey(venue, source, SOURCE_TOKEN));
  return state === undefined || isSessionState(state) ? [] : lostLinks(state, RELOADED);
}
