import { createHmac, timingSafeEqual } from 'node:crypto';
import { API_KEY } from './account.js';
import { refusals } from './refusal.js';

/** Checks requests that are signed with the API key (Tradernet's SDKs; the recursive sorting: tn.api, examples). */
export interface Keys {
  /** Version 3: `X-NtApi-Sig` over the body and the time in unix seconds; without a body over the time alone. Throws. */
  verifyV3(signed: Signed, body: string): void;
  /** Version 2: `X-NtApi-Sig` over all fields of the form, sorted at every depth; a nonce is good for once. Throws. */
  verifyV2(fields: Fields, signature: string | undefined): void;
}

export interface Signed {
  readonly publicKey: string | undefined;
  readonly timestamp: string | undefined;
  readonly signature: string | undefined;
}

/** A form: `a[b]=c` is nested. */
export interface Fields {
  readonly [name: string]: string | Fields;
}

/** How far a signature's time may be off: assumed, no source says. */
const SIGNATURE_VALID_MS = 300_000;
/** Nonces that are remembered. */
const MAX_NONCES = 10_000;

export function createKeys(now: () => number, isRefused: () => boolean): Keys {
  const spent = new Set<string>();
  const checkKey = (publicKey: unknown): void => {
    if (publicKey !== API_KEY.publicKey || isRefused()) throw refusals.badKey();
  };
  return {
    verifyV3({ publicKey, timestamp = '', signature = '' }, body) {
      checkKey(publicKey);
      const fresh = /^\d{1,12}$/.test(timestamp) && Math.abs(now() - Number(timestamp) * 1_000) <= SIGNATURE_VALID_MS;
      if (!fresh || !same(signature, hmac(body + timestamp))) throw refusals.badSignature();
    },
    verifyV2(fields, signature = '') {
      checkKey(fields.apiKey);
      const { nonce } = fields;
      if (typeof nonce !== 'string' || !/^\d+$/.test(nonce)) throw refusals.badParams('nonce');
      if (spent.has(nonce) || !same(signature, hmac(sorted(fields)))) throw refusals.badSignature();
      spent.add(nonce);
      const [oldest] = spent;
      if (spent.size > MAX_NONCES && oldest !== undefined) spent.delete(oldest);
    },
  };
}

function hmac(message: string): string {
  return createHmac('sha256', API_KEY.secretKey).update(message).digest('hex');
}

function sorted(fields: Fields): string {
  const names = Object.keys(fields).sort();
  return names.map((name) => `${name}=${textOf(fields[name] ?? '')}`).join('&');
}

function textOf(value: string | Fields): string {
  return typeof value === 'string' ? value : sorted(value);
}

function same(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
