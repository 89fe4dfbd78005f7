import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Gap, SessionEvent, State } from '../../src/client/index.js';
import { compareCursors } from '../../src/model/cursor.js';
import { addressOf, matches } from '../../src/model/subject.js';
import { settle } from '../support/virtual-clock.js';
import type { Message, ModelRelay } from './model-relay.js';
import { closeStages, OPENED, SAFE, stage } from './stage.js';

afterEach(closeStages);

/** What a relay and a network may do to a subscriber. */
type Act =
  | { readonly do: 'happen'; readonly session: number; readonly what: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'drop' | 'repeat' | 'swap' }
  | { readonly do: 'lag' | 'lagBack' | 'beat' | 'silence' }
  | { readonly do: 'hangUp'; readonly code: number }
  | { readonly do: 'truncate' }
  | { readonly do: 'restart'; readonly keepsJournal: boolean }
  | { readonly do: 'blind'; readonly ms: number }
  | { readonly do: 'unsubscribe' };

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('happen' as const), session: fc.nat(2), what: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 15, 40, 3_000, 16_000) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('drop' as const, 'repeat' as const, 'swap' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('lag' as const, 'lagBack' as const, 'beat' as const, 'silence' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('hangUp' as const), code: fc.constantFrom(1001, 1006, 1012, 4408, 4500) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'truncate' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), keepsJournal: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('blind' as const), ms: fc.constantFrom(10, 5_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'unsubscribe' as const }) },
);

/**
 * Live frames alone are dropped, repeated and swapped: of a replay the protocol cannot show that its last frame is
 * missing (`caught_up` names no `previous`); TCP does not lose one either.
 */
function faultyLine(relay: ModelRelay) {
  let fault: 'drop' | 'repeat' | 'swap' | undefined;
  let kept: Message | undefined;
  relay.mangle = (message) => {
    const isLive = message.method === 'subscription' && relay.isLive;
    if (kept !== undefined) {
      const first = kept;
      kept = undefined;
      return isLive ? [message, first] : [first, message];
    }
    if (fault === undefined || !isLive) return [message];
    const now = fault;
    fault = undefined;
    switch (now) {
      case 'drop':
        return [];
      case 'repeat':
        return [message, message];
      case 'swap':
        kept = message;
        return [];
    }
  };
  return {
    next(what: 'drop' | 'repeat' | 'swap') {
      fault = what;
    },
    heal() {
      fault = undefined;
      kept = undefined;
      relay.mangle = (message) => [message];
    },
  };
}

function happen(relay: ModelRelay, session: number, what: number): void {
  const subject = `deribit.main.s${session}`;
  if (what === 0) relay.happen('session.opened', OPENED, subject);
  else if (what === 1) relay.happen('session.updated', { changed: { n: relay.journal.length } }, subject);
  else if (what === 2) relay.happen('safety.changed', SAFE, subject);
  else relay.happen('session.lost', { reason: 'link_down' }, subject);
}

/** Every event of the channel since the first one that counts is told once, in order, or lies in a gap that was told. */
function expectWhole(
  relay: ModelRelay,
  channel: string,
  from: string,
  told: readonly SessionEvent[],
  gaps: readonly Gap[],
): void {
  for (const [index, event] of told.entries()) {
    const before = told[index - 1];
    if (before !== undefined) expect(compareCursors(event.id, before.id)).toBeGreaterThan(0);
  }
  const heard = new Set(told.map(({ id }) => id));
  const missing = relay.journal
    .filter((event) => compareCursors(event.id, from) > 0 && matches(channel, addressOf(event)))
    .filter(({ id }) => !heard.has(id))
    .filter(({ id }) => !gaps.some((gap) => compareCursors(id, gap.from) > 0 && compareCursors(id, gap.to) <= 0));
  expect(missing.map(({ id }) => id)).toEqual([]);
}

describe('whatever the relay and the network do', () => {
  test('the output is the journal, each event once and in order, or the loss is announced; states end as the relay has them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), fc.nat(), async (acts, seed) => {
        const on = await stage({ settled: () => settle(2), random: () => (seed % 97) / 97 });
        const { relay } = on;
        const line = faultyLine(relay);
        const channel = 'deribit.>';
        const typed = '*.*.*.session.*';
        const gaps: Gap[] = [];
        const typedGaps: Gap[] = [];
        const all = on.events(channel, { onGap: (gap) => gaps.push(gap) });
        const some = on.events(typed, { onGap: (gap) => typedGaps.push(gap) });
        const states = on.states(channel);
        const safety = on.safety('deribit.main.s0');
        await on.settle();
        const from = relay.head;
        for (const one of acts) {
          switch (one.do) {
            case 'happen':
              happen(relay, one.session, one.what);
              break;
            case 'wait':
              await on.advance(one.ms);
              break;
            case 'drop':
            case 'repeat':
            case 'swap':
              line.next(one.do);
              break;
            case 'lag':
            case 'lagBack':
              relay.lag(one.do === 'lagBack');
              break;
            case 'beat':
              relay.beat();
              break;
            case 'silence':
              relay.beating = false;
              await on.advance(40_000);
              relay.beating = true;
              break;
            case 'hangUp':
              relay.hangUp(one.code);
              break;
            case 'truncate':
              relay.truncate(relay.journal.length);
              break;
            case 'restart':
              relay.restart(one.keepsJournal);
              break;
            case 'blind':
              relay.announce('blind', { sinceMs: 1_000 });
              await on.advance(one.ms);
              relay.announce('sighted', { cursor: relay.head });
              break;
            case 'unsubscribe':
              relay.unsubscribe(channel);
              break;
          }
          await settle(1);
        }
        line.heal();
        // A last lost frame shows at the heartbeat; a connection that was lost is back within its back-off.
        await on.advance(120_000);
        expect(on.status.state).toBe('open');
        expectWhole(relay, channel, from, all.values, gaps);
        expectWhole(relay, typed, from, some.values, typedGaps);
        const { view, states: held } = states.last ?? {};
        expect(view).toBe('live');
        expect(sorted(held?.values() ?? [])).toEqual(sorted(relay.states.values()));
        const s0 = relay.states.get('deribit.main.s0');
        expect(safety.last).toEqual(
          s0 !== undefined && 'safety' in s0 ? s0.safety : { level: 'unknown', reasons: ['not_found'], notes: [] },
        );
        expect([all.error, some.error, states.error, safety.error]).toEqual([
          undefined,
          undefined,
          undefined,
          undefined,
        ]);
        await on.client.close();
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});

function sorted(states: Iterable<State>): readonly State[] {
  return [...states].sort((a, b) => (a.key < b.key ? -1 : 1));
}
