import type { EventData, EventType, Fact } from '../../model/event.js';
import { sessionKey } from '../../model/subject.js';
import { decide, judgeSso } from './decision.js';
import { MAINTENANCE_SUSPECTED } from './maintenance.js';
import { BROKERAGE_TOKEN, type MapperState, SSO_TOKEN } from './state.js';

/** A change of what is known, and what is to be told of it. */
export type Mapped = readonly [MapperState, readonly Fact[]];

/** How it came. */
export interface Told {
  /** Of the HTTP link, or of the socket for its frames. */
  readonly generation: number;
  /** An outage is expected now: reasons are tagged. */
  readonly maintenance: boolean;
}

/** What the evidence says now, where it differs from what was said; or was said before the relay lost sight of it. */
export function settle(state: MapperState, told: Told): Mapped {
  const [afterSso, ssoFacts] = settleSso(state, told);
  const [after, facts] = settleBrokerage(afterSso, told);
  return [after, [...ssoFacts, ...facts]];
}

function settleSso(state: MapperState, told: Told): Mapped {
  const { sso, about, evidence } = state;
  const verdict = judgeSso(evidence);
  if (state.loggedOut && sso.status === 'closed' && evidence.ssoResult !== true) return [state, []];
  const wanted = about.environment;
  if (verdict === 'valid' && wanted !== undefined && sso.environment !== undefined && wanted !== sso.environment) {
    return wantAttention(
      state,
      'check_credentials',
      `The gateway is logged in to a ${sso.environment} account and this source is configured as ${wanted}: log in with the other account, or change environment.`,
      told,
    );
  }
  if (verdict === 'login_required') {
    return wantAttention(
      state,
      'login',
      'The gateway is not logged in: open its page in a browser and log in.',
      told,
      about.loginUrl,
    );
  }
  if (verdict === 'unknown' || (sso.status === 'active' && sso.seen)) return [state, []];
  const { asked: _, ...rest } = sso;
  const after: MapperState = { ...state, sso: { ...rest, status: 'active', seen: true, opened: true } };
  if (sso.opened) return [after, [factOf(state, SSO_TOKEN, 'session.restored', {}, told)]];
  const environment = sso.environment ?? about.environment;
  const opened: EventData<'session.opened'> = {
    kind: 'sso',
    role: 'watch',
    attributes: sso.attributes,
    ...(environment === undefined ? {} : { environment }),
  };
  return [after, [factOf(state, SSO_TOKEN, 'session.opened', opened, told)]];
}

/** Only a person can mend it. The same words are said once. The brokerage session is out of sight meanwhile. */
function wantAttention(
  state: MapperState,
  action: EventData<'session.attention'>['action'],
  instructions: string,
  told: Told,
  url?: string,
): Mapped {
  const { sso, brokerage } = state;
  const asked = `${action}: ${instructions}`;
  if (sso.status === 'attention' && sso.seen && sso.asked === asked) return [state, []];
  const after: MapperState = {
    ...state,
    // What was known of the brokerage session must be said anew once it can be believed again.
    evidence: { ...state.evidence, status: {}, noBridge: false },
    sso: { ...sso, status: 'attention', seen: true, asked },
    brokerage: brokerage.seen && brokerage.status !== 'closed' ? { ...brokerage, seen: false } : brokerage,
  };
  const data = { action, instructions, ...(url === undefined ? {} : { url }), ...suspicion(told) };
  return [after, [factOf(state, SSO_TOKEN, 'session.attention', data, told)]];
}

function settleBrokerage(state: MapperState, told: Told): Mapped {
  const { brokerage, sso } = state;
  // A child of what does not work cannot be believed.
  if (sso.status !== 'active' || !sso.seen) return [state, []];
  const decision = decide(state.evidence);
  const moved = (status: typeof brokerage.status, ...facts: readonly Fact[]): Mapped => {
    if (brokerage.seen && brokerage.status === status) return [state, []];
    return [{ ...state, brokerage: { ...brokerage, status, seen: true } }, facts];
  };
  // After a logout that was asked for only a session that works is news.
  if (state.loggedOut && brokerage.status === 'closed' && decision !== 'ready') return [state, []];
  switch (decision) {
    case 'competing':
      return moved('contested', factOf(state, BROKERAGE_TOKEN, 'session.contested', suspicion(told), told));
    case 'initializing':
      return moved('connecting', factOf(state, BROKERAGE_TOKEN, 'session.opening', suspicion(told), told));
    case 'recovering': {
      const code = told.maintenance ? { code: MAINTENANCE_SUSPECTED } : {};
      return moved('lost', factOf(state, BROKERAGE_TOKEN, 'session.lost', { reason: 'no_bridge', ...code }, told));
    }
    case 'ready': {
      const [after] = moved('active');
      if (after === state) return [state, []];
      if (brokerage.opened) return [after, [factOf(state, BROKERAGE_TOKEN, 'session.restored', {}, told)]];
      const environment = sso.environment ?? state.about.environment;
      const opened: EventData<'session.opened'> = {
        kind: 'brokerage',
        role: state.about.role,
        parent: sessionKey('ibkr', state.about.source, SSO_TOKEN),
        attributes: brokerage.attributes,
        ...(environment === undefined ? {} : { environment }),
      };
      return [
        { ...after, brokerage: { ...after.brokerage, opened: true } },
        [factOf(state, BROKERAGE_TOKEN, 'session.opened', opened, told)],
      ];
    }
    default:
      return [state, []];
  }
}

function suspicion({ maintenance }: Told): { readonly reason?: string } {
  return maintenance ? { reason: MAINTENANCE_SUSPECTED } : {};
}

export function factOf<T extends EventType>(
  state: MapperState,
  session: string,
  type: T,
  data: EventData<T>,
  { generation }: Told,
): Fact {
  return { source: state.about.source, session, type, data, generation } as Fact;
}
