import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from './wire.js';

/** Made up: the only key of this venue. */
export const API_KEY = { clientId: 'SIMULATOR', clientSecret: 'SIMULATOR-SECRET' } as const;

/** Deribit docs, "Authentication": a signature's timestamp is valid this long. */
const SIGNATURE_VALID_MS = 60_000;

/** A query string cannot tell a number from a text. */
const text = z.union([z.string(), z.number().transform(String)]);

export const authParams = z.discriminatedUnion(
  'grant_type',
  [
    z.object({ grant_type: z.literal('client_credentials'), client_id: text, client_secret: text }),
    z.object({
      grant_type: z.literal('client_signature'),
      client_id: text,
      timestamp: z.coerce.number().int(),
      signature: text,
      nonce: text.optional(),
      data: text.optional(),
    }),
    z.object({ grant_type: z.literal('refresh_token'), refresh_token: text }),
  ],
  'client_credentials, client_signature or refresh_token',
);

export type AuthParams = z.output<typeof authParams>;

export interface Login {
  /** Throws 13004 unless the key's holder asks. */
  verify(params: Exclude<AuthParams, { readonly grant_type: 'refresh_token' }>): void;
}

/** Checks who logs in. A nonce is good for one signature. */
export function createLogin(now: () => number): Login {
  /** When each signature that was used becomes too old to be used again. */
  const spent = new Map<string, number>();
  return {
    verify(params) {
      if (!same(params.client_id, API_KEY.clientId)) throw new Refusal('invalid_credentials');
      if (params.grant_type === 'client_credentials') {
        if (!same(params.client_secret, API_KEY.clientSecret)) throw new Refusal('invalid_credentials');
        return;
      }
      const { timestamp, nonce = '', data = '', signature } = params;
      if (Math.abs(now() - timestamp) > SIGNATURE_VALID_MS) throw new Refusal('invalid_credentials');
      for (const [key, until] of spent) if (until < now()) spent.delete(key);
      const key = nonce === '' ? signature : nonce;
      if (spent.has(key) || !same(signature, signatureOf(API_KEY.clientSecret, timestamp, nonce, data))) {
        throw new Refusal('invalid_credentials');
      }
      spent.set(key, timestamp + SIGNATURE_VALID_MS);
    },
  };
}

/** Deribit docs, "Authentication", WebSocket: two line feeds always, lower-case hex. */
export function signatureOf(secret: string, timestamp: number, nonce: string, data: string): string {
  return createHmac('sha256', secret).update(`${timestamp}\n${nonce}\n${data}`).digest('hex');
}

function same(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
