import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Json, JsonObject } from '../../model/json.js';
import { type PythonJson, printPythonJson, toPythonJson } from './python-json.js';

/**
 * SnapTrade's signatures: base64 of HMAC-SHA256, keyed with the consumer key as it is (SnapTrade docs, request
 * signatures; the vendor's TypeScript SDK runs the key through `encodeURI`, its Python SDK and the docs do not).
 */
export function hmacBase64(consumerKey: string, message: string): string {
  return createHmac('sha256', consumerKey).update(message, 'utf8').digest('base64');
}

/** What one request signs. */
export interface Signable {
  /** As requested: with `/api/v1` where the base URL has it, without where it has not. */
  readonly path: string;
  /** The very bytes that stand behind `?`. */
  readonly query: string;
  readonly content?: JsonObject;
}

/** The text under a request's signature. A body that is absent or `{}` is signed as `null`. */
export function presign({ path, query, content }: Signable): string {
  const isEmpty = content === undefined || Object.keys(content).length === 0;
  const signed: Json = { content: isEmpty ? null : content, path, query };
  return printPythonJson(toPythonJson(signed));
}

export function signRequest(consumerKey: string, signable: Signable): string {
  return hmacBase64(consumerKey, presign(signable));
}

/** The query of one request, built once: what is signed is what is sent (space `+`, comma `%2C`). */
export function queryOf(fields: readonly (readonly [string, string])[]): string {
  return new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString();
}

/** Whether a webhook's signature is that of its payload; takes as long for a wrong one as for a nearly right one. */
export function isSignedBy(consumerKey: string, payload: PythonJson, signature: string): boolean {
  const wanted = Buffer.from(hmacBase64(consumerKey, printPythonJson(payload)), 'utf8');
  const given = Buffer.from(signature.trim(), 'utf8');
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}
