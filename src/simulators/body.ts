import type { IncomingMessage } from 'node:http';

/** A larger body is refused. */
export const MAX_BODY_BYTES = 64 * 1024;

/** Calls back with the body, or with `undefined` where it is too large; not at all where the request breaks off. */
export function readBody(request: IncomingMessage, done: (body: string | undefined) => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  request.on('error', () => {});
  request.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes <= MAX_BODY_BYTES) parts.push(part);
  });
  request.on('end', () => done(bytes > MAX_BODY_BYTES ? undefined : Buffer.concat(parts).toString('utf8')));
}
