import type { BrokerageStatus } from './messages.js';

/** What the two sessions of a source are known to be, from whatever said so last. */
export interface Evidence {
  /** The gateway cannot be dialled, or its certificate is not the one that is trusted. */
  readonly unreachable: boolean;
  /** How the last `/tickle` was answered; `redirected`: to the login page. */
  readonly tickle: 'none' | 'ok' | 'refused' | 'redirected';
  /** `RESULT` of the last `/sso/validate`; absent where it was missing or nothing was said. */
  readonly ssoResult?: boolean;
  /** The last `/sso/validate` was refused. */
  readonly validateRefused: boolean;
  /** The last `/iserver/auth/status`, with what the socket said since. */
  readonly status: BrokerageStatus;
  /** The last `/iserver/*` was refused with "no bridge", "Init session first" or 401. */
  readonly noBridge: boolean;
}

export const NO_EVIDENCE: Evidence = {
  unreachable: false,
  tickle: 'none',
  validateRefused: false,
  status: {},
  noBridge: false,
};

export type Decision =
  | 'gateway_unreachable'
  | 'login_required'
  | 'competing'
  | 'initializing'
  | 'recovering'
  | 'ready'
  | 'unknown';

const NO_BRIDGE = /no bridge/i;
const COMPETE = /compet/i;

interface Row {
  readonly decision: Decision;
  readonly when: (evidence: Evidence) => boolean;
}

/**
 * The decision table. The first row that matches wins; a field that is missing is neither true nor false, and matches
 * no row that asks for either. Only `established` may be missing for `ready`: Web API 2.9 does not say it.
 *
 * `recovering` takes every explicit `false`: a gateway after a logout says false to everything and names no failure
 * (recorded), and that is no session that works.
 */
export const DECISION_TABLE: readonly Row[] = [
  { decision: 'gateway_unreachable', when: ({ unreachable }) => unreachable },
  {
    decision: 'login_required',
    when: ({ tickle, ssoResult, validateRefused }) =>
      tickle === 'redirected' || ssoResult === false || (tickle === 'refused' && validateRefused),
  },
  {
    decision: 'competing',
    when: ({ status: { competing, passed, fail = '' } }) =>
      competing === true || passed === false || COMPETE.test(fail),
  },
  {
    decision: 'initializing',
    when: ({ status: { authenticated, connected, established, fail = '' }, noBridge }) =>
      authenticated === true && connected === true && established === false && !noBridge && !NO_BRIDGE.test(fail),
  },
  {
    decision: 'recovering',
    when: ({ status: { authenticated, connected, fail = '' }, noBridge }) =>
      authenticated === false || connected === false || NO_BRIDGE.test(fail) || noBridge,
  },
  {
    decision: 'ready',
    when: ({ status: { authenticated, connected, established, competing, fail = '' } }) =>
      authenticated === true && connected === true && established !== false && competing === false && fail === '',
  },
];

/** What is to be concluded of the source; `unknown`: nothing, what was said before stands. */
export function decide(evidence: Evidence): Decision {
  return DECISION_TABLE.find(({ when }) => when(evidence))?.decision ?? 'unknown';
}

/** What is to be concluded of the outer session alone. */
export function judgeSso(evidence: Evidence): 'valid' | 'login_required' | 'unknown' {
  const decision = decide(evidence);
  if (decision === 'gateway_unreachable') return 'unknown';
  if (decision === 'login_required') return 'login_required';
  return evidence.tickle === 'ok' || evidence.ssoResult === true ? 'valid' : 'unknown';
}
