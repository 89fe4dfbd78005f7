import { type Json, json } from '../../model/json.js';
import { PARTNER, type User } from './partner.js';
import type { Platform } from './platform.js';
import { refusals } from './refusal.js';
import { isSigned } from './signing.js';

/** One request over HTTP, with its body read; path and query as they came. */
export interface ApiRequest {
  readonly method: string;
  /** As requested, before anything is decoded. */
  readonly path: string;
  /** As requested, without the question mark. */
  readonly query: string;
  readonly params: URLSearchParams;
  readonly body: string;
  readonly signature: string | undefined;
}

/** How far a request's `timestamp` may be from the venue's clock; the vendor has not documented it. */
export const TIMESTAMP_WINDOW_SECONDS = 300;

/** Lets a request of the partner's in, or throws: the client id, the limit, the signature and the time, in this order. */
export function admit(platform: Platform, request: ApiRequest): void {
  const { clock, conditions, rate } = platform;
  if (request.params.get('clientId') !== PARTNER.clientId) throw refusals.badClient();
  if (conditions.throttled.isOn) {
    throw refusals.throttled(Math.max(1, Math.ceil((conditions.throttledUntil - clock.monotonic()) / 1_000)));
  }
  const taken = rate.take();
  if (!taken.granted) throw refusals.throttled(taken.resetSeconds);
  if (conditions.badSignature.isOn || request.signature === undefined) throw refusals.badSignature();
  const timestamp = request.params.get('timestamp') ?? '';
  const age = /^\d{1,12}$/.test(timestamp) ? clock.now() / 1_000 - Number(timestamp) : Number.POSITIVE_INFINITY;
  if (Math.abs(age) > TIMESTAMP_WINDOW_SECONDS) throw refusals.badSignature();
  const { path, query } = request;
  if (!isSigned(PARTNER.consumerKey, { path, query, content: contentOf(request.body) }, request.signature)) {
    throw refusals.badSignature();
  }
}

/** The customer that the request is about; throws for one that is unknown, or has another secret. */
export function customerOf(platform: Platform, { params }: ApiRequest): User {
  const [only] = platform.users;
  if (platform.personal && only !== undefined) return only;
  const user = platform.userOf(params.get('userId') ?? '');
  if (user === undefined || user.userSecret !== params.get('userSecret')) throw refusals.badUser();
  return user;
}

/** `{}` is signed as no body is (vendor's docs, request-signatures). */
function contentOf(body: string): Json {
  if (body === '') return null;
  let content: Json;
  try {
    content = json.parse(JSON.parse(body));
  } catch {
    throw refusals.badRequest('The body is not JSON');
  }
  const isEmpty = typeof content === 'object' && content !== null && Object.keys(content).length === 0;
  return isEmpty && !Array.isArray(content) ? null : content;
}
