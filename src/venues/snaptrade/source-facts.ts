import { type EventData, type EventType, type Fact, SOURCE_TOKEN, timestampOf } from '../../model/event.js';
import { countFault, type FaultKind } from '../faults.js';
import { type ConnectionRow, type PortalEvent, present } from './messages.js';
import type { MapperState } from './state.js';

/** What is said of a source as a whole, and of portals: pure, like everything that makes facts. */
export type Mapped = readonly [MapperState, readonly Fact[]];

/** Steps that a person went through in a portal: events without a state. */
export function portalFacts(state: MapperState, events: readonly PortalEvent[]): readonly Fact[] {
  return events.map((event) =>
    fact(
      state,
      `portal-${event.portal}`,
      'session.step',
      present({
        step: event.step,
        venueTime: timestampOf(event.createdMs),
        connection: event.connection,
        reason: event.statusCode === undefined ? undefined : `the broker answered with ${event.statusCode}`,
      }),
      `event:${event.id}`,
    ),
  );
}

/** A step that a webhook tells, of a connection or (`-`) of the user as a whole. */
export function stepFact(
  state: MapperState,
  connection: string | undefined,
  data: EventData<'session.step'>,
  key: string,
): Fact {
  return fact(state, connection ?? SOURCE_TOKEN, 'session.step', data, key);
}

/** Only a person can mend the source's own credentials, or the clock. The same reason (the venue's code) is told once. */
export function wantAttention(
  state: MapperState,
  action: 'check_credentials' | 'check_clock',
  code: string | number,
  instructions: string,
): Mapped {
  const asked = `${action} ${code}`;
  if (state.asked === asked) return [state, []];
  return [{ ...state, asked }, [fact(state, SOURCE_TOKEN, 'session.attention', { action, instructions })]];
}

/** Tells a fault of a kind once; repeats are counted. `key`: once for good, whatever is restarted. */
export function noteFault(state: MapperState, kind: string, what: FaultKind, sample: string, key?: string): Mapped {
  const { faults, told } = countFault(state.faults, kind, what, sample);
  const after: MapperState = { ...state, faults };
  return [after, told === undefined ? [] : [fact(state, SOURCE_TOKEN, 'source.fault', told, key)]];
}

/** Brokers whose trouble began, changed or ended; one that no connection uses any more is nobody's concern. */
export function followBrokers(
  state: MapperState,
  rows: readonly ConnectionRow[],
  facts: Fact[],
): MapperState['brokers'] {
  const now = new Map<string, string>();
  const seen = new Set<string>();
  for (const { brokerage } of rows) {
    if (brokerage === undefined) continue;
    seen.add(brokerage.slug);
    if (brokerage.trouble !== undefined) now.set(brokerage.slug, brokerage.trouble);
  }
  let moved = false;
  for (const what of state.brokers.keys()) {
    if (now.has(what)) continue;
    moved = true;
    const data = seen.has(what) ? { what } : { what, certain: false, reason: 'no_connection' };
    facts.push(fact(state, SOURCE_TOKEN, 'venue.normal', data));
  }
  for (const [what, trouble] of now) {
    if (state.brokers.get(what) === trouble) continue;
    moved = true;
    facts.push(fact(state, SOURCE_TOKEN, 'venue.degraded', { what, reason: trouble }));
  }
  return moved ? now : state.brokers;
}

export function fact<T extends EventType>(
  { about }: MapperState,
  session: string,
  type: T,
  data: EventData<T>,
  key?: string,
): Fact {
  return { source: about.source, session, type, data, ...(key === undefined ? {} : { key }) } as Fact;
}
