import type { Json } from '../../model/json.js';
import { type ApiRequest, customerOf } from './admission.js';
import type { Connection } from './connections.js';
import { isUuid } from './ids.js';
import { PARTNER } from './partner.js';
import { AT_ONCE, type Platform, tellOf } from './platform.js';
import { type Refusal, refusals } from './refusal.js';
import { accountRow, connectionRow, type RowOptions } from './rows.js';

export interface Answer {
  readonly status: number;
  /** Absent: no body. */
  readonly body?: Json;
}

/** One operation of the vendor's API; `id` is the last part of its path where it has one. */
interface Operation {
  readonly name: string;
  readonly method: string;
  readonly path: RegExp;
  /** Absent: in every era. */
  readonly era?: 'old' | 'new';
  answer(platform: Platform, request: ApiRequest, id: string): Answer;
}

const PREFIX = '/api/v1';
/** A connection is refreshed at most so often; the vendor has words for it, and no number. */
const REFRESH_EVERY_MS = 60_000;
/** Holdings are there so long after a refresh, and a removed connection is gone so long after `DELETE /connection`. */
export const REFRESH_TAKES_MS = 3_000;
export const REMOVAL_TAKES_MS = 2_000;

const OPERATIONS: readonly Operation[] = [
  { name: 'list', method: 'GET', path: /^\/authorizations$/, answer: list },
  {
    name: 'detail',
    method: 'GET',
    path: /^\/authorizations\/([^/]+)$/,
    answer: (platform, request, id) => ok(connectionRow(connectionOf(platform, request, id), rowOptions(platform))),
  },
  { name: 'refresh', method: 'POST', path: /^\/authorizations\/([^/]+)\/refresh$/, answer: refresh },
  { name: 'disable', method: 'POST', path: /^\/authorizations\/([^/]+)\/disable$/, answer: disable },
  {
    // A disabled connection answers with what was read last, and nothing in the answer says so (vendor's docs).
    name: 'accounts',
    method: 'GET',
    path: /^\/authorizations\/([^/]+)\/accounts$/,
    answer: (platform, request, id) => ok([accountRow(connectionOf(platform, request, id), platform.clock.now())]),
  },
  {
    name: 'remove_authorization',
    method: 'DELETE',
    path: /^\/authorizations\/([^/]+)$/,
    era: 'old',
    answer: removeNow,
  },
  { name: 'remove_connection', method: 'DELETE', path: /^\/connection\/([^/]+)$/, era: 'new', answer: removeSoon },
  { name: 'session_events', method: 'GET', path: /^\/sessionEvents$/, era: 'old', answer: sessionEvents },
];

/** The operation that a request asks for; where there is none, what the venue says instead. */
export function operationOf(
  platform: Platform,
  method: string,
  path: string,
): { readonly name: string; readonly answer: (request: ApiRequest) => Answer } | Refusal {
  const { era } = platform.conditions;
  const isPrefixed = path.startsWith(`${PREFIX}/`);
  if (isPrefixed ? era === 'new' : era === 'old') return refusals.noPath();
  const short = isPrefixed ? path.slice(PREFIX.length) : path;
  const here = OPERATIONS.filter(
    (operation) => operation.path.test(short) && (era === 'both' || (operation.era ?? era) === era),
  );
  const found = here.find((operation) => operation.method === method);
  if (found === undefined) return here.length === 0 ? refusals.noPath() : refusals.notAllowed(method);
  const id = found.path.exec(short)?.[1] ?? '';
  return { name: found.name, answer: (request) => found.answer(platform, request, id) };
}

function list(platform: Platform, request: ApiRequest): Answer {
  const { conditions, connections } = platform;
  const user = customerOf(platform, request);
  const options = rowOptions(platform);
  const rows = connections.of(user);
  if (!conditions.partialList.isOn) return ok(rows.map((connection) => connectionRow(connection, options)));
  switch (conditions.partialAs) {
    case 'error_body':
      return ok({ detail: 'An unexpected error occurred.', status_code: 500, code: '1000' });
    case 'status_500':
      throw refusals.broken();
    case 'missing_row': {
      const present = rows.filter(({ id }) => id !== conditions.withheld);
      return ok(present.map((connection) => connectionRow(connection, options)));
    }
  }
}

function refresh(platform: Platform, request: ApiRequest, id: string): Answer {
  const { clock } = platform;
  const connection = connectionOf(platform, request, id);
  if (connection.disabledAt !== undefined) throw refusals.disabled();
  // Nothing is cached on a realtime plan (vendor's docs, realtime-data).
  if (connection.freshness === 'realtime') throw refusals.noFeature();
  const now = clock.monotonic();
  if (connection.refreshedAt !== undefined && now - connection.refreshedAt < REFRESH_EVERY_MS) {
    throw refusals.refreshedTooRecently();
  }
  connection.refreshedAt = now;
  tellOf(platform, 'ACCOUNT_HOLDINGS_UPDATED', connection, { webhook: true, webhookAfterMs: REFRESH_TAKES_MS });
  return ok({ detail: `Connection ${id} has been scheduled to update all holdings.` });
}

function disable(platform: Platform, request: ApiRequest, id: string): Answer {
  const connection = connectionOf(platform, request, id);
  if (connection.disabledAt !== undefined) throw refusals.alreadyDisabled();
  platform.connections.disable(connection);
  tellOf(platform, 'CONNECTION_BROKEN', connection, AT_ONCE);
  return ok({ detail: `Connection ${id} has been disabled.` });
}

function removeNow(platform: Platform, request: ApiRequest, id: string): Answer {
  remove(platform, connectionOf(platform, request, id));
  return { status: 204 };
}

function removeSoon(platform: Platform, request: ApiRequest, id: string): Answer {
  const connection = connectionOf(platform, request, id);
  platform.clock.setTimer(() => remove(platform, connection), REMOVAL_TAKES_MS);
  return ok({ detail: 'Connection deletion has been scheduled.', connection_id: id });
}

function remove(platform: Platform, connection: Connection): void {
  if (platform.connections.remove(connection)) tellOf(platform, 'CONNECTION_DELETED', connection, AT_ONCE);
}

function sessionEvents(platform: Platform, { params }: ApiRequest): Answer {
  const { conditions, portals } = platform;
  if (conditions.sessionEventsGone.isOn) {
    switch (conditions.goneStatus) {
      case 404:
        throw refusals.noPath();
      case 405:
        throw refusals.notAllowed('GET');
      case 410:
        throw refusals.gone();
      case 501:
        throw refusals.notImplemented();
    }
  }
  // Required, with a capital, and beside `clientId` (reference page, sessionEvents).
  const partner = params.get('PartnerClientId');
  if (partner === null) throw refusals.badRequest('PartnerClientId is required');
  if (partner !== PARTNER.clientId) throw refusals.forbidden();
  return ok(portals.rows({ users: setOf(params.get('userId')), sessions: setOf(params.get('sessionId')) }));
}

/** A list with commas; absent or empty: no filter. */
function setOf(text: string | null): ReadonlySet<string> | undefined {
  const entries = (text ?? '').split(',').flatMap((entry) => (entry.trim() === '' ? [] : [entry.trim()]));
  return entries.length === 0 ? undefined : new Set(entries);
}

function connectionOf(platform: Platform, request: ApiRequest, id: string): Connection {
  const user = customerOf(platform, request);
  if (!isUuid(id)) throw refusals.badRequest('The connection id is no UUID');
  const found = platform.connections.get(id);
  // Another customer's connection is as one that is not there.
  if (found === undefined || found.user !== user) throw refusals.notFound();
  return found;
}

function rowOptions({ conditions }: Platform): RowOptions {
  return { withNewFields: conditions.era !== 'old', odd: conditions.oddRows.isOn };
}

function ok(body: Json): Answer {
  return { status: 200, body };
}
