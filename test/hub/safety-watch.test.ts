import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSafetyWatch, type Judgement, type SafetyWatch } from '../../src/hub/safety-watch.js';
import { EVENT_TYPES, type EventType, timestampOf, type VenueName } from '../../src/model/event.js';
import { fold, foldPulse, isSessionState } from '../../src/model/fold.js';
import { defaultSafetyPolicy, type SafetyPolicy } from '../../src/model/safety.js';
import type { SourceState, State } from '../../src/model/session.js';
import { anyHappening, eventOf, type Happening } from '../support/events.js';
import { VirtualClock } from '../support/virtual-clock.js';

const SESSION = { deribit: 'deribit.main.relay', ibkr: 'ibkr.main.brokerage' } as const;
const OF_SOURCE = /^(link|venue|account|source)\./;

type Step =
  | Happening
  | { readonly waitMs: number }
  | { readonly jumpMs: number }
  | { readonly policy: Partial<SafetyPolicy> }
  | 'unprove'
  | 'worsenOnly';

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 60, arbitrary: anyHappening(EVENT_TYPES.filter((type) => type !== 'session.removed')) },
  // What moves no verdict, and what makes a good day.
  {
    weight: 100,
    arbitrary: anyHappening([
      'access.logged',
      'heartbeat.pulse',
      'session.restored',
      'heartbeat.armed',
      'protection.armed',
      'venue.normal',
      'account.unlocked',
    ]),
  },
  { weight: 60, arbitrary: fc.oneof(fc.nat({ max: 4_000 }), fc.nat({ max: 200_000 })).map((waitMs) => ({ waitMs })) },
  { weight: 10, arbitrary: fc.integer({ min: -43_200_000, max: 43_200_000 }).map((jumpMs) => ({ jumpMs })) },
  {
    weight: 25,
    arbitrary: fc
      .record({
        protection: fc.constantFrom('required', 'preferred', 'ignored'),
        only: fc.constantFrom([], ['BTC', 'btc_usd']),
        graceMs: fc.constantFrom(1_000, 60_000),
        quiet: fc.constantFrom([], ['07:00-09:30'], ['23:00-01:00']),
      })
      .map((policy) => ({ policy })),
  },
  { weight: 3, arbitrary: fc.constant('unprove' as const) },
  { weight: 1, arbitrary: fc.constant('worsenOnly' as const) },
);

/** One session, judged after each step and whenever time alone asks for it; `copies`: nothing can be told to be the same. */
function follow(clock: VirtualClock, venue: keyof typeof SESSION, copies: boolean) {
  const key = SESSION[venue];
  const sourceKey = `${venue}.main.-`;
  const states = new Map<string, State>();
  const said: (Judgement & { readonly at: number })[] = [];
  let policy: SafetyPolicy = defaultSafetyPolicy(venue as VenueName);
  let offset = 0;
  const watch: SafetyWatch = createSafetyWatch({ clock, due: () => judge() });
  const put = (event: Parameters<typeof fold>[1]): void => {
    const after = fold(states.get(event.subject), event);
    if (after !== undefined) states.set(event.subject, after);
  };
  const judge = (): void => {
    const state = states.get(key);
    if (state === undefined || !isSessionState(state)) return;
    const source = states.get(sourceKey) as SourceState | undefined;
    const judgement = copies
      ? watch.judge(state, source && { ...source, attributes: { ...source.attributes } }, { ...policy })
      : watch.judge(state, source, policy);
    if (judgement === undefined) return;
    said.push({ ...judgement, at: clock.monotonic() });
    const { previous, level, reasons, notes } = judgement;
    put(eventOf('safety.changed', { level, reasons, notes, previous }, { subject: key, offset: ++offset }));
  };
  const happen = ({ type, data }: { readonly type: EventType; readonly data: object }): void => {
    const subject = OF_SOURCE.test(type) ? sourceKey : key;
    const event = eventOf(type, data as never, { subject, offset: ++offset, atMs: clock.now() });
    if (event.type === 'heartbeat.pulse') {
      const state = states.get(subject);
      if (state !== undefined) states.set(subject, foldPulse(state, event));
    } else put(event);
    if (subject === sourceKey) watch.observe(sourceKey, event);
    watch.observe(key, event);
    judge();
  };
  happen({ type: 'link.up', data: { carrier: 'ws', generation: 1, url: 'wss://venue.example' } });
  happen({ type: 'session.opened', data: { kind: venue === 'deribit' ? 'api' : 'brokerage', role: 'trading' } });
  happen({ type: 'venue.normal', data: {} });
  happen({ type: 'account.unlocked', data: { what: 'all' } });
  happen({ type: 'heartbeat.armed', data: { intervalMs: 10_000 } });
  const readAt = timestampOf(clock.now());
  happen({ type: 'protection.armed', data: { mechanism: 'cancel_on_disconnect', scope: 'connection', readAt } });
  return {
    said,
    take(one: Step): void {
      if (one === 'unprove') watch.unprove(key);
      else if (one === 'worsenOnly') watch.worsenOnly();
      else if ('policy' in one) policy = { ...policy, ...one.policy };
      else if ('type' in one) happen(one);
      judge();
    },
  };
}

test.each(['deribit', 'ibkr'] as const)(
  'a verdict that is not looked at again is the one that another look would find, at every moment: %s',
  async (venue) => {
    let judgements = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const clock = new VirtualClock(undefined, () => Promise.resolve());
        const kept = follow(clock, venue, false);
        const plain = follow(clock, venue, true);
        for (const one of steps) {
          if (typeof one === 'object' && 'waitMs' in one) await clock.advance(one.waitMs);
          if (typeof one === 'object' && 'jumpMs' in one) clock.jump(one.jumpMs);
          kept.take(one);
          plain.take(one);
          expect(kept.said).toEqual(plain.said);
        }
        // What time alone still brings, it brings to both.
        await clock.advance(700_000);
        expect(kept.said).toEqual(plain.said);
        judgements += plain.said.length;
      }),
      { numRuns: 300 },
    );
    expect(judgements).toBeGreaterThan(1_000);
  },
);
