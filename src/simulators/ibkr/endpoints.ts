import { z } from 'zod';
import type { Json } from '../../model/json.js';
import { ACCOUNT } from './account.js';
import { FORCE_COMPETE, NO_BRIDGE } from './brokerage.js';
import type { Gateway } from './gateway.js';
import { authStatus, believedFacts, tickle, validation } from './messages.js';

export interface Answer {
  readonly status: number;
  /** A text is no JSON. */
  readonly body: Json;
  readonly type?: 'text' | 'html';
  readonly headers?: { readonly [name: string]: string };
}

export interface Endpoint {
  /** What the counts in `state` call it. */
  readonly name: string;
  readonly methods: readonly string[];
  /** With a person logged in, whose session it is. `'cut'`: the connection ends without an answer. */
  answer(gateway: Gateway, asked: { readonly session: string; readonly body: string }): Answer | 'cut';
  /** What a gateway says after a logout, other than 401. */
  readonly afterLogout?: (gateway: Gateway) => Answer;
}

const ok = (body: Json): Answer => ({ status: 200, body });
export const accessDenied: Answer = { status: 401, body: 'access denied', type: 'text' };
/** Recorded for a path that the gateway does not have. */
export const notFound: Answer = {
  status: 404,
  body: '<html><body><h1>Resource not found</h1></body></html>',
  type: 'html',
};
const serverError: Answer = { status: 500, body: { error: 'Internal Server Error' } };
const unavailable: Answer = { status: 503, body: { error: 'Service Unavailable', statusCode: 503 } };

/** `reauthenticate` is asynchronous; assumed: how long the gateway takes to begin. */
const TRIGGER_MS = 1_000;

const STATUS: Endpoint = {
  name: 'auth_status',
  // POST on the vendor's page; live gateways answer GET too.
  methods: ['POST', 'GET'],
  answer: (gateway) => ok(authStatus(gateway, believedFacts(gateway), { withFail: true })),
  // Recorded: 200 with nothing but false.
  afterLogout: (gateway) => ok(authStatus(gateway, gateway.brokerage.facts, { withFail: false })),
};

const TICKLE: Endpoint = {
  name: 'tickle',
  methods: ['POST'],
  answer(gateway, { session }) {
    const { conditions } = gateway;
    if (conditions.failedTickles === 0) return ok(tickle(gateway, session));
    conditions.failedTickles -= 1;
    switch (conditions.failedTickleAs) {
      case 'error':
        return ok({ error: 'failed to process request' });
      case 'no_session':
        return ok({ error: 'no session' });
      case 'server_error':
        return serverError;
      case 'no_answer':
        return 'cut';
    }
  },
  afterLogout: () => ok({ error: 'no session' }),
};

const initRequest = z.object({ publish: z.boolean().optional(), compete: z.boolean().default(false) });

const INIT: Endpoint = {
  name: 'init',
  methods: ['POST'],
  answer(gateway, { body }) {
    const { brokerage, conditions } = gateway;
    if (conditions.refusedInits > 0) {
      conditions.refusedInits -= 1;
      return refusedInit(gateway);
    }
    if (brokerage.phase === 'resetting') return unavailable;
    const asked = initOf(body);
    // `publish` has to be true (IBKR docs).
    if (asked === undefined || asked.publish === false) return serverError;
    const { authenticated, connected, competing } = brokerage.facts;
    // Without a body: ibeam issue 73.
    if (asked.publish === undefined) return ok({ authenticated, connected, competing, fail: FORCE_COMPETE });
    if (conditions.drift.isOn && conditions.driftOutlastsInit) return { status: 400, body: { error: NO_BRIDGE } };
    conditions.drift.on(0);
    // The whole of a live probe's answer.
    if (!brokerage.open(asked.compete)) return ok(NOT_PASSED);
    return ok({ passed: true, ...authStatus(gateway, brokerage.facts, { withFail: false }) });
  },
};

const NOT_PASSED = { passed: false, authenticated: false, connected: true, competing: false };

function refusedInit({ conditions }: Gateway): Answer {
  switch (conditions.refusedInitAs) {
    case 'unavailable':
      return unavailable;
    case 'server_error':
      return serverError;
    case 'access_denied':
      return accessDenied;
    case 'not_passed':
      return ok(NOT_PASSED);
  }
}

/** `undefined` for what cannot be read. */
function initOf(body: string): z.output<typeof initRequest> | undefined {
  try {
    return initRequest.safeParse(JSON.parse(body === '' ? '{}' : body)).data;
  } catch {
    return undefined;
  }
}

const REAUTHENTICATE: Endpoint = {
  name: 'reauthenticate',
  // GET on the vendor's page; clients of live gateways send POST.
  methods: ['GET', 'POST'],
  answer(gateway) {
    const { brokerage, clock, conditions } = gateway;
    if (conditions.reauthenticateGone.isOn) return notFound;
    clock.setTimer(() => {
      if (brokerage.phase === 'closed' || brokerage.phase === 'resetting') return;
      if (!conditions.driftOutlastsInit) conditions.drift.on(0);
      brokerage.open(false);
    }, TRIGGER_MS);
    return ok({ message: 'triggered' });
  },
};

const VALIDATE: Endpoint = {
  name: 'validate_sso',
  methods: ['GET'],
  answer: (gateway) => ok(validation(gateway)),
  // Assumed: nobody has recorded it.
  afterLogout: () => ok({ RESULT: false }),
};

const LOGOUT: Endpoint = {
  name: 'logout',
  methods: ['POST'],
  answer(gateway) {
    gateway.logOut('no_session');
    return loggedOut(gateway);
  },
  // Recorded.
  afterLogout: (gateway) => loggedOut(gateway),
};

function loggedOut({ generation }: Gateway): Answer {
  return ok(generation === '2.9' ? { confirmed: true } : { status: true });
}

/** Needs the brokerage session, as everything under `/iserver/` does. */
const ACCOUNTS: Endpoint = {
  name: 'accounts',
  methods: ['GET'],
  answer(gateway) {
    const { authenticated, connected } = believedFacts(gateway);
    if (!connected) return { status: 400, body: { error: NO_BRIDGE } };
    if (!authenticated) return { status: 401, body: { error: 'not authenticated', statusCode: 401 } };
    return ok({ accounts: [ACCOUNT.accountId], selectedAccount: ACCOUNT.accountId });
  },
};

/** The outer tier is enough. */
const PORTFOLIO: Endpoint = {
  name: 'portfolio',
  methods: ['GET'],
  answer: () => ok([{ id: ACCOUNT.accountId, accountId: ACCOUNT.accountId, currency: 'USD' }]),
};

/** By path below `/v1/api`. */
export const ENDPOINTS: { readonly [path: string]: Endpoint } = {
  '/tickle': TICKLE,
  '/iserver/auth/status': STATUS,
  '/iserver/auth/ssodh/init': INIT,
  '/iserver/reauthenticate': REAUTHENTICATE,
  '/sso/validate': VALIDATE,
  '/logout': LOGOUT,
  '/iserver/accounts': ACCOUNTS,
  '/portfolio/accounts': PORTFOLIO,
};
