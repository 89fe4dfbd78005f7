/** What a transport says itself, before any handler is asked: RFC 9457, as everything else that the relay refuses. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const TITLES = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
} as const;

export function refusal(status: keyof typeof TITLES, detail: string): Refusal {
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(status === 503 ? { 'retry-after': '5' } : {}),
    },
    body: JSON.stringify({ title: TITLES[status], status, detail }),
  };
}

export const TOO_LARGE: Refusal = refusal(413, 'the body is too large');
export const UNREADABLE: Refusal = refusal(400, 'the request cannot be read');
export const BODY_TOO_LATE: Refusal = refusal(408, 'the body did not come in time');
export const TOO_MANY_BODIES: Refusal = refusal(503, 'too much is being sent at once: come again later');
export const NOT_ACCEPTING: Refusal = refusal(503, 'the relay is shutting down');
export const FAULT: Refusal = refusal(500, 'a fault in the relay; its log says more');

/** The longest close reason that a close frame carries. */
const MAX_REASON_BYTES = 123;

/** A close reason that fits, cut between characters. */
export function closeReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  return bytes
    .subarray(0, MAX_REASON_BYTES)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
}
