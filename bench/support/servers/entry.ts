/**
 * One contestant as a process of its own. `entry.js JSON`: its terms (`options.ts`). Says when it is ready, answers over
 * IPC, and dies with whoever started it.
 */
import { answerOverIpc } from '../ipc.js';
import { startExternal } from './external.js';
import { type ServerAsk, serverAsk, serverTerms } from './options.js';
import { profile } from './profile.js';
import { startRawUws } from './raw-uws.js';
import { startRawWs } from './raw-ws.js';
import { startBenchRelay } from './relay.js';
import type { BenchServer } from './server.js';
import { startSocketIo } from './socket-io.js';

const [, , json = '{}'] = process.argv;
const terms = serverTerms.parse(JSON.parse(json));
const server = await start();
answerOverIpc(serverAsk, answer);
process.send?.({ ready: true, port: server.port, triggerPort: server.triggerPort, cursor: server.cursor });

function start(): Promise<BenchServer> {
  switch (terms.kind) {
    case 'relay':
      return startBenchRelay(terms);
    case 'uws-publish':
      return startRawUws('publish', terms.channel);
    case 'uws-send':
      return startRawUws('send', terms.channel);
    case 'nats-server':
    case 'mosquitto':
    case 'nchan':
      return startExternal(terms.kind, terms.channel);
    case 'ws':
      return startRawWs(terms.channel);
    case 'socket.io':
      return startSocketIo(terms.channel);
  }
}

async function answer(asked: ServerAsk): Promise<unknown> {
  switch (asked.ask) {
    case 'prepare':
      server.prepare(asked.events);
      return {};
    case 'pad':
      server.pad?.(asked.bytes);
      return {};
    case 'cpu': {
      const { user, system } = process.cpuUsage();
      return { us: server.cpuUs?.() ?? user + system };
    }
    case 'memory': {
      for (let round = 0; round < 3; round++) {
        globalThis.gc?.();
        await new Promise<void>((resolve) => setTimeout(resolve, 20));
      }
      const { rss, heapUsed, external } = process.memoryUsage();
      return { rss, heap: heapUsed, external };
    }
    case 'counts':
      return server.counts();
    case 'profile':
      await profile(asked.file);
      return {};
  }
}
