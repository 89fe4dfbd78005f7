import { Agent, buildConnector, request } from 'undici';
import { messageOf, SessionRelayError, VenueTimeoutError } from '../errors.js';
import type { HttpClient, HttpOptions, HttpReply } from './http.js';
import { fingerprintProblem, tlsConnection } from './verify.js';

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Requests of one source that are under way at once; more are not sent. */
export const MAX_REQUESTS_AT_ONCE = 64;
/** Connecting gets half of a request's time, at most: then a host that does not answer is told from a slow answer. */
const MAX_CONNECT_TIMEOUT_MS = 5_000;

/** What undici throws before anything was sent, beside what its connector does. */
const UNSENT_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_INVALID_ARG',
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
]);

/**
 * One source's HTTP over undici: an agent of its own, no redirects, no retries. Throws `config_invalid` where the CA
 * of `tls` cannot be read.
 */
export function createHttpClient(options: HttpOptions): HttpClient {
  const { tls, maxBodyBytes = DEFAULT_MAX_BODY_BYTES } = options;
  const usualMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const connector = buildConnector({
    timeout: Math.min(MAX_CONNECT_TIMEOUT_MS, usualMs / 2),
    // A resumed TLS session shows no certificate: what is pinned is shown anew by every connection.
    ...(tls?.fingerprint === undefined ? {} : { maxCachedSessions: 0 }),
    ...tlsConnection(tls),
  });
  /** Why connections failed: a request that ends with one of these was never sent. */
  const unconnected = new WeakSet<Error>();
  let closed = false;
  let underWay = 0;
  const agent = new Agent({
    connect(target, done) {
      const fail = (error: Error): void => {
        unconnected.add(error);
        done(error, null);
      };
      connector(target, (error, socket) => {
        if (error !== null) return fail(error);
        const problem = fingerprintProblem(tls, socket);
        if (problem === undefined) return done(null, socket);
        socket.destroy();
        fail(problem);
      });
    },
  });
  const wasUnsent = (cause: unknown): boolean =>
    (cause instanceof Error && unconnected.has(cause)) || UNSENT_CODES.has(codeOf(cause) ?? '');

  return {
    async request({ method, url, headers, body, timeoutMs = usualMs }) {
      const where = `${method} ${withoutSecrets(url)}`;
      if (closed) throw new SessionRelayError('closed', `${where}: this source's HTTP client is closed`);
      // Without the cause: it repeats the whole URL.
      if (!isHttp(url)) throw new SessionRelayError('source_unavailable', `${where}: the URL cannot be used`);
      if (underWay >= MAX_REQUESTS_AT_ONCE)
        throw new SessionRelayError('source_unavailable', `${where}: ${underWay} requests are under way`);
      underWay++;
      try {
        const answer = await request(url, {
          method,
          dispatcher: agent,
          headers: {
            ...headers,
            ...(body === undefined && (method === 'POST' || method === 'PUT') ? { 'content-length': '0' } : {}),
          },
          ...(body === undefined ? {} : { body }),
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
          signal: AbortSignal.timeout(timeoutMs),
        });
        return {
          status: answer.statusCode,
          ...headersOf(answer.headers),
          body: await textOf(answer.body, where, maxBodyBytes),
        };
      } catch (cause) {
        throw failure(where, cause, wasUnsent(cause));
      } finally {
        underWay--;
      }
    },
    close() {
      closed = true;
      return agent.destroy();
    },
  };
}

/** Query strings may hold credentials, and so may what stands before the host: neither reaches a message. */
function withoutSecrets(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//');
}

function isHttp(url: string): boolean {
  return /^https?:/i.test(url) && URL.canParse(url);
}

function headersOf(
  raw: Readonly<Record<string, string | string[] | undefined>>,
): Pick<HttpReply, 'headers' | 'cookies'> {
  const headers: Record<string, string> = {};
  let cookies: readonly string[] = [];
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined) continue;
    if (name === 'set-cookie') cookies = typeof value === 'string' ? [value] : value;
    else headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return { headers, cookies };
}

async function textOf(body: AsyncIterable<Uint8Array>, where: string, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > maxBytes) {
      throw new SessionRelayError('venue_error', `${where}: the answer is larger than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function failure(where: string, cause: unknown, unsent: boolean): SessionRelayError {
  if (cause instanceof SessionRelayError) return cause;
  if (unsent) {
    return new SessionRelayError('source_unavailable', `${where}: the venue cannot be reached: ${whyOf(cause)}`, {
      cause,
    });
  }
  return new VenueTimeoutError(
    `${where}: no whole answer (${codeOf(cause) ?? messageOf(cause)}); whether the venue acted is unknown`,
    { cause },
  );
}

/** A host with several addresses fails with one error for each, under a message that is empty. */
function whyOf(cause: unknown): string {
  return cause instanceof AggregateError ? cause.errors.map(messageOf).join('; ') : messageOf(cause);
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
}
