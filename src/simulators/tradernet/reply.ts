import type { OutgoingHttpHeaders } from 'node:http';
import type { Json } from '../../model/json.js';

/** What a request over HTTP is answered with: JSON, or a page where the body is a text. */
export interface Answer {
  readonly status: number;
  readonly body: Json;
  readonly headers?: OutgoingHttpHeaders;
  /** The code of a refusal, for the count. */
  readonly refused?: number;
}

export function json(body: Json, headers: OutgoingHttpHeaders = {}): Answer {
  return { status: 200, body, headers };
}

/** 429 as the PHP SDK knows it; `Retry-After` in seconds. */
export function throttled(leftMs: number): Answer {
  const errMsg = 'Your request limit has been exceeded. Please try again later';
  return {
    status: 429,
    body: { error: 'Too many requests', errMsg, code: 429 },
    headers: { 'retry-after': String(Math.max(1, Math.ceil(leftMs / 1_000))) },
    refused: 429,
  };
}
