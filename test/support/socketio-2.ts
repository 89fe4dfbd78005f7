import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import { z } from 'zod';
import type { SocketIoServer } from '../../src/simulators/tradernet/socketio.js';
import type { TradernetSimulator } from '../../src/simulators/tradernet.js';

/** socket.io 2.5.1, which ships no types. */
const serve2: (
  http: Server,
  options: { readonly serveClient: boolean },
) => SocketIoServer & { close(done: () => void): void } = createRequire(import.meta.url)('socket.io-v2');

/** A true socket.io 2.5.1 server beside a simulator, which the simulator serves too. */
export async function serveSocketIo2(
  simulator: TradernetSimulator,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const http = createServer();
  const server = serve2(http, { serveClient: false });
  simulator.attachSocketIo(server);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = z.object({ port: z.number() }).parse(http.address());
  return {
    url: `ws://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
