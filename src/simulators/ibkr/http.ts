import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBody } from '../body.js';
import { type Answer, accessDenied, ENDPOINTS, type Endpoint, notFound } from './endpoints.js';
import type { Gateway } from './gateway.js';

export const API_PREFIX = '/v1/api';
const LOGIN_PATH = '/sso/Login';
/** What a gateway redirects to where nobody is logged in. */
const LOGIN_URL = `${LOGIN_PATH}?forwardTo=22&RL=1&ip2loc=US`;

const TYPES = {
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
  html: 'text/html; charset=utf-8',
} as const;

const loginPage: Answer = {
  status: 200,
  body: '<html><body><h1>Login</h1><p>The fault log_in logs a person in.</p></body></html>',
  type: 'html',
};
const maintenance: Answer = { status: 503, body: '<html><body><h1>Maintenance</h1></body></html>', type: 'html' };
/** Assumed: the status is documented, the words are not. */
const tooManyRequests: Answer = { status: 429, body: { error: 'Too Many Requests', statusCode: 429 } };
/** Akamai, which stands before the broker, wants a `Content-Length` on every POST. */
const lengthRequired: Answer = {
  status: 411,
  body: '<html><body><h1>Length Required</h1></body></html>',
  type: 'html',
};

/** One request of the API; everything that is not `/_sim` is answered here. */
export function serveApi(request: IncomingMessage, response: ServerResponse, gateway: Gateway, url: URL): boolean {
  const { clock, conditions } = gateway;
  if (conditions.httpDown.isOn && conditions.httpDownAs === 'cut') {
    request.socket.destroy();
    return true;
  }
  readBody(request, (body) => {
    const answer =
      body === undefined ? { status: 413, body: '', type: 'text' as const } : answerTo(gateway, request, url, body);
    if (answer === 'cut' || (conditions.httpDown.isOn && conditions.httpDownAs === 'cut_answer')) {
      request.socket.destroy();
      return;
    }
    if (conditions.httpDown.isOn && conditions.httpDownAs === 'hang') return;
    gateway.traffic.outcome(answer.status);
    const text = answer.status === 200 ? conditions.garbage.shift() : undefined;
    const ms = conditions.slow.isOn && conditions.slowOf !== 'ws' ? conditions.delayMs : 0;
    if (ms === 0) send(response, answer, text);
    else clock.setTimer(() => send(response, answer, text), ms);
  });
  return true;
}

function answerTo(gateway: Gateway, request: IncomingMessage, url: URL, body: string): Answer | 'cut' {
  const { conditions, pacing, sso, traffic } = gateway;
  const { method = 'GET' } = request;
  if (url.pathname === LOGIN_PATH && method === 'GET') return loginPage;
  const path = url.pathname.startsWith(`${API_PREFIX}/`) ? url.pathname.slice(API_PREFIX.length) : '';
  const found = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined;
  const endpoint = found?.methods.includes(method) === true ? found : undefined;
  traffic.asked('http', endpoint?.name);
  if (conditions.maintenance.isOn) return maintenance;
  if (method === 'POST' && request.headers['content-length'] === undefined) return lengthRequired;
  if (!pacing.take(endpoint?.name ?? '')) return tooManyRequests;
  if (endpoint === undefined) return notFound;
  if (sso.session === undefined) return withoutLogin(gateway, endpoint);
  gateway.touch();
  return endpoint.answer(gateway, { session: sso.session, body });
}

function withoutLogin(gateway: Gateway, { afterLogout }: Endpoint): Answer {
  switch (gateway.sso.absence) {
    case 'access_denied':
      return accessDenied;
    case 'redirect':
      return { status: 302, body: '', type: 'html', headers: { location: LOGIN_URL } };
    case 'no_session':
      return afterLogout?.(gateway) ?? accessDenied;
  }
}

/** `garbage` is said instead of the answer's own body. */
function send(response: ServerResponse, { status, body, type, headers }: Answer, garbage: string | undefined): void {
  const text = garbage ?? (typeof body === 'string' ? body : JSON.stringify(body));
  response.writeHead(status, {
    'content-type': TYPES[type ?? 'json'],
    'content-length': Buffer.byteLength(text),
    'cache-control': 'max-age=0, no-cache, no-store',
    ...headers,
  });
  response.end(text);
}
