import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../errors.js';
import type { Json } from '../../model/json.js';
import { readBody } from '../body.js';
import { type ApiRequest, admit } from './admission.js';
import type { Instead } from './conditions.js';
import { type Answer, operationOf } from './operations.js';
import type { Platform } from './platform.js';
import { Refusal, refusalBody, refusals } from './refusal.js';

/** The API: whatever is not `/_sim` is a request of the partner's. */
export function serveApi(request: IncomingMessage, response: ServerResponse, platform: Platform): void {
  const { clock, conditions, traffic } = platform;
  if (conditions.httpDown.isOn) {
    traffic.unanswered();
    request.socket.destroy();
    return;
  }
  if (conditions.silence.isOn) {
    traffic.unanswered();
    request.resume();
    return;
  }
  readBody(request, (body) => {
    if (body === undefined) {
      response.writeHead(413).end();
      return;
    }
    const instead = conditions.instead.shift();
    const answered = answer(platform, requestOf(request, body), instead);
    const send = (): void => write(response, platform, answered, instead);
    if (conditions.slow.isOn) clock.setTimer(send, conditions.delayMs);
    else send();
  });
}

function requestOf(request: IncomingMessage, body: string): ApiRequest {
  const [path = '', ...rest] = (request.url ?? '').split('?');
  const query = rest.join('?');
  const { signature } = request.headers;
  return {
    method: request.method ?? 'GET',
    path,
    query,
    params: new URLSearchParams(query),
    body,
    signature: typeof signature === 'string' ? signature : undefined,
  };
}

function answer(platform: Platform, request: ApiRequest, instead: Instead | undefined): Answer {
  const { traffic, conditions } = platform;
  const operation = operationOf(platform, request.method, request.path);
  traffic.asked(operation instanceof Refusal ? undefined : operation.name);
  try {
    admit(platform, request);
    if (instead?.kind === 'status') throw refusalOf(instead.status);
    if (operation instanceof Refusal) throw operation;
    return operation.answer(request);
  } catch (thrown) {
    const refusal = thrown instanceof Refusal ? thrown : new Refusal(500, messageOf(thrown), '1000', 'status');
    traffic.refused(refusal.status, refusal.code);
    return { status: refusal.status, body: refusalBody(refusal, conditions.spelling) };
  }
}

/** What the venue says with a status, by the vendor's spec. */
function refusalOf(status: number): Refusal {
  switch (status) {
    case 400:
      return refusals.badRequest('Bad request');
    case 401:
      return refusals.badSignature();
    case 402:
      return refusals.disabled();
    case 403:
      return refusals.forbidden();
    case 404:
      return refusals.notFound();
    case 425:
      return refusals.tooEarly();
    case 501:
      return refusals.notImplemented();
    case 503:
      return refusals.brokerageDown();
    default:
      return refusals.broken();
  }
}

function write(
  response: ServerResponse,
  platform: Platform,
  { status, body }: Answer,
  instead: Instead | undefined,
): void {
  const { text, type } = textOf(body, instead);
  // 204 has no body: garbage in its place comes with 200.
  response.writeHead(text !== '' && status === 204 ? 200 : status, {
    ...(text === '' ? {} : { 'content-type': type }),
    'content-length': Buffer.byteLength(text),
    'x-request-id': platform.nextRequestId(),
    // The venue's own clock, not the machine's.
    date: new Date(platform.clock.now()).toUTCString(),
    ...rateHeaders(platform),
  });
  response.end(text);
}

function textOf(
  body: Json | undefined,
  instead: Instead | undefined,
): { readonly text: string; readonly type: string } {
  if (instead?.kind === 'garbage') return { text: instead.text, type: 'text/html' };
  if (body === undefined) return { text: '', type: '' };
  if (typeof body === 'string') return { text: body, type: 'text/plain' };
  const text = JSON.stringify(body);
  // Blanks are no part of what JSON says.
  return { text: instead?.kind === 'oversized' ? text.padEnd(instead.bytes) : text, type: 'application/json' };
}

function rateHeaders({ clock, conditions, rate }: Platform): { readonly [name: string]: number } {
  const { remaining, resetSeconds } = rate.look();
  const throttledFor = conditions.throttled.isOn ? (conditions.throttledUntil - clock.monotonic()) / 1_000 : 0;
  return {
    'x-ratelimit-limit': rate.limit,
    'x-ratelimit-remaining': throttledFor > 0 ? 0 : remaining,
    'x-ratelimit-reset': throttledFor > 0 ? Math.ceil(throttledFor) : resetSeconds,
  };
}
