import type { HttpResponse } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import { targetUrl } from './address.js';
import type { BodyBudget, BodyShare } from './body-budget.js';
import { BODY_TOO_LATE, FAULT, type Refusal, TOO_LARGE, TOO_MANY_BODIES, UNREADABLE } from './refusal.js';
import type { ListenOptions, TransportHandlers } from './transport.js';

/** What is read of a request at once: uWebSockets.js takes it away when its handler returns. */
export interface RequestHead {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

/** Headers that uWebSockets.js writes itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection']);

/** Answers one request by a fetch-style handler. */
export function serve(
  response: HttpResponse,
  head: RequestHead,
  options: ListenOptions & { readonly bodies: BodyBudget },
  handlers: TransportHandlers,
): void {
  const exchange = createExchange(response, head.method);
  const share = options.bodies.open();
  exchange.signal.addEventListener('abort', () => share.close(), { once: true });
  const answer = (body: Buffer<ArrayBuffer> | undefined): void => {
    const { method, headers, remoteAddress } = head;
    let request: Request;
    try {
      request = new Request(targetUrl(head.url, headers.host), {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
      });
    } catch {
      share.close();
      return exchange.refuse(UNREADABLE);
    }
    const asked = async (): Promise<Response> => handlers.fetch(request, { remoteAddress, signal: exchange.signal });
    void asked()
      .finally(() => share.close())
      .then(
        (answered) => exchange.send(answered),
        () => exchange.refuse(FAULT),
      );
  };
  if (head.method === 'GET' || head.method === 'HEAD') return answer(undefined);
  if (Number(head.headers['content-length'] ?? 0) > options.maxBodyBytes) return exchange.refuse(TOO_LARGE);
  return readBody(response, exchange, { ...options, share }, answer);
}

/** One response: knows when it is over, after which the native object must not be touched. */
interface Exchange {
  readonly signal: AbortSignal;
  readonly isOver: () => boolean;
  refuse(refusal: Refusal): void;
  send(answer: Response): Promise<void>;
}

function createExchange(response: HttpResponse, method: string): Exchange {
  const gone = new AbortController();
  let over = false;
  let wake: (() => void) | undefined;
  response.onAborted(() => {
    over = true;
    gone.abort();
    wake?.();
  });
  response.onWritable(() => {
    wake?.();
    return true;
  });

  const begin = (answer: Response): void => {
    response.writeStatus(statusLine(answer.status));
    for (const [name, value] of answer.headers) if (!OWN_HEADERS.has(name)) response.writeHeader(name, value);
  };
  /**
   * What the socket does not take waits here, not in the socket: the next request of the connection is read only when
   * this one is answered, so that whoever sends many and reads none costs one answer. uWebSockets.js itself ends a
   * connection from which nothing is read for 10 s.
   */
  const whole = async (answer: Response, body: Uint8Array): Promise<void> => {
    let isDone = false;
    response.cork(() => {
      begin(answer);
      [, isDone] = response.tryEnd(body, body.byteLength);
    });
    while (!isDone && !over) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
      if (over) return;
      response.cork(() => {
        [, isDone] = response.tryEnd(body.subarray(response.getWriteOffset()), body.byteLength);
      });
    }
    over = true;
  };
  const withoutBody = (answer: Response): void => {
    over = true;
    const length = answer.headers.get('content-length');
    response.cork(() => {
      begin(answer);
      response.endWithoutBody(length === null ? undefined : Number(length));
    });
  };
  /** Chunk by chunk, the next one only when the one before has gone down: an endless body costs one chunk. */
  const stream = async (answer: Response, body: ReadableStream<Uint8Array>): Promise<void> => {
    const reader = body.getReader();
    // A body that is quiet for now would not be asked for more before long: it is told at once that nobody reads it.
    gone.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined), { once: true });
    response.cork(() => begin(answer));
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (over) return;
        if (done) break;
        if (value.byteLength === 0) continue;
        let isRoomy = true;
        response.cork(() => {
          isRoomy = response.write(value);
        });
        if (!isRoomy) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = undefined;
        }
        if (over) return;
      }
      over = true;
      response.cork(() => response.end());
    } catch {
      // The body failed midway: the peer must not take what it has for the whole.
      if (!over) {
        over = true;
        response.close();
      }
    } finally {
      if (over) await reader.cancel().catch(() => undefined);
    }
  };

  return {
    signal: gone.signal,
    isOver: () => over,
    refuse(refusal) {
      if (over) return;
      over = true;
      refuse(response, refusal, true);
    },
    async send(answer) {
      if (over) return void answer.body?.cancel().catch(() => undefined);
      if (answer.body === null) return withoutBody(answer);
      if (method === 'HEAD') {
        withoutBody(answer);
        return void answer.body.cancel().catch(() => undefined);
      }
      // Its length being known, the body is there already.
      if (!answer.headers.has('content-length')) return stream(answer, answer.body);
      const body = new Uint8Array(await answer.arrayBuffer());
      return over ? undefined : whole(answer, body);
    },
  };
}

function readBody(
  response: HttpResponse,
  exchange: Exchange,
  { maxBodyBytes, handshakeTimeoutMs, share }: ListenOptions & { readonly share: BodyShare },
  done: (body: Buffer<ArrayBuffer> | undefined) => void,
): void {
  const parts: Buffer<ArrayBuffer>[] = [];
  let bytes = 0;
  const refuse = (refusal: Refusal): void => {
    clearTimeout(late);
    share.close();
    exchange.refuse(refusal);
  };
  const late = setTimeout(() => refuse(BODY_TOO_LATE), handshakeTimeoutMs);
  exchange.signal.addEventListener('abort', () => clearTimeout(late), { once: true });
  response.onData((chunk, isLast) => {
    if (exchange.isOver()) return;
    bytes += chunk.byteLength;
    if (bytes > maxBodyBytes) return refuse(TOO_LARGE);
    if (!share.take(chunk.byteLength)) return refuse(TOO_MANY_BODIES);
    // Copied: the memory is uWebSockets.js' own.
    if (chunk.byteLength > 0) parts.push(Buffer.from(chunk.slice(0)));
    if (!isLast) return undefined;
    clearTimeout(late);
    return done(bytes === 0 ? undefined : Buffer.concat(parts));
  });
}

/** Answers and closes the connection: what was not read of the request must not be taken for the next one. */
export function refuse(response: HttpResponse, { status, headers, body }: Refusal, closeConnection: boolean): void {
  response.cork(() => {
    response.writeStatus(statusLine(status));
    for (const [name, value] of Object.entries({ 'content-type': 'text/plain', ...headers }))
      response.writeHeader(name, value);
    response.end(body, closeConnection);
  });
}

/** `404 Not Found`, as the status line has it. */
function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? 'Error'}`;
}
