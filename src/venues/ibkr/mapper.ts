import { type EventData, type Fact, SOURCE_TOKEN } from '../../model/event.js';
import { countFault, type FaultKind } from '../faults.js';
import { decide, type Evidence, NO_EVIDENCE } from './decision.js';
import { type BrokerageStatus, type Frame, type SsoAnswer, said } from './messages.js';
import { factOf, type Mapped, settle, type Told } from './settle.js';
import { type Attributes, BROKERAGE_TOKEN, type MapperState, SSO_TOKEN } from './state.js';

/**
 * What IBKR says, as facts: pure functions `(state, what happened) → [state, facts]`. The outer session and the
 * brokerage session are two states; nothing here knows HTTP or a socket. What follows from all that is known is said
 * by `settle.ts`.
 */
type SessionToken = typeof SSO_TOKEN | typeof BROKERAGE_TOKEN;

/** So many statuses in a row that decide nothing leave the brokerage session unseen. */
export const UNDECIDED_TO_STALE = 3;

/** Takes in what moves the evidence, and says what follows from all of it. */
export function learn(state: MapperState, news: Partial<Evidence>, told: Told): Mapped {
  const evidence = { ...state.evidence, ...news };
  const unproved = news.tickle === undefined ? state.unproved : 0;
  return settle({ ...state, evidence, unproved }, told);
}

/** `/iserver/auth/status` has answered: what the socket said before is over. */
export function learnStatus(state: MapperState, status: BrokerageStatus, told: Told): Mapped {
  // That another session is active is said by `ssodh/init` alone; it stands until this one is authenticated.
  const { passed } = state.evidence.status;
  const refused = status.passed === undefined && passed === false && status.authenticated !== true;
  return count(takeStatus(state, refused ? { ...status, passed } : status, told), told);
}

/** `ssodh/init` has answered. */
export function learnInit(state: MapperState, status: BrokerageStatus, told: Told): Mapped {
  const { passed: _, ...before } = state.evidence.status;
  const named: MapperState = { ...state, evidence: { ...state.evidence, status: before } };
  return decide({ ...named.evidence, status, noBridge: false }) === 'unknown'
    ? [named, []]
    : takeUnconfirmed(named, status, told);
}

/** `sts`: what it does not say is as before. */
function mergeStatus(state: MapperState, status: BrokerageStatus, told: Told): Mapped {
  const { passed, ...before } = state.evidence.status;
  const kept = status.authenticated === true || passed === undefined ? before : { ...before, passed };
  return takeUnconfirmed(state, { ...kept, ...status }, told);
}

/**
 * What gets worse is believed at once; that a session works (again) is for `/iserver/auth/status` to say, which is asked
 * next: a socket may say so while the bridge is gone, and an init before the accounts are loaded.
 */
function takeUnconfirmed(state: MapperState, status: BrokerageStatus, told: Told): Mapped {
  const { evidence, brokerage } = state;
  const improves = decide({ ...evidence, status, noBridge: false }) === 'ready';
  if (improves && !(brokerage.status === 'active' && brokerage.seen)) return [state, []];
  return takeStatus(state, status, told);
}

function takeStatus(state: MapperState, status: BrokerageStatus, told: Told): Mapped {
  const attributes = said({ serverName: status.serverName, serverVersion: status.serverVersion });
  const changed = differences(state.brokerage.attributes, attributes);
  const named = changesNothing(changed)
    ? state
    : { ...state, brokerage: { ...state.brokerage, attributes: { ...state.brokerage.attributes, ...attributes } } };
  return withUpdate(learn(named, { status, noBridge: false }, told), BROKERAGE_TOKEN, changed, told);
}

/** Attributes that changed are told of a session that works, where they are not part of its opening. */
function withUpdate([state, facts]: Mapped, token: SessionToken, changed: Attributes, told: Told): Mapped {
  const { status, seen } = state[token];
  const isOpening = facts.some(({ session, type }) => session === token && type === 'session.opened');
  if (changesNothing(changed) || status !== 'active' || !seen || isOpening) return [state, facts];
  return [state, [...facts, factOf(state, token, 'session.updated', { changed }, told)]];
}

/** `/iserver/*` was refused for want of a brokerage session: "no bridge", "Init session first", or 401 in a login that works. */
export function learnNoBridge(state: MapperState, told: Told): Mapped {
  const { passed } = state.evidence.status;
  return count(learn(state, { status: said({ passed }), noBridge: true }, told), told);
}

/** `/iserver/auth/status` has brought nothing from which to conclude. */
export function learnNothing(state: MapperState, told: Told): Mapped {
  return count([{ ...state, evidence: { ...state.evidence, status: {}, noBridge: false } }, []], told);
}

/** What neither status nor poll has confirmed for so long is stale. */
function count([state, facts]: Mapped, told: Told): Mapped {
  if (decide(state.evidence) !== 'unknown') return [{ ...state, undecided: 0 }, facts];
  const after = { ...state, undecided: state.undecided + 1 };
  if (after.undecided < UNDECIDED_TO_STALE) return [after, facts];
  const [stale, more] = goStale(after, [BROKERAGE_TOKEN], 'link_down', told);
  return [stale, [...facts, ...more]];
}

/** `/sso/validate` has answered. A missing `RESULT` is neither true nor false. */
export function learnSso(state: MapperState, answer: SsoAnswer, told: Told): Mapped {
  const { result, environment, userName, authTime } = answer;
  const { ssoResult: _, ...rest } = state.evidence;
  const attributes = said({ userName, authTime });
  const changed = differences(state.sso.attributes, attributes);
  const isSame = changesNothing(changed) && (environment === undefined || environment === state.sso.environment);
  const named: MapperState = {
    ...state,
    evidence: { ...rest, validateRefused: false, ...(result === undefined ? {} : { ssoResult: result }) },
    sso: isSame
      ? state.sso
      : { ...state.sso, attributes: { ...state.sso.attributes, ...attributes }, ...said({ environment }) },
  };
  return withUpdate(settle(named, told), SSO_TOKEN, changed, told);
}

/** `/tickle` was answered with something that says neither that there is a login nor that there is none. */
export function learnNoTickle(state: MapperState, told: Told): Mapped {
  const after = { ...state, unproved: state.unproved + 1 };
  if (after.unproved < UNDECIDED_TO_STALE) return [after, []];
  return goStale(after, [SSO_TOKEN, BROKERAGE_TOKEN], 'link_down', told);
}

/** `/sso/validate` was refused: with a refused tickle it says that nobody is logged in. */
export function learnSsoRefused(state: MapperState, told: Told): Mapped {
  const { ssoResult: _, ...evidence } = state.evidence;
  return settle({ ...state, evidence: { ...evidence, validateRefused: true } }, told);
}

/** Takes in one frame of the socket. Never throws. */
export function mapFrame(state: MapperState, frame: Frame, told: Told): Mapped {
  switch (frame.kind) {
    case 'greeting': {
      const { environment } = frame;
      if (environment === undefined || state.sso.environment !== undefined) return [state, []];
      return settle({ ...state, sso: { ...state.sso, environment } }, told);
    }
    case 'beat':
      return [state, pulse(state, SSO_TOKEN, said({ venueTime: frame.venueTime }), told)];
    case 'tic': {
      const { lastAccessed, alive } = frame;
      if (lastAccessed !== undefined && lastAccessed === state.lastTic) return [state, []];
      const after = lastAccessed === undefined ? state : { ...state, lastTic: lastAccessed };
      return [after, alive === false ? [] : pulse(state, SSO_TOKEN, {}, told)];
    }
    case 'status':
      return mergeStatus(state, frame.status, told);
    case 'unknown':
      return noteFault(state, `unknown topic ${frame.topic}`, 'unknown_frame', frame.topic);
    case 'bad':
      return noteFault(state, `bad frame, ${frame.why}`, 'bad_frame', frame.sample);
    default:
      return [state, []];
  }
}

/** The first attempt of a source of which nothing is known. */
export function begin(state: MapperState): Mapped {
  if (state.sso.status !== 'none') return [state, []];
  const after: MapperState = { ...state, sso: { ...state.sso, status: 'connecting' } };
  return [after, [{ source: state.about.source, session: SSO_TOKEN, type: 'session.opening', data: {} }]];
}

/** The gateway no longer answers: nothing is seen. Whoever derives staleness says so of the sessions. */
export function loseSight(state: MapperState): MapperState {
  const { sso, brokerage } = state;
  return {
    ...state,
    evidence: { ...NO_EVIDENCE, unreachable: true },
    undecided: 0,
    unproved: 0,
    sso: sso.seen ? { ...sso, seen: false } : sso,
    brokerage: brokerage.seen ? { ...brokerage, seen: false } : brokerage,
  };
}

/** Nothing may be asked for a while: both sessions are out of sight, though the gateway is there. */
export function goStale(
  state: MapperState,
  tokens: readonly SessionToken[],
  reason: EventData<'session.stale'>['reason'],
  told: Told,
): Mapped {
  const evidence = tokens.includes(SSO_TOKEN) ? NO_EVIDENCE : { ...state.evidence, status: {}, noBridge: false };
  let after: MapperState = { ...state, evidence };
  const facts: Fact[] = [];
  for (const token of tokens) {
    const { seen, status } = state[token];
    if (!seen || status === 'closed' || status === 'lost') continue;
    facts.push(factOf(state, token, 'session.stale', { reason }, told));
  }
  if (tokens.includes(SSO_TOKEN) && state.sso.seen) after = { ...after, sso: { ...after.sso, seen: false } };
  if (tokens.includes(BROKERAGE_TOKEN) && state.brokerage.seen) {
    after = { ...after, brokerage: { ...after.brokerage, seen: false } };
  }
  return [after, facts];
}

/** The sessions were logged out of, because the relay was asked to. */
export function logOut(state: MapperState, told: Told): Mapped {
  const facts: Fact[] = [];
  for (const token of [BROKERAGE_TOKEN, SSO_TOKEN] as const) {
    const { status } = state[token];
    if (status === 'none' || status === 'closed') continue;
    facts.push(factOf(state, token, 'session.closed', { by: 'user' }, told));
  }
  const { asked: _, ...sso } = state.sso;
  const after: MapperState = {
    ...state,
    loggedOut: true,
    evidence: NO_EVIDENCE,
    undecided: 0,
    sso: { ...sso, status: 'closed', seen: true, opened: false },
    brokerage: { ...state.brokerage, status: 'closed', seen: true, opened: false },
  };
  return [after, facts];
}

/** A login was asked for again: what was seen meanwhile says nothing of what comes of it. */
export function logIn(state: MapperState): MapperState {
  if (!state.loggedOut) return state;
  return { ...state, loggedOut: false, evidence: { ...state.evidence, status: {}, noBridge: false } };
}

/** A poll has found everything in order. */
export function beatOf(state: MapperState, rttMs: number, told: Told): readonly Fact[] {
  const data = { rttMs: Math.round(rttMs) };
  return [...pulse(state, SSO_TOKEN, data, told), ...pulse(state, BROKERAGE_TOKEN, data, told)];
}

function pulse(
  state: MapperState,
  token: SessionToken,
  data: EventData<'heartbeat.pulse'>,
  told: Told,
): readonly Fact[] {
  const { status, seen } = state[token];
  return status === 'active' && seen ? [factOf(state, token, 'heartbeat.pulse', data, told)] : [];
}

function differences(before: Attributes, after: Attributes): Attributes {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
}

function changesNothing(changed: Attributes): boolean {
  return Object.keys(changed).length === 0;
}

/** Tells a fault of a kind once; repeats are counted. */
export function noteFault(state: MapperState, kind: string, what: FaultKind, sample: string): Mapped {
  const { faults, told } = countFault(state.faults, kind, what, sample);
  const after: MapperState = { ...state, faults };
  if (told === undefined) return [after, []];
  return [after, [{ source: state.about.source, session: SOURCE_TOKEN, type: 'source.fault', data: told }]];
}
