import { createHash, createHmac } from 'node:crypto';
import type { Json } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import type { Token } from './messages.js';
import { type Credentials, scopeWords } from './options.js';

/** What is asked of public/auth, and what of it was granted. */

const NONCE_CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const NONCE_LENGTH = 16;

/**
 * Deribit docs, "Authentication", over WebSocket: lower-case hex HMAC-SHA256 over `timestamp \n nonce \n data`, with
 * both line feeds even where `data` is empty. The timestamp is valid for 60 s, the nonce once.
 */
export function signatureOf(secret: string, timestampMs: number, nonce: string, data = ''): string {
  return createHmac('sha256', secret).update(`${timestampMs}\n${nonce}\n${data}`, 'utf8').digest('hex');
}

/** The parameters of a full authentication: `client_credentials` or `client_signature`. */
export function authParams(
  credentials: Credentials,
  scope: string,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Json {
  const { clientId, clientSecret, grant } = credentials;
  const asked = { client_id: clientId, scope: requestedScope(scope) };
  if (grant === 'client_credentials') return { grant_type: grant, ...asked, client_secret: clientSecret };
  const timestamp = clock.now();
  const nonce = drawNonce(random);
  const signature = signatureOf(clientSecret, timestamp, nonce);
  return { grant_type: grant, ...asked, timestamp, signature, nonce, data: '' };
}

/** A refresh token is good once: the reply brings the next one. */
export function refreshParams({ refreshToken }: Token): Json {
  return { grant_type: 'refresh_token', refresh_token: refreshToken };
}

/** `connection` is the venue's default; said anyway, so that further words do not leave it in doubt. */
function requestedScope(scope: string): string {
  const words = scopeWords(scope);
  const isPlaced = words.some((word) => word === 'connection' || word.startsWith('session:'));
  return (isPlaced ? words : ['connection', ...words]).join(' ');
}

const LEVELS: readonly string[] = ['none', 'read', 'read_write'];

/**
 * The words that were asked for and not granted: the venue leaves out silently what a key does not have, and says the
 * rest in any order (Deribit docs, "Access scope": "should verify assigned scopes"). More than was asked is no lack.
 * `expires` and `ip` show in other ways, and are not looked for.
 */
export function missingScopes(scope: string, granted: ReadonlySet<string>): readonly string[] {
  return scopeWords(requestedScope(scope)).filter((word) => {
    if (granted.has(word) || /^(expires|ip):/.test(word)) return false;
    const [family = '', level = ''] = word.split(':');
    const asked = LEVELS.indexOf(level);
    if (asked < 0) return true;
    return !LEVELS.some((one, rank) => rank >= asked && granted.has(`${family}:${one}`)) && level !== 'none';
  });
}

/** Granted scopes as one text whose order does not change from login to login. */
export function scopeText(scopes: ReadonlySet<string>): string {
  return [...scopes].toSorted().join(' ');
}

/** Names something secret without holding it: enough to compare, too little to use. */
export function digestOf(secret: string): string {
  return createHash('sha256').update(`session-relay:${secret}`).digest('hex').slice(0, 32);
}

function drawNonce(random: Random): string {
  return Array.from({ length: NONCE_LENGTH }, () =>
    NONCE_CHARACTERS.charAt(Math.floor(random() * NONCE_CHARACTERS.length)),
  ).join('');
}
