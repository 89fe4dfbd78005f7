import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { serverFrame } from '../load/framing.js';
import { createFrameSource, serving } from './frame-source.js';
import { listenOnLoopback } from './listen.js';
import type { BenchServer } from './server.js';

/** `ws` as fast as it goes: each event is framed once, and its bytes are written to every socket. */
export async function startRawWs(channel: string): Promise<BenchServer> {
  const frames = createFrameSource(channel);
  const http = createServer();
  const events = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: true });
  const feed = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const sockets = new Set<Socket>();
  let deliveries = 0;
  events.on('connection', (socket: WebSocket, request) => {
    const { socket: tcp } = request;
    sockets.add(tcp);
    socket.on('close', () => sockets.delete(tcp));
  });
  feed.on('connection', (socket) => {
    socket.on('message', () => {
      const whole = serverFrame(frames.next());
      deliveries += sockets.size;
      for (const tcp of sockets) tcp.write(whole);
    });
  });
  http.on('upgrade', (request, socket, head) => {
    const server = request.url === '/feed' ? feed : events;
    server.handleUpgrade(request, socket, head, (webSocket) => server.emit('connection', webSocket, request));
  });
  return serving(frames, await listenOnLoopback(http), () => deliveries);
}
