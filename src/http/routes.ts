import { createHash } from 'node:crypto';
import type { Bus } from '../bus/bus.js';
import { authorityProblem, isLoopbackPeer, rebindingProblem, tokenOfHeaders } from '../edge/admission.js';
import type { Edge } from '../edge/edge.js';
import type { LiveAuthenticator } from '../edge/live-auth.js';
import {
  commandParams,
  eventsParams,
  getEvents,
  getSession,
  getSessions,
  runCommand,
  sessionsParams,
} from '../edge/queries.js';
import { parseParams } from '../edge/request.js';
import { asSessionRelayError, messageOf, SessionRelayError } from '../errors.js';
import { isSessionState } from '../model/fold.js';
import type { Grant } from '../model/grant.js';
import { type JsonObject, readJson } from '../model/json.js';
import type { Safety, State } from '../model/session.js';
import { decodeToken } from '../model/subject.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { asyncApi } from './descriptions/asyncapi.js';
import { openApi } from './descriptions/openapi.js';
import { type HealthOptions, livez, readyz } from './health.js';
import { json, text } from './json.js';
import type { Metrics } from './metrics.js';
import type { Page } from './page.js';
import { problem, problemOf } from './problem.js';
import { createStreamRoute } from './stream-route.js';
import { createTickets, type TicketDesk } from './tickets.js';

export interface RoutesOptions extends HealthOptions {
  readonly bus: Bus;
  readonly edge: Edge;
  readonly authenticator: LiveAuthenticator;
  readonly metrics: Pick<Metrics, 'render'>;
  /** Default: kept here. */
  readonly tickets?: TicketDesk;
  /** Whether `/metrics` is told to everybody, and not only to loopback peers and whoever shows a token. */
  readonly publicMetrics: boolean;
  /** What a browser gets at `/`. */
  readonly page: Page;
  readonly clock: Clock;
  readonly log: Log;
}

/** A fetch-style handler that never rejects. */
export type Handler = (
  request: Request,
  peer: { readonly remoteAddress: string; readonly signal: AbortSignal },
) => Promise<Response>;

/** One path: which methods it serves, and to whom without credentials: everybody, or peers on this machine. */
interface Route {
  readonly methods: readonly string[];
  readonly open?: true | 'loopback';
  /** Asked by address, from wherever the orchestrator is. */
  readonly isHealth?: boolean;
  /** Open, and yet served by the names and to the peers and origins alone that what needs credentials is. */
  readonly isPage?: boolean;
  answer(request: Request, url: URL, grant: Grant, parameter: string): Promise<Response>;
}

/** Served by {@link createRoutes} itself: it has credentials of its own kind. */
const streamRoute: Route = { methods: ['GET'], answer: () => Promise.reject(new Error('not served by itself')) };
/** Where subscribers connect. */
export const SOCKET_PATH = '/v1/ws';
const NDJSON = 'application/x-ndjson';
const BLIND_SAFETY: Safety = { level: 'unknown', reasons: ['relay_blind'], notes: [] };

/** The HTTP side of a relay (PROTOCOL.md §5). */
export function createRoutes(options: RoutesOptions): Handler {
  const { bus, edge, authenticator, metrics, page, clock, log } = options;
  const tickets = options.tickets ?? createTickets(clock);
  const { renewed } = authenticator;
  const stream = createStreamRoute({ bus, edge, tickets, clock, log, grantOf, renewed });
  const nobody: Grant = { identity: '', channels: [], commands: [], fields: 'redacted' };

  const find = (path: string): { readonly route: Route; readonly parameter: string } | undefined => {
    const exact = routes[path];
    if (exact !== undefined) return { route: exact, parameter: '' };
    if (page.has(path)) return { route: dashboard, parameter: path };
    const [, key] = /^\/v1\/sessions\/([^/]+)$/.exec(path) ?? [];
    if (key !== undefined) return { route: oneSession, parameter: key };
    const [, hook] = /^\/v1\/hooks\/([^/]+\/[^/]+)$/.exec(path) ?? [];
    return hook === undefined ? undefined : { route: webhook, parameter: hook };
  };

  /** Whoever asks over HTTP hears no `blind`: while the relay cannot follow, no level of its is told as known. */
  const believed = (state: State): State =>
    edge.sight().blind && isSessionState(state) ? { ...state, safety: BLIND_SAFETY } : state;

  /** A venue has no token of ours: what it sends is signed, and the venue's own part of the relay checks it. */
  const webhook: Route = {
    methods: ['POST'],
    open: true,
    async answer(request, _url, _grant, parameter) {
      const [venue = '', id = ''] = parameter.split('/').map(decodeToken);
      const { status, detail } = await bus.webhook({
        venue,
        id,
        headers: Object.fromEntries(request.headers),
        body: new Uint8Array(await request.arrayBuffer()),
      });
      return status < 400 ? json(status, {}) : problem(status, detail ?? 'the request is refused');
    },
  };

  const oneSession: Route = {
    methods: ['GET', 'HEAD'],
    async answer(request, _url, grant, parameter) {
      const state = believed(await sessionOfPath(bus, grant, parameter));
      const seen = 'lastSeenAt' in state ? (state.lastSeenAt ?? '') : '';
      return cached(request, grant, `${state.cursor} ${seen} ${edge.sight().blind}`, state);
    },
  };

  /** It holds no secret: what it shows, the page asks for with the credentials that its user gives it. */
  const dashboard: Route = {
    methods: ['GET', 'HEAD'],
    open: true,
    isPage: true,
    answer: (request, _url, _grant, parameter) => Promise.resolve(page.answer(parameter, request.headers)),
  };

  const routes: Readonly<Record<string, Route>> = {
    '/livez': { methods: ['GET', 'HEAD'], open: true, isHealth: true, answer: () => Promise.resolve(livez(options)) },
    '/readyz': {
      methods: ['GET', 'HEAD'],
      open: true,
      isHealth: true,
      answer: (_request, url) => readyz(options, url.searchParams.get('sources') === '1'),
    },
    '/metrics': {
      methods: ['GET', 'HEAD'],
      open: options.publicMetrics ? true : 'loopback',
      async answer() {
        const { contentType, text: body } = await metrics.render();
        return text(200, body, { 'content-type': contentType });
      },
    },
    '/v1/stream': streamRoute,
    '/v1/ticket': {
      methods: ['POST'],
      answer: async (_request, _url, grant) => json(200, await tickets.issue(grant)),
    },
    '/v1/asyncapi.json': description(() => asyncApi(options)),
    '/v1/openapi.json': description(() => openApi(options)),
    '/v1/sessions': {
      methods: ['GET', 'HEAD'],
      async answer(request, url, grant) {
        const page = await getSessions(bus, grant, parseParams(sessionsParams, queryOf(url)));
        const body = { ...page, sessions: page.sessions.map(believed) };
        return cached(request, grant, `${page.cursor}${url.search} ${edge.sight().blind}`, body);
      },
    },
    '/v1/events': {
      methods: ['GET', 'HEAD'],
      async answer(request, url, grant) {
        const page = await getEvents(bus, grant, parseParams(eventsParams, queryOf(url)));
        if (!(request.headers.get('accept') ?? '').includes(NDJSON)) return json(200, page);
        const lines = page.events.map((event) => `${JSON.stringify(event)}\n`).join('');
        const next = page.next === undefined ? {} : { 'session-relay-next': page.next };
        return text(200, lines, {
          'content-type': NDJSON,
          'session-relay-cursor': page.cursor,
          'session-relay-complete': String(page.complete),
          ...next,
        });
      },
    },
    '/v1/commands': {
      methods: ['POST'],
      async answer(request, _url, grant) {
        const [type] = (request.headers.get('content-type') ?? '').split(';');
        if (type?.trim().toLowerCase() !== 'application/json')
          return problem(415, 'a command is sent as application/json');
        return json(200, await runCommand(bus, grant, parseParams(commandParams, await bodyOf(request))));
      },
    },
  };

  return async (request, { remoteAddress }) => {
    let grant = nobody;
    try {
      const url = new URL(request.url);
      const headers = Object.fromEntries(request.headers);
      const found = find(url.pathname);
      const refused = authority(found?.route, headers, remoteAddress);
      if (refused !== undefined) return problem(403, refused);
      if (found === undefined) return notFound(url.pathname);
      const { route, parameter } = found;
      if (!route.methods.includes(request.method)) {
        const allow = route.methods.join(', ');
        return problem(405, `${url.pathname} is served for ${allow}`, { headers: { allow } });
      }
      if (route === streamRoute) return await stream(request, url, remoteAddress);
      const isOpen = route.open ?? false;
      if (isOpen === false || (isOpen === 'loopback' && !isLoopbackPeer(remoteAddress))) grant = await grantOf(headers);
      return await route.answer(request, url, grant, parameter);
    } catch (thrown) {
      if (asSessionRelayError(thrown).code === 'internal') log.error('a request failed', { error: messageOf(thrown) });
      return problemOf(thrown, grant.fields);
    }
  };

  /** Why a request is not served because of where it comes from, or of the name that it was sent to. */
  function authority(
    route: Route | undefined,
    headers: Readonly<Record<string, string>>,
    remoteAddress: string,
  ): string | undefined {
    if (route?.isHealth === true) return rebindingProblem(headers.host, authenticator);
    // What a venue sends is signed, and comes by whatever name and proxy.
    if (route?.open === true && route.isPage !== true) return undefined;
    return authorityProblem({ headers, remoteAddress }, { limits: edge.limits, authenticator });
  }

  async function grantOf(headers: Readonly<Record<string, string>>): Promise<Grant> {
    const token = tokenOfHeaders(headers);
    if (token !== undefined) return authenticator.authenticate(token);
    if (authenticator.anonymous !== undefined) return authenticator.anonymous;
    throw new SessionRelayError('unauthenticated', 'give a token: Authorization: Bearer …');
  }
}

/** Whoever writes a client needs it before there is a token: it holds nothing of this relay but its version. */
function description(make: () => JsonObject): Route {
  let made: JsonObject | undefined;
  return {
    methods: ['GET', 'HEAD'],
    open: true,
    answer() {
      made ??= make();
      return Promise.resolve(json(200, made, { 'cache-control': 'public, max-age=300' }));
    },
  };
}

function notFound(path: string): Response {
  const shown = path.slice(0, 128);
  if (path === SOCKET_PATH) return problem(426, `${shown} is a WebSocket`, { headers: { upgrade: 'websocket' } });
  return problem(404, `there is nothing at ${shown}`);
}

/** A token may hold `%2E` of its own; a client that knows no better may have encoded the whole key once more. */
async function sessionOfPath(bus: Bus, grant: Grant, parameter: string): Promise<State> {
  try {
    return await getSession(bus, grant, parameter);
  } catch (thrown) {
    const decoded = decodeToken(parameter);
    if (asSessionRelayError(thrown).code !== 'not_found' || decoded === parameter) throw thrown;
    return getSession(bus, grant, decoded);
  }
}

/** A parameter that is given twice becomes a list, which no schema takes: none is passed over without a word. */
function queryOf(url: URL): Readonly<Record<string, unknown>> {
  const query = new Map<string, unknown>();
  for (const [name, value] of url.searchParams) {
    const read = name === 'limit' && /^\d+$/.test(value) ? Number(value) : value;
    query.set(name, query.has(name) ? [query.get(name), read] : read);
  }
  return Object.fromEntries(query);
}

async function bodyOf(request: Request): Promise<unknown> {
  const read = readJson(await request.text());
  if (read.ok) return read.value;
  throw new SessionRelayError('invalid_params', `the body is ${read.why}`);
}

/** A weak ETag over what the answer depends on; 304 where the client has it already. */
function cached(request: Request, grant: Grant, version: string, body: unknown): Response {
  const basis = JSON.stringify([version, grant.identity, grant.channels, grant.fields]);
  const etag = `W/"${createHash('sha256').update(basis).digest('base64url').slice(0, 22)}"`;
  const headers = { etag, vary: 'Authorization', 'cache-control': 'private, no-cache' };
  const known = (request.headers.get('if-none-match') ?? '').split(',').map((one) => one.trim());
  if (known.some((one) => one === '*' || one === etag || `W/${one}` === etag))
    return new Response(null, { status: 304, headers });
  return json(200, body, headers);
}
