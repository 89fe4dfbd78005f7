import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, afterEach, test, vi } from 'vitest';
import { closePages, describeInChromium, openPage, quitChromium } from '../support/chromium.js';
import { closeDesks, startDesk } from '../support/desk.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { sessionRow, untilLive } from './screen.js';

/** README, "Behind a proxy": the page works wherever it is mounted. */
vi.setConfig({ testTimeout: 60_000 });
let proxy: Server | undefined;
const sockets = new Set<Socket>();
afterEach(async () => {
  await closePages();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  if (proxy !== undefined) {
    proxy.closeAllConnections();
    proxy.close();
    await once(proxy, 'close');
    proxy = undefined;
  }
  await closeDesks();
});
afterAll(quitChromium);

const PREFIX = '/relay';

/** Takes a path off, passes `Host` on, and forwards upgrades. */
async function startProxy(to: string): Promise<string> {
  const { hostname, port } = new URL(to);
  const inside = (url = '/'): string => (url.startsWith(`${PREFIX}/`) ? url.slice(PREFIX.length) : '/not-mounted');
  proxy = createServer((incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const asked = request({ hostname, port, method, headers, path: inside(url) }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(asked);
  });
  proxy.on('upgrade', ({ method, url, rawHeaders }, near: Socket, head: Buffer) => {
    const far = connect(Number(port), hostname, () => {
      const lines = rawHeaders.map((part, at) => (at % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join('');
      far.write(`${method} ${inside(url)} HTTP/1.1\r\n${lines}\r\n`);
      far.write(head);
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${PREFIX}/`;
}

describeInChromium('behind a proxy that mounts it under a path', () => {
  test('the page loads its assets and reaches its relay', async () => {
    const venue = createScriptedVenue();
    const desk = await startDesk({ venues: [venue] });
    venue.open('bot');
    const page = await openPage(await startProxy(desk.url));
    await untilLive(page);
    await sessionRow(page, 'deribit.main.bot').waitFor();
  });
});
