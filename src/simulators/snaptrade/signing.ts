import { createHmac } from 'node:crypto';
import type { Json } from '../../model/json.js';
import { dumps, type PythonValue } from './python-json.js';

/** One request, as it came: nothing decoded, nothing in another order (vendor's docs, request-signatures). */
export interface SignedRequest {
  /** As requested, with `/api/v1` where the request had it. */
  readonly path: string;
  /** The raw text after the question mark. */
  readonly query: string;
  /** `null` where there is no body, or `{}`. */
  readonly content: Json;
}

/** base64 of HMAC-SHA256, with the key as it is (vendor's docs, request-signatures and webhooks). */
export function signatureOf(consumerKey: string, text: string): string {
  return createHmac('sha256', consumerKey).update(text).digest('base64');
}

/**
 * Whether the request carries a right signature. What the vendor recomputes for a body that is not ASCII is unknown, and
 * its own SDKs differ: both forms are taken.
 */
export function isSigned(consumerKey: string, request: SignedRequest, signature: string): boolean {
  const { path, query, content } = request;
  return [true, false].some(
    (ascii) =>
      signatureOf(consumerKey, dumps({ content, path, query }, { sortKeys: true, compact: true, ascii })) === signature,
  );
}

/** The header `Signature` of a webhook: over the payload as Python writes it, not over the bytes that are sent. */
export function webhookSignature(consumerKey: string, payload: { readonly [key: string]: PythonValue }): string {
  return signatureOf(consumerKey, dumps(payload, { sortKeys: true, compact: true }));
}
