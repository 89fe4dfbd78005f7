import type { TlsOptions } from './tls.js';

/** One HTTP request to a venue. Redirects are never followed; nothing is retried. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as is. A POST or PUT without one carries `Content-Length: 0`. */
  readonly body?: string;
  readonly timeoutMs?: number;
}

export interface HttpReply {
  readonly status: number;
  /** Names in lower case; several of one name joined by `, `, except `set-cookie`: see `cookies`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Each `Set-Cookie` header, whole. */
  readonly cookies: readonly string[];
  readonly body: string;
}

/**
 * An HTTP client of one source, with its own agent and TLS settings. Any status resolves; rejects with
 * `source_unavailable` where the venue could not be reached, `venue_timeout` where the request may have arrived,
 * `venue_error` where the answer is larger than `maxBodyBytes`, and `closed` after `close()`. What a URL holds beside scheme, host
 * and path is in no error.
 */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpReply>;
  close(): Promise<void>;
}

/** TLS and time limits of one source's HTTP client; never process-wide. */
export interface HttpOptions {
  readonly tls?: TlsOptions;
  /** Default 10 000. */
  readonly timeoutMs?: number;
  /** A larger answer is refused. Default 8 MiB. */
  readonly maxBodyBytes?: number;
}
