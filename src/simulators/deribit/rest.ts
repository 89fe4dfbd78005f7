import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Json, JsonObject } from '../../model/json.js';
import { MAX_BODY_BYTES, readBody } from '../body.js';
import { answer } from './answer.js';
import type { Exchange } from './exchange.js';
import type { Grant } from './tokens.js';
import { errorText, parseRequest, Refusal, resultText } from './wire.js';

const PREFIX = '/api/v2';
/** Statuses other than 400 for an error in the body. */
const STATUS_OF: { readonly [error: string]: number } = {
  too_many_requests: 429,
  system_maintenance: 503,
  unauthorized: 401,
  invalid_credentials: 401,
};

/**
 * The API over HTTP: `GET /api/v2/{method}?…`, or a JSON-RPC request as the body of a POST; `Authorization: Bearer` a
 * token or `Basic` id and secret. Answers whether the path is the API's.
 */
export function serveRest(request: IncomingMessage, response: ServerResponse, exchange: Exchange, url: URL): boolean {
  if (url.pathname !== PREFIX && !url.pathname.startsWith(`${PREFIX}/`)) return false;
  const name = url.pathname.slice(PREFIX.length + 1);
  if (request.method === 'GET') {
    const params = Object.fromEntries([...url.searchParams].map(([key, value]) => [key, paramOf(value)]));
    carryOut(request, response, exchange, { id: undefined, method: name, params });
  } else if (request.method === 'POST') {
    readBody(request, (body) => {
      const parsed = body === undefined ? undefined : parseRequest(body);
      if (parsed === undefined || 'refusal' in parsed) {
        const refusal = parsed?.refusal ?? new Refusal('bad_request', `at most ${MAX_BODY_BYTES} bytes`);
        send(response, 400, errorText(parsed?.id, refusal, exchange.stamp()));
      } else carryOut(request, response, exchange, parsed);
    });
  } else send(response, 405, '{}');
  return true;
}

function carryOut(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
  asked: { readonly id: string | number | undefined; readonly method: string; readonly params: JsonObject },
): void {
  const address = request.socket.remoteAddress ?? '';
  const stamp = exchange.stamp();
  let once: Grant | undefined;
  try {
    const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ');
    if (scheme === 'Basic') once = logInOnce(value, exchange, address);
    const bearer = scheme === 'Bearer' ? exchange.tokens.find(value, { connection: undefined, address }) : once;
    const afterwards: (() => void)[] = [];
    const outcome = answer(exchange, asked, {
      connection: undefined,
      address,
      bearer,
      after: (task) => void afterwards.push(task),
    });
    if (outcome.refusal !== undefined) throw outcome.refusal;
    send(response, 200, resultText(asked.id, outcome.result ?? null, stamp));
    for (const task of afterwards) task();
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    send(response, STATUS_OF[thrown.message] ?? 400, errorText(asked.id, thrown, stamp));
  } finally {
    if (once !== undefined) exchange.tokens.revoke(once);
  }
}

/** `Basic` id and secret (Deribit docs, "Authentication", HTTP): good for this one request. Throws 13004. */
function logInOnce(value: string, exchange: Exchange, address: string): Grant {
  if (exchange.conditions.badCredentials.isOn) throw new Refusal('invalid_credentials');
  const [clientId = '', ...secret] = Buffer.from(value, 'base64').toString('utf8').split(':');
  exchange.login.verify({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: secret.join(':'),
  });
  return exchange.tokens.issue(exchange.accounts.main, undefined, { connection: undefined, address });
}

/** What a query string means: a number, a truth value, JSON, or else the text itself. */
function paramOf(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
