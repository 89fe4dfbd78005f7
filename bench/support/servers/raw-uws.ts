import type { WebSocket } from 'uWebSockets.js';
import { createFrameSource, serving } from './frame-source.js';
import type { BenchServer } from './server.js';

const TOPIC = 'events';

/**
 * uWebSockets.js and nothing else: by its own `publish`, or by a flat loop over all subscribers, which sends each what
 * one turn of the event loop has brought, in one write.
 */
export async function startRawUws(how: 'publish' | 'send', channel: string): Promise<BenchServer> {
  const uws = await import('uWebSockets.js');
  const frames = createFrameSource(channel);
  const members: WebSocket<unknown>[] = [];
  const app = uws.App();
  let deliveries = 0;
  let turn: Uint8Array[] = [];
  let socket: WebSocket<unknown> | undefined;
  const sendTurn = (): void => {
    for (const frame of turn) socket?.send(frame, false);
  };
  const flush = (): void => {
    for (const member of members) {
      socket = member;
      member.cork(sendTurn);
    }
    turn = [];
  };
  app.ws('/events', {
    open(member) {
      if (how === 'publish') member.subscribe(TOPIC);
      members.push(member);
    },
    close(member) {
      members.splice(members.indexOf(member), 1);
    },
  });
  app.ws('/feed', {
    message() {
      const frame = frames.next();
      deliveries += members.length;
      if (how === 'publish') {
        app.publish(TOPIC, frame, false);
        return;
      }
      if (turn.length === 0) setImmediate(flush);
      turn.push(frame);
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
