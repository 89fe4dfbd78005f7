import fc from 'fast-check';
import { formatCursor } from '../../src/model/cursor.js';
import { type EventData, type EventType, type SessionEvent, timestampOf } from '../../src/model/event.js';

/** One event, as the hub would have made it. `offset` orders it; `atMs` is its wall-clock time. */
export function eventOf<T extends EventType>(
  type: T,
  data: EventData<T>,
  where: { readonly subject?: string; readonly offset?: number; readonly epoch?: number; readonly atMs?: number } = {},
): SessionEvent<T> {
  const { subject = 'deribit.main.relay', offset = 1, epoch = 1, atMs = Date.UTC(2026, 10, 23, 8) } = where;
  const [venue = '', source = ''] = subject.split('.');
  return {
    id: formatCursor(epoch, offset),
    key: `${subject}.${type}#${offset}`,
    source: `/${venue}/${source}`,
    subject,
    type,
    time: timestampOf(atMs),
    data,
  } as unknown as SessionEvent<T>;
}

const COMMON = {
  venueTime: fc.integer({ min: 0, max: 4_102_444_800_000 }).map(timestampOf),
  reason: fc.string({ maxLength: 12 }),
  certain: fc.boolean(),
};
const when = fc.integer({ min: 0, max: 4_102_444_800_000 }).map(timestampOf);
const count = fc.nat({ max: 9 });
const ms = fc.nat({ max: 100_000 });
const word = fc.string({ maxLength: 8 });
const part = fc.constantFrom('BTC', 'btc_usd', 'sol_usdc', 'ETH');
const scope = fc.constantFrom('connection' as const, 'account' as const);
const carrier = fc.constantFrom('ws' as const, 'http' as const, 'hook' as const);
const mechanism = fc.constant('cancel_on_disconnect' as const);
const attributes = fc.dictionary(
  fc.constantFrom('scope', 'sid', 'wishes', 'mode', 'constructor'),
  fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.record({ heartbeat: fc.integer() })),
);

/** `required` always, `optional` or the common fields sometimes. */
function data<R extends object, O extends object>(
  required: { [K in keyof R]: fc.Arbitrary<R[K]> },
  optional: { [K in keyof O]: fc.Arbitrary<O[K]> },
): fc.Arbitrary<never> {
  const model = { ...COMMON, ...optional, ...required };
  return fc.record(model, { requiredKeys: Object.keys(required) as never }) as never;
}

const command = [
  { command: word, by: word, requestId: word },
  { error: fc.record({ code: fc.oneof(fc.integer(), word), message: word }), pending: fc.boolean() },
] as const;
const protection = [{ mechanism, scope, readAt: when }, {}] as const;

/** Data of each event type, as wide as its schema allows. */
export const anyData: { readonly [T in EventType]: fc.Arbitrary<EventData<T>> } = {
  'link.up': data({ carrier, generation: count, url: fc.constant('wss://test.deribit.com/ws/api/v2') }, {}),
  'link.down': data(
    {
      carrier,
      generation: count,
      code: fc.constantFrom(0, 1000, 1006, 4000),
      reason: word,
      clean: fc.boolean(),
      initiator: fc.constantFrom('relay', 'venue', 'network'),
    },
    {},
  ),
  'link.retrying': data({ carrier, generation: count, attempt: count, delayMs: ms }, {}),
  'session.opening': data({}, {}),
  'session.opened': data(
    {
      kind: fc.constantFrom('api', 'public', 'login', 'security', 'sso', 'brokerage', 'connection'),
      role: fc.constantFrom('trading', 'watch'),
    },
    {
      environment: fc.constantFrom('live', 'test', 'paper', 'demo'),
      expiresAt: when,
      scope: word,
      parent: fc.constant('tradernet.desk.login'),
      attributes,
    },
  ),
  'session.renewed': data({ how: fc.constantFrom('refresh', 'reauthenticate', 'observed') }, { expiresAt: when }),
  'session.restored': data({}, {}),
  'session.stale': data({ reason: fc.constantFrom('link_down', 'parent', 'relay_restarted', 'throttled') }, {}),
  'session.updated': data({ changed: attributes }, {}),
  'session.expiring': data({ expiresAt: when, inMs: ms, renewable: fc.boolean() }, {}),
  'session.expired': data({ expiresAt: when }, {}),
  'session.closed': data({ by: fc.constantFrom('user', 'relay', 'venue', 'unknown') }, {}),
  'session.lost': data(
    { reason: fc.constantFrom('link_down', 'evicted', 'no_bridge') },
    { code: fc.oneof(word, count) },
  ),
  'session.contested': data({}, {}),
  'session.attention': data(
    {
      action: fc.constantFrom('login', 'two_factor', 'relink', 'check_credentials', 'check_clock'),
      instructions: word,
    },
    { url: word },
  ),
  'session.step': data({ step: word }, { connection: word }),
  'session.removed': data({}, {}),
  'heartbeat.armed': data({ intervalMs: fc.constantFrom(10_000, 30_000) }, {}),
  'heartbeat.disarmed': data({}, {}),
  'heartbeat.missed': data({ silentMs: ms, missed: fc.integer({ min: 1, max: 9 }), intervalMs: ms }, {}),
  'heartbeat.resumed': data({ silentMs: ms }, {}),
  'heartbeat.pulse': data({}, { rttMs: ms }),
  'protection.armed': data(...protection),
  'protection.disarmed': data(...protection),
  'protection.unknown': data(...protection),
  'protection.triggered': fc.record({ mechanism, scope, certain: fc.constant(false as const) }),
  'venue.maintenance': data({ announced: fc.boolean() }, { what: part }),
  'venue.locked': data({}, { what: part }),
  'venue.degraded': data({}, { what: part }),
  'venue.normal': data({}, { what: part }),
  'account.locked': data({ what: fc.oneof(part, fc.constant('all')) }, {}),
  'account.unlocked': data({ what: fc.oneof(part, fc.constant('all')) }, {}),
  'source.throttled': data({ untilAt: when }, {}),
  'source.unthrottled': data({}, {}),
  'source.fault': data(
    { what: fc.constantFrom('bad_frame', 'unknown_frame', 'unknown_value', 'channel_refused', 'inconsistent') },
    { sample: fc.constantFrom('platform_state', 'user.lock', 'user.access_log', '{"a":') },
  ),
  'access.logged': data({ action: word }, { ip: word, country: word }),
  'safety.changed': data(
    {
      level: fc.constantFrom('safe', 'at_risk', 'unsafe', 'unknown'),
      reasons: fc.array(word, { maxLength: 2 }),
      notes: fc.array(word, { maxLength: 2 }),
      previous: fc.constantFrom('safe', 'at_risk', 'unsafe', 'unknown'),
    },
    {},
  ),
  'command.accepted': data(...command),
  'command.succeeded': data(...command),
  'command.failed': data(...command),
  'command.unknown': data(...command),
};

/** What happened, without its place in a journal. */
export interface Happening {
  readonly type: EventType;
  readonly data: SessionEvent['data'];
}

export function anyHappening(types: readonly EventType[]): fc.Arbitrary<Happening> {
  return fc.constantFrom(...types).chain((type) => anyData[type].map((found) => ({ type, data: found })));
}

/** Happenings as one session's events, in journal order from offset 1. */
export function journaled(subject: string, happenings: readonly Happening[]): readonly SessionEvent[] {
  return happenings.map(({ type, data: found }, index) =>
    eventOf(type, found as never, { subject, offset: index + 1, atMs: Date.UTC(2026, 10, 23, 8) + index * 10 }),
  );
}
