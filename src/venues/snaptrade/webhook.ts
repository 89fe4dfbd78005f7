import { createHash } from 'node:crypto';
import { z } from 'zod';
import { connectionId, parseVenueTime, present } from './messages.js';
import { fromPythonJson, readPythonJson } from './python-json.js';
import { isSignedBy } from './signing.js';

/** One webhook, verified and read (SnapTrade docs, webhooks). */
export interface Delivery {
  /** The vendor's id of it, the same in each repetition; where it has none, one that its body makes. */
  readonly id: string;
  /** Open. */
  readonly type: string;
  readonly userId?: string;
  readonly atMs: number;
  readonly connection?: string;
  /** Of `CONNECTION_ATTEMPTED`: how it ended. */
  readonly result?: string;
}

export type ReadDelivery =
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'forged' }
  | { readonly kind: 'delivery'; readonly delivery: Delivery };

/** A larger body is no webhook: the vendor's have a few hundred bytes. */
const MAX_BODY_BYTES = 256 * 1024;

const id = z.union([z.string().regex(/^[\w.:-]{1,128}$/), z.number().int().transform(String)]);
const word = z.string().regex(/^[A-Za-z0-9_]{1,64}$/);
const optionalWord = word.optional().catch(undefined);
const payload = z.looseObject({
  eventType: word,
  eventTimestamp: z.string(),
  webhookId: id.optional().catch(undefined),
  /** A typo of the vendor's own samples. */
  webookId: id.optional().catch(undefined),
  userId: z
    .union([z.string().min(1), z.number().transform(String)])
    .optional()
    .catch(undefined),
  brokerageAuthorizationId: connectionId.optional().catch(undefined),
  /** What OAuth applications get instead. */
  connectionId: connectionId.optional().catch(undefined),
  connectionAttemptedResult: optionalWord,
  details: z.looseObject({ connectionAttemptedResult: optionalWord }).optional().catch(undefined),
});

/**
 * Verifies and reads one webhook. The signature is over the payload as Python prints it, and is proved before anything
 * that stands in the body counts.
 */
export function readDelivery(body: Uint8Array, signature: string | undefined, consumerKey: string): ReadDelivery {
  if (signature === undefined || signature === '') return { kind: 'forged' };
  if (body.byteLength > MAX_BODY_BYTES) return { kind: 'unreadable' };
  const value = readPythonJson(textOf(body) ?? '');
  if (value === undefined) return { kind: 'unreadable' };
  if (!isSignedBy(consumerKey, value, signature)) return { kind: 'forged' };
  const parsed = payload.safeParse(fromPythonJson(value));
  const atMs = parsed.success ? parseVenueTime(parsed.data.eventTimestamp) : undefined;
  if (!parsed.success || atMs === undefined) return { kind: 'unreadable' };
  const { eventType, webhookId, webookId, userId, brokerageAuthorizationId, connectionId: oauth } = parsed.data;
  const { connectionAttemptedResult, details } = parsed.data;
  return {
    kind: 'delivery',
    delivery: present({
      id: webhookId ?? webookId ?? `body-${createHash('sha256').update(body).digest('hex').slice(0, 32)}`,
      type: eventType,
      userId,
      atMs,
      connection: brokerageAuthorizationId ?? oauth,
      result: connectionAttemptedResult ?? details?.connectionAttemptedResult,
    }),
  };
}

function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
}
