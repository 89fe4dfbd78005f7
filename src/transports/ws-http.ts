import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { peerAddress, targetUrl } from './address.js';
import type { BodyBudget, BodyShare } from './body-budget.js';
import { FAULT, type Refusal, TOO_LARGE, TOO_MANY_BODIES, UNREADABLE } from './refusal.js';
import type { ListenOptions, TransportHandlers } from './transport.js';

/** Answers one request by a fetch-style handler. */
export async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: ListenOptions & { readonly bodies: BodyBudget },
  handlers: TransportHandlers,
): Promise<void> {
  const share = options.bodies.open();
  try {
    await answer(request, response, { ...options, share }, handlers);
  } finally {
    share.close();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ListenOptions & { readonly share: BodyShare },
  handlers: TransportHandlers,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.on('error', () => response.destroy());
  const remoteAddress = peerAddress(
    request.socket.remoteAddress ?? '',
    request.headers['x-forwarded-for']?.toString(),
    options.trustProxy,
  );
  const method = request.method ?? 'GET';
  const hasBody = method !== 'GET' && method !== 'HEAD' && request.headers.upgrade === undefined;
  const body = hasBody ? await readBody(request, options) : Buffer.alloc(0);
  if (body === 'gone' || response.destroyed) return;
  if (body === 'too large') return refuseRequest(response, TOO_LARGE);
  if (body === 'too many') return refuseRequest(response, TOO_MANY_BODIES);
  let target: Request;
  try {
    target = new Request(targetUrl(request.url ?? '/', request.headers.host), {
      method,
      headers: flatHeaders(request),
      ...(body.length === 0 ? {} : { body }),
    });
  } catch {
    return refuseRequest(response, UNREADABLE);
  }
  try {
    await send(response, await handlers.fetch(target, { remoteAddress, signal: gone.signal }), method);
  } catch {
    if (response.headersSent) response.destroy();
    else refuseRequest(response, FAULT);
  }
}

async function send(response: ServerResponse, answer: Response, method: string): Promise<void> {
  if (response.destroyed) return void answer.body?.cancel().catch(() => undefined);
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body === null || method === 'HEAD') {
    response.end();
    return void answer.body?.cancel().catch(() => undefined);
  }
  const stream = Readable.fromWeb(answer.body);
  // A body that fails midway must not be taken for the whole.
  stream.on('error', () => response.destroy());
  response.once('close', () => stream.destroy());
  stream.pipe(response);
}

/** Answers and closes the connection: what was not read of the request must not be taken for the next one. */
export function refuseRequest(response: ServerResponse, { status, headers, body }: Refusal): void {
  response.writeHead(status, { ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) }).end(body);
}

export function flatHeaders(request: IncomingMessage): Readonly<Record<string, string>> {
  const entries = Object.entries(request.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value] as const],
  );
  return Object.fromEntries(entries);
}

async function readBody(
  request: IncomingMessage,
  { maxBodyBytes: most, share }: { readonly maxBodyBytes: number; readonly share: BodyShare },
): Promise<Buffer<ArrayBuffer> | 'too large' | 'too many' | 'gone'> {
  if (Number(request.headers['content-length'] ?? 0) > most) return 'too large';
  const parts: Uint8Array[] = [];
  let bytes = 0;
  return new Promise((resolve) => {
    const refuse = (why: 'too large' | 'too many'): void => {
      request.pause();
      resolve(why);
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > most) return refuse('too large');
      if (!share.take(chunk.length)) return refuse('too many');
      parts.push(chunk);
      return undefined;
    });
    request.once('end', () => resolve(Buffer.concat(parts)));
    request.once('error', () => resolve('gone'));
    request.once('close', () => resolve('gone'));
  });
}
