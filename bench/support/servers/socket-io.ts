import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';
import { createFrameSource, serving } from './frame-source.js';
import { listenOnLoopback } from './listen.js';
import type { BenchServer } from './server.js';

const ROOM = 'events';

/** socket.io 4 with its own adapter: one `emit` to a room an event, which it encodes once. */
export async function startSocketIo(channel: string): Promise<BenchServer> {
  const frames = createFrameSource(channel);
  const http = createServer();
  const io = new Server({ transports: ['websocket'], perMessageDeflate: false, serveClient: false });
  io.attach(http, { destroyUpgrade: false });
  const feed = new WebSocketServer({ noServer: true });
  let members = 0;
  let deliveries = 0;
  io.on('connection', (socket) => {
    members++;
    void socket.join(ROOM);
    socket.on('disconnect', () => members--);
  });
  feed.on('connection', (socket) => {
    socket.on('message', () => {
      deliveries += members;
      // What it makes of the object are the frame's own bytes, between `42["m",` and `]`.
      io.to(ROOM).emit('m', JSON.parse(Buffer.from(frames.next()).toString('utf8')));
    });
  });
  http.on('upgrade', (request, socket, head) => {
    if (request.url !== '/feed') return;
    feed.handleUpgrade(request, socket, head, (webSocket) => feed.emit('connection', webSocket, request));
  });
  return serving(frames, await listenOnLoopback(http), () => deliveries);
}
