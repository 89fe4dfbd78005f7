import { usageError } from './args.js';

export const DEFAULT_RELAY_URL = 'http://127.0.0.1:8080';
const SOCKET_PATH = '/v1/ws';
const SCHEMES: Readonly<Record<string, string>> = {
  'http:': 'http:',
  'ws:': 'http:',
  'https:': 'https:',
  'wss:': 'https:',
};

/**
 * `http://host:port`, or the socket's own `ws://host:port/v1/ws`, to the relay's origin. What else a URL may hold (a
 * password, a query with a token) is refused rather than passed over, and is not repeated in the message.
 */
export function relayOrigin(text: string | undefined): string {
  const given = text ?? DEFAULT_RELAY_URL;
  if (!URL.canParse(given)) throw usageError(`the relay's URL cannot be read: give one like ${DEFAULT_RELAY_URL}`);
  const url = new URL(given);
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined || url.host === '') {
    throw usageError(`a relay's URL begins with http://, https://, ws:// or wss://, like ${DEFAULT_RELAY_URL}`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    throw usageError("a relay's URL holds no credentials: give the token with --token or SESSION_RELAY_TOKEN");
  }
  if (url.pathname !== '/' && url.pathname !== SOCKET_PATH) {
    throw usageError(`a relay's URL has no path, or ${SOCKET_PATH}: not ${url.pathname}`);
  }
  return `${scheme}//${url.host}`;
}

/** The socket's URL of an origin. */
export function socketUrl(origin: string): string {
  return `${origin.replace(/^http/, 'ws')}${SOCKET_PATH}`;
}

/** The token of `--token`, else of `SESSION_RELAY_TOKEN`. The message about a wrong one never repeats it. */
export function tokenOf(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const token = (flag ?? env.SESSION_RELAY_TOKEN ?? '').trim();
  if (token === '') return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw usageError('the token has characters that a header cannot carry: letters, digits and signs, no spaces');
  }
  return token;
}
