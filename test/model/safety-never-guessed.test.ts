import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENT_TYPES, type EventType, type Role, type VenueName } from '../../src/model/event.js';
import { PROTECTION_READ_MS } from '../../src/model/safety.js';
import { anyHappening, type Happening } from '../support/events.js';
import { healthyStage, safetyStage } from '../support/safety-stage.js';

/** Promise 7: the relay never says `safe` of what it cannot see. The evidence is looked for here in the bare story. */
interface Told extends Happening {
  readonly at: number;
}

const OF_SOURCE = (type: EventType): boolean => /^(link|venue|account|source)\./.test(type);
/** Session events that say what is so: neither the relay's loss of sight, nor its clock, nor a person's steps. */
const TELLS_STATUS = (type: EventType): boolean =>
  type.startsWith('session.') &&
  !['session.stale', 'session.step', 'session.removed', 'session.expiring'].includes(type);
const MOVES_STATUS = new Set<EventType>([
  'session.opening',
  'session.opened',
  'session.restored',
  'session.expired',
  'session.closed',
  'session.lost',
  'session.contested',
  'session.attention',
]);

const step = fc.oneof(
  { weight: 6, arbitrary: anyHappening(EVENT_TYPES.filter((type) => type !== 'session.removed')) },
  // What a good day is made of, so that `safe` is reached again and again.
  {
    weight: 8,
    arbitrary: anyHappening([
      'session.restored',
      'heartbeat.armed',
      'heartbeat.resumed',
      'protection.armed',
      'venue.normal',
      'account.unlocked',
      'source.unthrottled',
    ]),
  },
  { weight: 2, arbitrary: anyHappening(['link.up', 'link.down', 'session.stale']) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 90_000 }) },
);

/** Why `safe` would be a guess, by reading the story backwards; `undefined` where everything was said. */
function objection(story: readonly Told[], venue: VenueName, role: Role, now: number): string | undefined {
  const last = (wanted: (told: Told) => boolean): number => story.findLastIndex(wanted);
  const connect = last(({ type, data }) => type === 'link.up' && 'carrier' in data && data.carrier === 'ws');
  const status = last(({ type }) => MOVES_STATUS.has(type));
  if (status < 0 || !['session.opened', 'session.restored'].includes(story[status]?.type ?? '')) return 'not active';
  const stale = last(({ type }) => type === 'session.stale');
  if (last(({ type }) => TELLS_STATUS(type)) < stale && last(({ type }) => type === 'session.expiring') < stale) {
    if (role === 'trading') return 'stale';
  }
  if (last(({ type }) => TELLS_STATUS(type)) < stale && connect > stale)
    return 'connected anew, and the session not heard';
  if (venue !== 'deribit') return undefined;
  const kind = story.findLast(({ type }) => type === 'session.opened')?.data;
  const isPublic = kind !== undefined && 'kind' in kind && kind.kind === 'public';
  const since = (wanted: (told: Told) => boolean): boolean => last(wanted) > connect;
  const refused = (channel: string): boolean =>
    story.some(
      ({ data }) => 'what' in data && data.what === 'channel_refused' && 'sample' in data && data.sample === channel,
    );
  const isOf = (prefix: string) => (told: Told) => told.type.startsWith(prefix);
  if (!since(isOf('venue.')) && !refused('platform_state')) return 'venue unconfirmed';
  if (isPublic) return undefined;
  if (!since(isOf('account.')) && !refused('user.lock')) return 'account unconfirmed';
  if (role === 'watch') return undefined;
  const isHeartbeat = ({ type }: Told): boolean => type === 'heartbeat.armed' || type === 'heartbeat.disarmed';
  if (!since(isHeartbeat)) return 'heartbeat unconfirmed';
  if (story[last(isHeartbeat)]?.type === 'heartbeat.disarmed') return 'heartbeat off';
  const isRead = ({ type, data }: Told): boolean =>
    /^protection\.(armed|disarmed|unknown)$/.test(type) && 'scope' in data && data.scope === 'connection';
  const read = story[last(isRead)];
  if (!since(isRead) || read === undefined) return 'protection unconfirmed';
  if (read.type !== 'protection.armed') return 'protection not armed';
  if (now - read.at >= PROTECTION_READ_MS) return 'protection read too long ago';
  return undefined;
}

for (const [venue, role] of [
  ['deribit', 'trading'],
  ['deribit', 'watch'],
  ['tradernet', 'trading'],
  ['ibkr', 'watch'],
] as const) {
  test(`${venue}, ${role}: safe is never the verdict without every input confirmed, whatever happens`, () => {
    let safe = 0;
    fc.assert(
      fc.property(fc.boolean(), fc.array(step, { maxLength: 40 }), (healthy, steps) => {
        const stage = healthy ? healthyStage({ venue, role }) : safetyStage({ venue, role });
        let now = 0;
        const story: Told[] = [];
        if (healthy) {
          const beginning: readonly (readonly [EventType, object])[] = [
            ['link.up', { carrier: venue === 'deribit' ? 'ws' : 'http' }],
            ['session.opened', { kind: 'api' }],
            ['heartbeat.armed', {}],
            ['protection.armed', { scope: 'connection' }],
            ['venue.normal', {}],
            ['account.unlocked', {}],
          ];
          for (const [type, data] of beginning) story.push({ type, data: data as never, at: 0 });
        }
        for (const one of steps) {
          if (typeof one === 'number') {
            stage.wait(one);
            now += one;
          } else {
            // The role is the source's configuration, and the venue's clock agrees: neither is what is in question.
            const { venueTime: _, ...rest } = one.data;
            const data = (one.type === 'session.opened' ? { ...rest, role } : rest) as never;
            if (OF_SOURCE(one.type)) stage.saySource(one.type, data);
            else stage.say(one.type, data);
            story.push({ type: one.type, data, at: now });
          }
          if (stage.state === undefined) continue;
          const { level } = stage.verdict();
          if (level !== 'safe') continue;
          safe++;
          expect(objection(story, venue, stage.state.role, now)).toBeUndefined();
        }
      }),
      { numRuns: 1_000 },
    );
    expect(safe).toBeGreaterThan(500); // else the property says nothing
  });
}
