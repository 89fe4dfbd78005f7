import { createHmac } from 'node:crypto';

/**
 * Signatures of Tradernet's API keys: HMAC-SHA256 in lower-case hex, keyed with the secret key. The secret key itself
 * is never sent.
 */
export interface ApiKey {
  readonly publicKey: string;
  readonly secretKey: string;
}

export function hmacHex(secretKey: string, message: string): string {
  return createHmac('sha256', secretKey).update(message, 'utf8').digest('hex');
}

/** Version 3, today's SDKs: over the body and the time in unix **seconds**; a request without parameters has an empty body. */
export function signV3(
  { publicKey, secretKey }: ApiKey,
  body: string,
  nowMs: number,
): Readonly<Record<string, string>> {
  const seconds = String(Math.floor(nowMs / 1_000));
  return {
    'X-NtApi-PublicKey': publicKey,
    'X-NtApi-Timestamp': seconds,
    'X-NtApi-Sig': hmacHex(secretKey, body + seconds),
  };
}

/** What version 2 signs: `key=value` joined with `&`, keys sorted at every depth. */
export interface Signable {
  readonly [name: string]: string | number | Signable;
}

/** The text under a version 2 signature (tn.api, examples/tn-crypto.js). */
export function presign(fields: Signable): string {
  return Object.entries(fields)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `${name}=${typeof value === 'object' ? presign(value) : value}`)
    .join('&');
}

/** Version 2: a form with `apiKey`, `cmd` and a growing `nonce`, signed as a whole. */
export function signV2(
  { publicKey, secretKey }: ApiKey,
  command: string,
  nonce: number,
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  const fields = { apiKey: publicKey, cmd: command, nonce };
  const form = new URLSearchParams({ apiKey: publicKey, cmd: command, nonce: String(nonce) });
  return { body: form.toString(), headers: { 'X-NtApi-Sig': hmacHex(secretKey, presign(fields)) } };
}

/** The query of a WebSocket that is opened with an API key (official Python SDK): the time alone is signed. */
export function socketQuery(key: ApiKey, nowMs: number): Readonly<Record<string, string>> {
  return signV3(key, '', nowMs);
}
