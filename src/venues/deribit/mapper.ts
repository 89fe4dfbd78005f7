import { type EventData, type EventType, type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import { countFault, type FaultKind } from '../faults.js';
import { CODE } from './failures.js';
import type { PlatformRecord } from './memory.js';
import {
  CHANNEL,
  type PlatformState,
  type PlatformStatus,
  parseAccessLog,
  parseHeartbeat,
  parsePlatformState,
  parsePublicMethods,
  parseStatus,
  parseSubscription,
  parseUserLock,
  parseUserLocks,
} from './messages.js';

/** What the venue has said of itself and of the account, as far as it decides what is news. */
export interface MapperState {
  readonly source: string;
  /** The session's token. */
  readonly session: string;
  /**
   * Whether it is known what was told last of the venue's level (`venue`) and the account's locks (`account`), in this
   * life of the relay or one before: until then everything is said anew.
   */
  readonly told: { readonly venue: boolean; readonly account: boolean };
  /** Parts that are in trouble: locked indices, and {@link PUBLIC_METHODS}. */
  readonly parts: ReadonlySet<string>;
  /** Trading is locked as a whole. */
  readonly locked: boolean;
  readonly maintenance: 'none' | 'announced' | 'begun';
  /** Maintenance was announced on this connection: what was announced on another one may have come and gone since. */
  readonly heard: boolean;
  /** Currencies, or `all`. */
  readonly accountLocked: ReadonlySet<string>;
  /** Faults since the last connect, by their place: repeats are counted, not told. */
  readonly faults: ReadonlyMap<string, number>;
}

/** The part that stands for public requests without authentication. */
export const PUBLIC_METHODS = 'public_methods';
/** Places of faults that are told apart on one connection, and so much of a place's name. */
const MAX_FAULT_PLACES = 64;
const MAX_PLACE_CHARACTERS = 128;
/** Parts in trouble, and locks of an account, that are followed: the venue has some 150 indices and 20 currencies. */
export const MAX_PARTS = 1_000;

/** What the mapper takes: frames that nobody asked for, and replies that say how things stand. */
export type Frame =
  | { readonly kind: 'opened' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Json }
  /** The `result` of public/status. `confirms`: the first since the connect, which is told even if nothing changed. */
  | { readonly kind: 'status'; readonly result: Json; readonly confirms: boolean }
  /** The `result` of private/get_user_locks. */
  | { readonly kind: 'user_locks'; readonly result: Json; readonly confirms: boolean }
  /** An error without an id, or any that concerns the venue as a whole. */
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  /** Not JSON, or no JSON-RPC. */
  | { readonly kind: 'bad'; readonly text: string }
  /** Larger than the socket takes: nobody has read it. */
  | { readonly kind: 'oversized' }
  /** The venue left a channel out of what it confirmed, or does not tell what the channel is about. */
  | { readonly kind: 'refused'; readonly channel: string }
  /** What the venue said fits neither what was asked nor what it said before. */
  | { readonly kind: 'inconsistent'; readonly what: string };

export type Mapped = readonly [MapperState, readonly Fact[]];

/** The state at a start; `recalled`: what was told last in a life before, of which nothing is confirmed. */
export function initialMapperState(source: string, session: string, recalled: PlatformRecord = {}): MapperState {
  const { platform, locks } = recalled;
  return {
    source,
    session,
    told: { venue: platform !== undefined, account: locks !== undefined },
    parts: new Set(platform?.parts),
    locked: platform?.locked ?? false,
    maintenance: platform?.maintenance ?? 'none',
    heard: false,
    accountLocked: new Set(locks),
    faults: new Map(),
  };
}

/** What must be found again after a restart, where it differs from what `before` would have said. */
export function platformMemory(state: MapperState, before: MapperState): { readonly [key: string]: Json } | undefined {
  if (state === before) return undefined;
  const { told, parts, locked, maintenance, accountLocked } = state;
  const isSameLevel = parts === before.parts && locked === before.locked && maintenance === before.maintenance;
  const memory: { [key: string]: Json } = {};
  if (told.venue && !(before.told.venue && isSameLevel)) memory.platform = { parts: [...parts], locked, maintenance };
  if (told.account && !(before.told.account && accountLocked === before.accountLocked))
    memory.locks = [...accountLocked];
  return Object.keys(memory).length === 0 ? undefined : memory;
}

/** Takes in one frame. Pure; never throws, whatever the frame holds. */
export function mapFrame(state: MapperState, frame: Frame, generation: number): Mapped {
  const [after, facts] = take(state, frame);
  return [after, facts.map((fact) => numbered(fact, generation))];
}

/** Copied field by field: a spread costs as much as all else that becomes of a frame. */
function numbered({ source, session, type, data, key }: Fact, generation: number): Fact {
  const fact =
    key === undefined ? { source, session, type, data, generation } : { source, session, type, data, key, generation };
  return fact as Fact;
}

function take(state: MapperState, frame: Frame): Mapped {
  switch (frame.kind) {
    case 'opened':
      return [{ ...state, heard: false, faults: new Map() }, []];
    case 'ended':
      // Announced, and now the socket is gone: it has begun, as far as one can tell.
      return state.maintenance === 'announced' ? beginMaintenance(state, { certain: false }) : [state, []];
    case 'notification':
      return takeNotification(state, frame.method, frame.params);
    case 'status':
      return takeStatus(state, frame.result, frame.confirms);
    case 'user_locks':
      return takeUserLocks(state, frame.result, frame.confirms);
    case 'error':
      if (frame.code === CODE.maintenance) return beginMaintenance(state, {});
      if (frame.code === CODE.publicMethodsOff) return setPart(state, PUBLIC_METHODS, true);
      return noteFault(state, 'inconsistent', `error ${frame.code}`, `${frame.code} ${frame.message}`);
    case 'bad':
      return noteFault(state, 'bad_frame', 'frame', frame.text);
    case 'oversized':
      return noteFault(state, 'bad_frame', 'oversized', 'a frame larger than the socket takes');
    case 'refused':
      return noteFault(state, 'channel_refused', frame.channel, frame.channel);
    case 'inconsistent':
      return noteFault(state, 'inconsistent', frame.what, frame.what);
  }
}

function takeNotification(state: MapperState, method: string, params: Json): Mapped {
  if (method === 'heartbeat') {
    const type = parseHeartbeat(params);
    // Both are signs of life, and answered by the feed.
    if (type === 'heartbeat' || type === 'test_request') return [state, []];
    return unknownValue(state, method, params);
  }
  if (method === 'test_request') return [state, []];
  if (method !== 'subscription') return noteFault(state, 'unknown_frame', method, method);
  const told = parseSubscription(params);
  if (told === undefined) return unknownValue(state, method, params);
  const { channel, data } = told;
  switch (channel) {
    case CHANNEL.platformState: {
      const platform = parsePlatformState(data);
      return platform === undefined ? unknownValue(state, channel, data) : takePlatformState(state, platform);
    }
    case CHANNEL.publicMethods: {
      const allowed = parsePublicMethods(data);
      return allowed === undefined ? unknownValue(state, channel, data) : setPart(state, PUBLIC_METHODS, !allowed);
    }
    case CHANNEL.userLock: {
      const lock = parseUserLock(data);
      return lock === undefined ? unknownValue(state, channel, data) : setAccountLock(state, lock.what, lock.locked);
    }
    case CHANNEL.accessLog: {
      const entry = parseAccessLog(data);
      if (entry === undefined) return unknownValue(state, channel, data);
      const { source, session } = state;
      return [state, [{ source, session, type: 'access.logged', data: entry.logged, key: entry.id }]];
    }
    default:
      return noteFault(state, 'unknown_frame', channel, channel);
  }
}

/** Recorded: some 150 frames at subscription, one an index, locked or not. Only what changed is news. */
function takePlatformState(state: MapperState, platform: PlatformState): Mapped {
  if ('price_index' in platform) {
    return setPart(state, platform.price_index, platform.locked, platform.reasons);
  }
  if (platform.maintenance) {
    if (state.maintenance !== 'none') return [state.heard ? state : { ...state, heard: true }, []];
    const after: MapperState = { ...state, maintenance: 'announced', heard: true };
    return [after, [ofSource(state, 'venue.maintenance', { announced: true })]];
  }
  if (state.maintenance === 'none') return [state, []];
  const after: MapperState = { ...state, maintenance: 'none', heard: false };
  return [after, tellLevel(after)];
}

function beginMaintenance(state: MapperState, how: { readonly certain?: false }): Mapped {
  if (state.maintenance === 'begun') return [state, []];
  const after: MapperState = { ...state, maintenance: 'begun' };
  return [after, [ofSource(state, 'venue.maintenance', { announced: false, ...how })]];
}

function setPart(state: MapperState, part: string, inTrouble: boolean, reasons: readonly string[] = []): Mapped {
  if (state.parts.has(part) === inTrouble) return [state, []];
  if (inTrouble && state.parts.size >= MAX_PARTS) return tooManyParts(state, part);
  const parts = new Set(state.parts);
  if (inTrouble) parts.add(part);
  else parts.delete(part);
  const reason = reasons.length === 0 ? {} : { reason: reasons.join(', ') };
  const type = inTrouble ? 'venue.degraded' : 'venue.normal';
  return [{ ...state, parts }, [ofSource(state, type, { what: part, ...reason })]];
}

/**
 * The answer that confirms the venue's level after a connect: said even where nothing changed, because a level that
 * nobody confirmed on this connection is no ground for `safe`. That the venue answers at all ends a maintenance which
 * had begun; one that is announced on this connection stands until it begins, or is taken back.
 */
function takeStatus(given: MapperState, result: Json, confirms: boolean): Mapped {
  const status = parseStatus(result);
  if (status === undefined) return unknownValue(given, 'public/status', result);
  const [before, faults] = status.parts.length > MAX_PARTS ? tooManyParts(given, 'public/status') : [given, []];
  const [after, facts] = followStatus(before, { ...status, parts: status.parts.slice(0, MAX_PARTS) }, confirms);
  return [after, [...faults, ...facts]];
}

function followStatus(before: MapperState, status: PlatformStatus, confirms: boolean): Mapped {
  const kept = before.parts.has(PUBLIC_METHODS) ? [PUBLIC_METHODS] : [];
  const after: MapperState = {
    ...before,
    told: { ...before.told, venue: true },
    parts: sameOr(before.parts, [...(status.locked === 'none' ? [] : status.parts), ...kept]),
    locked: status.locked === 'all',
    maintenance: before.heard ? 'announced' : 'none',
  };
  const wholeEnded = (before.locked && !after.locked) || before.maintenance !== after.maintenance;
  const isAnew = !before.told.venue || wholeEnded;
  if (!after.locked && (isAnew || (confirms && troubles(after).length === 0))) return [after, tellLevel(after)];
  const ended = [...before.parts].filter((part) => !after.parts.has(part));
  const normal = ended.map((what) => ofSource(after, 'venue.normal', { what }));
  return [after, [...normal, ...(confirms || isAnew ? troubles(after) : troubles(after, before))]];
}

/**
 * The whole level, from nothing: what was published before does not count any more. A venue that is locked was never
 * normal meanwhile: what else was wrong before ends with its lock.
 */
function tellLevel(state: MapperState): readonly Fact[] {
  return state.locked ? troubles(state) : [ofSource(state, 'venue.normal', {}), ...troubles(state)];
}

/** The same set where it holds the same: what did not change is not remembered anew. */
function sameOr(before: ReadonlySet<string>, now: readonly string[]): ReadonlySet<string> {
  const after = new Set(now);
  return before.size === after.size && now.every((one) => before.has(one)) ? before : after;
}

/** What is wrong, or what of it was not wrong before. */
function troubles(state: MapperState, before?: MapperState): readonly Fact[] {
  const isNew = state.locked && before?.locked !== true;
  const parts = [...state.parts].filter((part) => before?.parts.has(part) !== true);
  const isAnnounced = state.maintenance === 'announced' && before?.maintenance !== 'announced';
  return [
    ...(isNew ? [ofSource(state, 'venue.locked', {})] : []),
    ...parts.map((what) => ofSource(state, 'venue.degraded', { what })),
    ...(isAnnounced ? [ofSource(state, 'venue.maintenance', { announced: true })] : []),
  ];
}

function setAccountLock(state: MapperState, what: string, locked: boolean): Mapped {
  if (state.accountLocked.has(what) === locked && (what !== 'all' || locked || state.accountLocked.size === 0)) {
    return [state, []];
  }
  // A lock of everything is never one too many.
  if (locked && what !== 'all' && state.accountLocked.size >= MAX_PARTS) return tooManyParts(state, what);
  const accountLocked = new Set(what === 'all' && !locked ? [] : state.accountLocked);
  if (locked) accountLocked.add(what);
  else accountLocked.delete(what);
  const type = locked ? 'account.locked' : 'account.unlocked';
  return [{ ...state, accountLocked }, [ofSource(state, type, { what })]];
}

/** Confirms the account's locks after a connect, changed or not; later answers tell what changed. */
function takeUserLocks(given: MapperState, result: Json, confirms: boolean): Mapped {
  const locks = parseUserLocks(result);
  if (locks === undefined) return unknownValue(given, 'private/get_user_locks', result);
  const whats = new Set(locks.filter(({ locked }) => locked).map(({ what }) => what));
  const [before, faults] = whats.size > MAX_PARTS ? tooManyParts(given, 'private/get_user_locks') : [given, []];
  // A lock of everything is never among those that are left out.
  const ordered = [...whats].toSorted((a, b) => Number(b === 'all') - Number(a === 'all'));
  const [after, facts] = followUserLocks(before, ordered.slice(0, MAX_PARTS), confirms);
  return [after, [...faults, ...facts]];
}

function followUserLocks(before: MapperState, locked: readonly string[], confirms: boolean): Mapped {
  const accountLocked = sameOr(before.accountLocked, locked);
  const after: MapperState = { ...before, told: { ...before.told, account: true }, accountLocked };
  const tell = (type: 'account.locked' | 'account.unlocked', what: Iterable<string>): readonly Fact[] =>
    [...what].map((one) => ofSource(after, type, { what: one }));
  if (!before.told.account || (confirms && accountLocked.size === 0)) {
    // An account that is locked as a whole was never unlocked meanwhile.
    const cleared = accountLocked.has('all') ? [] : tell('account.unlocked', ['all']);
    return [after, [...cleared, ...tell('account.locked', accountLocked)]];
  }
  const ended = [...before.accountLocked].filter((what) => !accountLocked.has(what));
  const begun = [...accountLocked].filter((what) => confirms || !before.accountLocked.has(what));
  return [after, [...tell('account.unlocked', ended), ...tell('account.locked', begun)]];
}

function tooManyParts(state: MapperState, part: string): Mapped {
  return noteFault(state, 'inconsistent', 'parts', `more than ${MAX_PARTS} parts in trouble: ${part}`);
}

function unknownValue(state: MapperState, place: string, value: Json): Mapped {
  return noteFault(state, 'unknown_value', place, `${place} ${JSON.stringify(value)}`);
}

function noteFault(state: MapperState, what: FaultKind, place: string, sample: string): Mapped {
  const kind = `${what} ${place.slice(0, MAX_PLACE_CHARACTERS)}`;
  const { faults, told } = countFault(state.faults, kind, what, sample, MAX_FAULT_PLACES);
  return [{ ...state, faults }, told === undefined ? [] : [ofSource(state, 'source.fault', told)]];
}

function ofSource<T extends EventType>({ source }: MapperState, type: T, data: EventData<T>): Fact {
  return { source, session: SOURCE_TOKEN, type, data } as Fact;
}
