import type { EventData, EventType, SessionEvent } from '../client/index.js';
import { LEVEL_WORDS, reasonWords } from './reasons.js';
import { countdown, milliseconds } from './times.js';

type Words = { readonly [T in EventType]: (data: EventData<T>) => string };

const part = (what: string | undefined): string => (what === undefined ? 'the venue' : what);
const because = (reason: string | undefined): string =>
  reason === undefined || reason === '' ? '' : `: ${reasonWords(reason)}`;
const failed = (error: { readonly code: number | string; readonly message: string } | undefined): string =>
  error === undefined ? '' : `: ${error.code} ${error.message}`;

/** What an event says, in one line. */
const WORDS: Words = {
  'link.up': ({ carrier, url }) => `connected by ${carrier} to ${url}`,
  'link.down': ({ carrier, code, reason, initiator }) =>
    `connection by ${carrier} down, ended by the ${initiator} (${code}${reason === '' ? '' : ` ${reason}`})`,
  'link.retrying': ({ carrier, attempt, delayMs }) =>
    `connecting by ${carrier} again in ${milliseconds(delayMs)}, attempt ${attempt}`,
  'session.opening': () => 'session is being established',
  'session.opened': ({ kind, role, environment }) =>
    `session open: ${[kind, role, environment].filter((one) => one !== undefined).join(', ')}`,
  'session.renewed': ({ how }) => `session extended ${RENEWED[how]}`,
  'session.restored': () => 'session confirmed to work again',
  'session.stale': ({ reason }) => `session out of sight: ${STALE[reason]}`,
  'session.updated': ({ changed }) => `attributes changed: ${Object.keys(changed).join(', ')}`,
  'session.expiring': ({ inMs, renewable, reason }) =>
    `session ends in ${countdown(inMs)}, ${renewable ? 'renewed by the relay' : 'only a person can renew it'}${because(reason)}`,
  'session.expired': () => 'session expired',
  'session.closed': ({ by, reason }) => `session closed by ${by}${because(reason)}`,
  'session.lost': ({ reason, code }) => `session lost: ${reasonWords(reason)}${code === undefined ? '' : ` (${code})`}`,
  'session.contested': () => 'another login holds or takes the session',
  'session.attention': ({ instructions }) => `needs a person: ${instructions}`,
  'session.step': ({ step }) => `step of a login: ${step}`,
  'session.removed': () => 'session forgotten: it ended long ago',
  'heartbeat.armed': ({ intervalMs }) => `heartbeat on, every ${intervalMs / 1_000} s`,
  'heartbeat.disarmed': () => 'heartbeat off',
  'heartbeat.missed': ({ missed, silentMs }) =>
    `heartbeats missing: ${missed}, silent for ${(silentMs / 1_000).toFixed(0)} s`,
  'heartbeat.resumed': ({ silentMs }) => `heartbeat is back after ${(silentMs / 1_000).toFixed(0)} s`,
  'heartbeat.pulse': ({ rttMs }) => (rttMs === undefined ? 'heartbeat' : `heartbeat, ${milliseconds(rttMs)}`),
  'protection.armed': ({ scope }) => `cancel-on-disconnect armed, ${scope} scope`,
  'protection.disarmed': ({ scope }) => `cancel-on-disconnect off, ${scope} scope`,
  'protection.unknown': ({ scope }) => `cancel-on-disconnect unknown, ${scope} scope`,
  'protection.triggered': ({ scope }) =>
    `cancel-on-disconnect triggered, ${scope} scope: the venue cancels, or soon will`,
  'venue.maintenance': ({ what, announced }) =>
    `${part(what)} ${announced ? 'announces maintenance' : 'is in maintenance'}`,
  'venue.locked': ({ what }) => `${part(what)} is locked`,
  'venue.degraded': ({ what }) => `${part(what)} is degraded`,
  'venue.normal': ({ what }) => `${part(what)} is normal`,
  'account.locked': ({ what }) => `account locked: ${what}`,
  'account.unlocked': ({ what }) => `account unlocked: ${what}`,
  'source.throttled': ({ untilAt }) => `throttled by the venue until ${untilAt}`,
  'source.unthrottled': () => 'not throttled any more',
  'source.fault': ({ what, sample }) =>
    `not understood: ${what.replaceAll('_', ' ')}${sample === undefined ? '' : `: ${sample}`}`,
  'access.logged': ({ action, country }) =>
    `venue's security log: ${action}${country === undefined ? '' : ` from ${country}`}`,
  'safety.changed': ({ level, previous, reasons, notes }) => {
    const now = LEVEL_WORDS[level].toLowerCase();
    const turn = level === previous ? `still ${now}` : `${LEVEL_WORDS[previous].toLowerCase()} → ${now}`;
    const why = reasons.length === 0 ? '' : `: ${reasons.map(reasonWords).join('; ')}`;
    return `${turn}${why}${notes.length === 0 ? '' : ` (noted: ${notes.map(reasonWords).join('; ')})`}`;
  },
  'command.accepted': ({ command, by }) => `${command} asked for by ${by}`,
  'command.succeeded': ({ command, pending }) => `${command} done${pending === true ? ', carried out later' : ''}`,
  'command.failed': ({ command, error }) => `${command} failed${failed(error)}`,
  'command.unknown': ({ command }) => `${command}: whether it was done is unknown`,
};

const RENEWED: { readonly [H in EventData<'session.renewed'>['how']]: string } = {
  refresh: 'by a refresh',
  reauthenticate: 'by a new login',
  observed: 'as the venue says',
};

const STALE: { readonly [R in EventData<'session.stale'>['reason']]: string } = {
  link_down: 'the connection to the venue is down',
  parent: 'the session that it lives in is not active',
  relay_restarted: 'the relay has restarted',
  throttled: 'the venue has throttled the source',
};

export function eventWords(event: SessionEvent): string {
  return wordsOf(event.type)(event.data);
}

/** `type` and `data` belong together (`SessionEvent`), which the compiler cannot follow through the table. */
function wordsOf(type: EventType): (data: SessionEvent['data']) => string {
  return WORDS[type] as (data: SessionEvent['data']) => string;
}

/** How an event weighs: what a mark beside it says. */
export type Weight = 'bad' | 'doubt' | 'good' | 'plain';

const BAD = new Set<EventType>([
  'link.down',
  'session.lost',
  'session.expired',
  'session.contested',
  'session.attention',
  'heartbeat.missed',
  'protection.triggered',
  'venue.locked',
  'account.locked',
  'command.failed',
]);
const DOUBT = new Set<EventType>([
  'link.retrying',
  'session.stale',
  'session.expiring',
  'session.closed',
  'heartbeat.disarmed',
  'protection.disarmed',
  'protection.unknown',
  'venue.maintenance',
  'venue.degraded',
  'source.throttled',
  'source.fault',
  'command.unknown',
]);
const GOOD = new Set<EventType>([
  'link.up',
  'session.opened',
  'session.restored',
  'session.renewed',
  'heartbeat.resumed',
  'protection.armed',
  'venue.normal',
  'account.unlocked',
  'command.succeeded',
]);

export function weightOf(event: SessionEvent): Weight {
  if (event.type === 'safety.changed') {
    const { level } = event.data;
    return level === 'unsafe' ? 'bad' : level === 'safe' ? 'good' : 'doubt';
  }
  if (BAD.has(event.type)) return 'bad';
  if (DOUBT.has(event.type)) return 'doubt';
  return GOOD.has(event.type) ? 'good' : 'plain';
}
