import { connect, type Socket } from 'node:net';
import { upgradeRequest } from './dialect.js';
import { clientFrame } from './framing.js';

/** What makes events happen. */
export interface Trigger {
  /** So many, written at once. */
  fire(events: number): void;
}

export interface ClosableTrigger extends Trigger {
  close(): void;
}

/** One message an event, all of them in one write, on a WebSocket of a contestant that is not the relay. */
export async function webSocketTrigger(port: number, path: string): Promise<ClosableTrigger> {
  const socket = await connected(port);
  socket.write(upgradeRequest(path, port));
  await new Promise<void>((resolve, reject) => {
    socket.once('data', (head: Buffer) => {
      if (head.toString('latin1').startsWith('HTTP/1.1 101')) resolve();
      else reject(new Error(`no upgrade on ${path}: ${head.toString('latin1', 0, 100)}`));
    });
  });
  // About what a venue's frame has, so that reading it costs about the same.
  const message = clientFrame(Buffer.from(JSON.stringify({ event: 'x'.repeat(180) })));
  return lineTrigger(socket, () => message);
}

/** One line an event for a spout (`spout.ts`): the number of the session that it happens to, in turn. */
export async function spoutTrigger(port: number, sessions: number): Promise<ClosableTrigger> {
  let next = 0;
  return lineTrigger(await connected(port), () => Buffer.from(`${next++ % sessions}\n`));
}

function lineTrigger(socket: Socket, next: () => Buffer): ClosableTrigger {
  socket.on('data', () => {});
  return {
    fire(events) {
      socket.write(events === 1 ? next() : Buffer.concat(Array.from({ length: events }, next)));
    },
    close: () => socket.destroy(),
  };
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
