import type { Json, JsonObject } from '../../model/json.js';
import type { Pool } from './accounts.js';
import type { Connection } from './connection.js';
import type { Exchange } from './exchange.js';
import { covers } from './scopes.js';
import { type Asker, type Grant, unauthorized } from './tokens.js';
import { Refusal } from './wire.js';

/** One method of the API. Answers its `result`; undefined: no reply is sent. Throws a `Refusal`. */
export interface Method {
  readonly pool: Pool;
  run(params: JsonObject, call: Call): Json | undefined;
}

/** Where a request came from. */
export interface Asked {
  /** Absent over HTTP. */
  readonly connection: Connection | undefined;
  readonly address: string;
  /** Who asked over HTTP, by its `Authorization` header. */
  readonly bearer?: Grant | undefined;
  /** Runs after the reply was sent. */
  after(task: () => void): void;
}

export interface Call extends Asked {
  readonly exchange: Exchange;
  readonly params: JsonObject;
}

/** A method that pays from the pool of most requests. */
export function general(run: Method['run']): Method {
  return { pool: 'general', run };
}

/** Throws 10030 for what works over a WebSocket only. */
export function socketOf({ connection }: Call): Connection {
  if (connection === undefined) throw new Refusal('must_be_websocket_request');
  return connection;
}

export function askerOf({ connection, address }: Call): Asker {
  return { connection: connection?.id, address };
}

/**
 * Who asks: the request's own `access_token`, else whoever is logged in on the connection. Throws 13009 for no token,
 * a wrong, dead or expired one, and 13403 where the scope does not cover it.
 */
export function grantOf(call: Call, scope?: string): Grant {
  const grant = presented(call);
  if (scope !== undefined && !covers(grant.scopes, scope))
    throw new Refusal('scope_exceeded', { reason: `${scope} is required` });
  return grant;
}

function presented(call: Call): Grant {
  const { exchange, connection, bearer, params } = call;
  const { access_token: token } = params;
  const grant = typeof token === 'string' ? exchange.tokens.find(token, askerOf(call)) : (connection?.grant ?? bearer);
  if (grant === undefined) throw unauthorized('invalid_token', 'access_token');
  exchange.tokens.check(grant, askerOf(call));
  connection?.belongTo(grant.account);
  return grant;
}
