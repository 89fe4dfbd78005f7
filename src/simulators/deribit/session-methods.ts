import { z } from 'zod';
import type { Json } from '../../model/json.js';
import { askerOf, type Call, general, grantOf, type Method, socketOf } from './call.js';
import { authParams } from './login.js';
import type { Grant } from './tokens.js';
import { invalidParams, paramsOf, Refusal } from './wire.js';

/** Deribit docs, public/hello. */
const API_VERSION = '1.2.26';
/** Deribit docs, public/set_heartbeat: "not less than 10". */
const MIN_HEARTBEAT_S = 10;

const heartbeatParams = z.object({ interval: z.number('a number is expected') });
const testParams = z.object({ expected_result: z.string().optional() });
const helloParams = z.object({ client_name: z.string(), client_version: z.string() });
const tokenParams = z.object({ scope: z.string().optional(), state: z.string().optional() });
const exchangeParams = z.object({ refresh_token: z.string(), subject_id: z.number(), scope: z.string().optional() });
const forkParams = z.object({ refresh_token: z.string(), session_name: z.string().min(1).regex(/^\S+$/) });
const scopeParams = z.object({ scope: z.enum(['connection', 'account']).default('connection') });
const logoutParams = z.object({ invalidate_token: z.boolean().default(true) });

/** Authentication, liveness, cancel-on-disconnect: what a session is made of. */
export const sessionMethods: { readonly [name: string]: Method } = {
  'public/auth': general((params, call) => {
    const { exchange, connection } = call;
    const asked = paramsOf(authParams, params);
    const { scope, state } = paramsOf(tokenParams, params);
    if (exchange.conditions.badCredentials.isOn) throw new Refusal('invalid_credentials');
    let grant: Grant;
    if (asked.grant_type === 'refresh_token') grant = exchange.tokens.refresh(asked.refresh_token, askerOf(call));
    else {
      exchange.login.verify(asked);
      grant = exchange.tokens.issue(exchange.accounts.main, scope, askerOf(call));
    }
    connection?.logIn(grant);
    return tokensOf(grant, state);
  }),
  'public/exchange_token': general((params, call) => {
    const { refresh_token: refreshToken, subject_id: subject, scope } = paramsOf(exchangeParams, params);
    const account = call.exchange.accounts.byId(subject);
    if (account === undefined) throw invalidParams('no such subaccount', 'subject_id');
    const grant = call.exchange.tokens.exchange(refreshToken, account, scope, askerOf(call));
    // Without a scope the old pair is dead: the connection goes on as the other account.
    if (scope === undefined) call.connection?.logIn(grant);
    return tokensOf(grant);
  }),
  'public/fork_token': general((params, call) => {
    const { refresh_token: refreshToken, session_name: name } = paramsOf(forkParams, params);
    return tokensOf(call.exchange.tokens.fork(refreshToken, name, askerOf(call)));
  }),
  'private/logout': general((params, call) => {
    const connection = socketOf(call);
    const { invalidate_token: invalidate } = paramsOf(logoutParams, params);
    const grant = grantOf(call);
    if (invalidate) call.exchange.tokens.revoke(grant);
    call.after(() => connection.logOut());
    return undefined;
  }),

  'public/hello': general((params, call) => {
    socketOf(call);
    paramsOf(helloParams, params);
    return { version: API_VERSION };
  }),
  'public/test': general((params, { connection }) => {
    const { expected_result: expected } = paramsOf(testParams, params);
    connection?.heartbeat.answered();
    if (expected === 'exception') throw new Refusal('internal_server_error');
    return { version: API_VERSION };
  }),
  'public/status': general((_params, { exchange }) => exchange.platform.status()),
  'public/get_time': general((_params, { exchange }) => exchange.now()),
  'public/set_heartbeat': general((params, call) => {
    const connection = socketOf(call);
    const { interval } = paramsOf(heartbeatParams, params);
    if (interval < MIN_HEARTBEAT_S) throw invalidParams(`must be at least ${MIN_HEARTBEAT_S}`, 'interval');
    connection.heartbeat.set(interval);
    return 'ok';
  }),
  'public/disable_heartbeat': general((_params, call) => {
    socketOf(call).heartbeat.disable();
    return 'ok';
  }),

  'private/enable_cancel_on_disconnect': general((params, call) => protect(params, call, true)),
  'private/disable_cancel_on_disconnect': general((params, call) => protect(params, call, false)),
  'private/get_cancel_on_disconnect': general((params, call) => {
    const { scope } = paramsOf(scopeParams, params);
    const { account } = grantOf(call, 'account:read');
    if (call.exchange.conditions.badProtection.isOn) throw new Refusal('cancel_on_disconnect_failed');
    return { scope, enabled: scope === 'account' ? account.protectsNew : socketOf(call).protected };
  }),
};

/** Account scope sets this connection too, and how new ones begin (Deribit docs, private/enable_cancel_on_disconnect). */
function protect(params: Call['params'], call: Call, on: boolean): Json {
  const connection = socketOf(call);
  const { scope } = paramsOf(scopeParams, params);
  const { account } = grantOf(call, 'account:read_write');
  connection.protected = on;
  if (scope === 'account') account.protectsNew = on;
  return 'ok';
}

/** The reply of whatever makes tokens; members in the order of the recorded frame, `sid` for named sessions only. */
function tokensOf(grant: Grant, state?: string): Json {
  return {
    enabled_features: [],
    access_token: grant.accessToken,
    expires_in: grant.expiresIn,
    refresh_token: grant.refreshToken,
    scope: [...grant.scopes].join(' '),
    ...(grant.session === undefined ? {} : { sid: grant.session.sid }),
    token_type: 'bearer',
    ...(state === undefined ? {} : { state }),
  };
}
