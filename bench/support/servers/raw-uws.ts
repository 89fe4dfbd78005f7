import type { WebSocket } from 'uWebSockets.js';
import { createFrameSource, serving } from './frame-source.js';
import type { BenchServer } from './server.js';

const TOPIC = 'events';

/** uWebSockets.js and nothing else: by its own `publish`, or by one corked `send` for each subscriber. */
export async function startRawUws(how: 'publish' | 'send', channel: string): Promise<BenchServer> {
  const uws = await import('uWebSockets.js');
  const frames = createFrameSource(channel);
  const members = new Set<WebSocket<unknown>>();
  const app = uws.App();
  let deliveries = 0;
  app.ws('/events', {
    open(socket) {
      if (how === 'publish') socket.subscribe(TOPIC);
      members.add(socket);
    },
    close(socket) {
      members.delete(socket);
    },
  });
  app.ws('/feed', {
    message() {
      const frame = frames.next();
      deliveries += members.size;
      if (how === 'publish') app.publish(TOPIC, frame, false);
      else for (const socket of members) socket.cork(() => socket.send(frame, false));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    app.listen('127.0.0.1', 0, (token) => {
      if (token === false) reject(new Error('uWebSockets.js could not listen'));
      else resolve(uws.us_socket_local_port(token));
    });
  });
  return serving(frames, port, () => deliveries);
}
