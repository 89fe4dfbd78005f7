import type { Server } from 'node:http';

/** The port, once it listens. Ten thousand connect at once. */
export async function listenOnLoopback(http: Server): Promise<number> {
  await new Promise<void>((resolve) => http.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, resolve));
  const address = http.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
