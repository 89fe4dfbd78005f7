import type { Clock } from '../../net/clock.js';
import type { Auth } from './api.js';
import { type CarrierTarget, type OpenCarrier, SAYS_USER_DATA } from './carriers/carrier.js';
import { openSocketIo2 } from './carriers/socketio2.js';
import { openSocketIo4 } from './carriers/socketio4.js';
import { openWebSocket } from './carriers/websocket.js';
import { DEFAULT_SOCKETIO_URL, DEFAULT_WEBSOCKET_URL, LOGIN_PLACEHOLDER, type TradernetConfig } from './options.js';
import { socketQuery } from './signing.js';

/** Where a source connects to, and with which headers. */
export const CARRIERS: Readonly<Record<TradernetConfig['transport'], OpenCarrier>> = {
  websocket: openWebSocket,
  socketio2: openSocketIo2,
  socketio4: openSocketIo4,
};

export function socketUrl({ transport, url }: Pick<TradernetConfig, 'transport' | 'url'>): string {
  return url ?? (transport === 'websocket' ? DEFAULT_WEBSOCKET_URL : DEFAULT_SOCKETIO_URL);
}

/**
 * Headers of every request and upgrade: the configured ones over defaults. The venue's front answers the User-Agents of
 * well-known HTTP libraries with 403, and captures of its socket carry an Origin.
 */
export function headersOf({
  headers,
  httpUrl,
}: Pick<TradernetConfig, 'headers' | 'httpUrl'>): Readonly<Record<string, string>> {
  const defaults = { 'user-agent': 'Mozilla/5.0 (compatible; session-relay)', origin: new URL(httpUrl).origin };
  const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { ...defaults, ...Object.fromEntries(own) };
}

/** Made anew for each connection: a SID changes, and a signature holds a time. */
export function targetOf(config: TradernetConfig, auth: Auth | undefined, clock: Clock): CarrierTarget {
  const url = new URL(socketUrl(config));
  const proof = auth === undefined ? {} : 'sid' in auth ? { SID: auth.sid } : socketQuery(auth, clock.now());
  for (const [name, value] of Object.entries(proof)) url.searchParams.set(name, value);
  const { credentials, tls, transport, userTemplate } = config;
  // The reference page gives the SID of a socket.io connection twice: in the query and as a cookie.
  const cookie =
    SAYS_USER_DATA[transport] || auth === undefined || !('sid' in auth)
      ? {}
      : { cookie: `SID=${encodeURIComponent(auth.sid)}` };
  const login = 'login' in credentials ? credentials.login : '';
  return {
    url: url.toString(),
    headers: { ...headersOf(config), ...cookie },
    user: userTemplate.replaceAll(LOGIN_PLACEHOLDER, login),
    ...(tls === undefined ? {} : { tls }),
  };
}
