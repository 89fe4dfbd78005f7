/** A JSON answer; its length is said, so that transports send it whole. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return text(status, JSON.stringify(body), { 'content-type': 'application/json', ...headers });
}

export function text(status: number, body: string, headers: Readonly<Record<string, string>>): Response {
  return new Response(body, {
    status,
    headers: { 'content-length': String(Buffer.byteLength(body)), 'cache-control': 'no-store', ...headers },
  });
}
