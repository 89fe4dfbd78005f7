import { isDeepStrictEqual } from 'node:util';
import type { AuthOptions } from './edge/auth.js';
import type { Renewed } from './edge/edge.js';
import { LIVE_LIMITS, type Limits, type LiveLimits } from './edge/limits.js';
import { SessionRelayError } from './errors.js';
import type { ChangedVenues } from './hub/changes.js';
import type { Hub } from './hub/hub.js';
import type { Venue } from './venues/venue.js';

/** What a running relay is to take over. What is absent stays as it is. */
export interface RelayChanges {
  /**
   * All venues that there are from now on. The same object as before is kept, and its connection with it; another one of
   * the same name (`<venue>.<id>`) takes its place, with what the journal remembers; one that is not named is ended.
   */
  readonly venues?: readonly Venue[];
  /** Options that kept venues take over on the connection that they have, see {@link Venue.revise}. */
  readonly revisions?: ReadonlyMap<Venue, unknown>;
  readonly auth?: AuthOptions;
  readonly limits?: Partial<Limits>;
  /** Settings of the caller's own that have changed too and need a restart, by name: passed on in the result. */
  readonly needsRestart?: readonly string[];
}

/** What a reload has done. Venues by `<venue>.<id>`. */
export interface ReloadResult extends ChangedVenues {
  /** Whether other rules of who may do what are in use. */
  readonly auth: 'kept' | 'replaced';
  /** Limits that have another value now. */
  readonly limits: readonly (keyof LiveLimits)[];
  /** What became of the sockets that were open. */
  readonly subscribers: Renewed;
  /** What has changed and stays as it was until a restart: `limits.…` that belong to the transport, and what the caller named. */
  readonly needsRestart: readonly string[];
}

/** Reloads by what became of them, as `/metrics` tells it. */
export interface ReloadCounts {
  applied: number;
  /** Applied, but for what needs a restart. */
  incomplete: number;
  /** Nothing was changed. */
  refused: number;
}

/** Who serves subscribers, as far as it can be changed while it runs: one edge, or several. */
export interface Changeable {
  /** As they are now. */
  readonly limits: Limits;
  /**
   * Checks other rules of who may do what (absent: they stay), and everybody who is there by them; changes nothing.
   * Rejects where they cannot be used. What it resolves with puts them and other limits to use, in the turn of the call,
   * and cannot be refused.
   */
  prepare(auth: AuthOptions | undefined): Promise<(limits: Partial<LiveLimits>) => Renewed | Promise<Renewed>>;
}

export interface ReloadPorts {
  readonly hub: Hub;
  readonly front: Changeable;
  /** What the relay was started with. */
  readonly auth: AuthOptions;
  readonly venues: readonly Venue[];
  readonly counts: ReloadCounts;
  readonly isEnding: () => boolean;
}

export type Reload = (changes: RelayChanges | (() => RelayChanges | Promise<RelayChanges>)) => Promise<ReloadResult>;

/** See `Relay.reload`. */
export function createReload(ports: ReloadPorts): Reload {
  const { hub, front, counts } = ports;
  let { auth, venues } = ports;
  let last: Promise<unknown> = Promise.resolve();

  const mustRun = (): void => {
    if (ports.isEnding())
      throw new SessionRelayError('closed', 'the relay is ending: nothing of it is changed any more');
  };

  const run = async (given: Parameters<Reload>[0]): Promise<ReloadResult> => {
    mustRun();
    const changes = typeof given === 'function' ? await given() : given;
    const next = changes.auth;
    const rules = next === undefined || isSame(auth, next) ? undefined : next;
    const use = await front.prepare(rules);
    const { live, needsRestart } = splitLimits(front.limits, changes.limits ?? {});
    // In a turn of its own: no token is between its check and its use.
    await new Promise<void>((resolve) => setImmediate(resolve));
    mustRun();
    const wanted = changes.venues ?? venues;
    const begin = hub.prepareChange({
      venues: wanted,
      ...(changes.revisions === undefined ? {} : { revisions: changes.revisions }),
    });
    // From here on nothing is refused, and until the venues are ended all of it is one turn.
    const renewed = use(live);
    if (rules !== undefined) auth = rules;
    venues = wanted;
    const changed = await begin();
    const subscribers = await renewed;
    return {
      ...changed,
      auth: rules === undefined ? 'kept' : 'replaced',
      limits: LIVE_LIMITS.filter((name) => name in live),
      subscribers,
      needsRestart: [...needsRestart, ...(changes.needsRestart ?? [])],
    };
  };

  return (changes) => {
    const mine = last.then(async () => {
      try {
        const result = await run(changes);
        counts[result.needsRestart.length === 0 ? 'applied' : 'incomplete']++;
        return result;
      } catch (thrown) {
        counts.refused++;
        throw thrown;
      }
    });
    last = mine.catch(() => undefined);
    return mine;
  };
}

/** A file with keys may say something else under the same name. */
function isSame(before: AuthOptions, after: AuthOptions): boolean {
  const isFile = after.mode === 'jwt' && after.jwks !== undefined && !/^https?:\/\//.test(after.jwks);
  return !isFile && isDeepStrictEqual(before, after);
}

/** Limits that have another value: those that can be used now, and the names of the others. */
function splitLimits(
  before: Limits,
  after: Partial<Limits>,
): { readonly live: Partial<LiveLimits>; readonly needsRestart: readonly string[] } {
  const different = Object.entries(after).filter(
    ([name, value]) => value !== undefined && !isDeepStrictEqual(value, before[name as keyof Limits]),
  );
  const isLive = ([name]: readonly [string, unknown]): boolean => LIVE_LIMITS.some((one) => one === name);
  return {
    live: Object.fromEntries(different.filter(isLive)),
    needsRestart: different.filter((one) => !isLive(one)).map(([name]) => `limits.${name}`),
  };
}
