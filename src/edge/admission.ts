import type { Authenticator } from './auth.js';
import type { Limits } from './limits.js';

/** Who may speak to the relay at all: credentials in headers, `Host` and `Origin` (PROTOCOL.md §4, Credentials and Grants). */
const BEARER_ENTRY = 'bearer.';

/** The token of `Authorization: Bearer T`, else of a subprotocol entry `bearer.<T>`; never of the URL. */
export function tokenOfHeaders(headers: Readonly<Record<string, string>>): string | undefined {
  const [, given] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  if (given !== undefined) return given;
  const entry = (headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((one) => one.trim())
    .find((one) => one.startsWith(BEARER_ENTRY));
  if (entry === undefined) return undefined;
  const token = entry.slice(BEARER_ENTRY.length);
  // A JWT has two dots and stands as it is; anything else is base64url.
  return token.split('.').length === 3 ? token : Buffer.from(token, 'base64url').toString('utf8');
}

/**
 * Why a request must not be served because of where it comes from, its `Host` or its `Origin`; `undefined` where it
 * may. Without credentials only loopback peers are served, and a loopback name is asked for, so that a web page cannot
 * reach a local relay through a name of its own (DNS rebinding).
 */
export function authorityProblem(
  { headers, remoteAddress }: { readonly headers: Readonly<Record<string, string>>; readonly remoteAddress: string },
  { limits, authenticator }: { readonly limits: Limits; readonly authenticator: Pick<Authenticator, 'loopbackOnly'> },
): string | undefined {
  const host = headers.host ?? '';
  if (authenticator.loopbackOnly) {
    if (!isLoopbackPeer(remoteAddress)) return 'without auth the relay serves loopback peers only';
    if (!isLoopbackName(host)) return 'without auth the relay answers to loopback names only';
  }
  const { origin } = headers;
  if (origin === undefined || limits.origins.includes(origin)) return undefined;
  return ownOrigin(origin, host) ? undefined : 'this origin is not allowed: name it in limits.origins';
}

/** Whether a peer is on this machine. */
export function isLoopbackPeer(remoteAddress: string): boolean {
  return isLoopbackName(hostOf(remoteAddress));
}

/**
 * Why a request for the relay's health must not be served: without credentials, a name that is no loopback's is how a
 * web page reaches a local relay (DNS rebinding). Orchestrators ask by address, and are answered wherever they are.
 */
export function rebindingProblem(
  host: string | undefined,
  authenticator: Pick<Authenticator, 'loopbackOnly'>,
): string | undefined {
  if (!authenticator.loopbackOnly || host === undefined || isLoopbackName(host) || isAddress(host)) return undefined;
  return 'without auth the relay answers to addresses and loopback names only';
}

/** A host that is given as an address needs no name server. */
function isAddress(host: string): boolean {
  const hostname = hostnameOf(host);
  return hostname.startsWith('[') || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function ownOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host.toLowerCase();
  } catch {
    return false;
  }
}

function isLoopbackName(host: string): boolean {
  const hostname = hostnameOf(host);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** The host of a `Host` header, as URLs write it; empty where it is none. */
function hostnameOf(host: string): string {
  // What else a URL may have before its path, a `Host` may not: `x@localhost` is no name of ours.
  if (!/^(?:\[[\da-f:.]+\]|[^\s/?#@\\:[\]]+)(?::\d{1,5})?$/i.test(host)) return '';
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}
