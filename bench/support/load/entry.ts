/**
 * The load generator: subscribers and whatever makes events happen, in a process of its own. It frames by itself, checks
 * every frame's place in its chain, and counts.
 */
import { answerOverIpc } from '../ipc.js';
import { type LoadAsk, loadAsk } from './asks.js';
import { httpTrigger, mqttDialect, mqttTrigger, natsDialect, natsTrigger } from './brokers.js';
import { type Crowd, gatherCrowd } from './crowd.js';
import { type BenchVenue, startBenchVenue } from './deribit.js';
import { type Dialect, headBytesOf } from './dialect.js';
import { type Ground, runRate, runWindow } from './runs.js';
import { createTally, type Tally } from './tally.js';
import { spoutTrigger, type Trigger, webSocketTrigger } from './trigger.js';
import { plainDialect, relayDialect, socketIoDialect } from './web-sockets.js';

type Gather = Extract<LoadAsk, { readonly ask: 'gather' }>;

let venue: BenchVenue | undefined;
let ground: Ground | undefined;
let tally: Tally = createTally();
let trickling: NodeJS.Timeout | undefined;

// Before the process ends with its channel: sockets that are reset leave no port waiting.
process.on('disconnect', () => ground?.crowd.close());
answerOverIpc(loadAsk, answer);
process.send?.({ ready: true });

async function answer(asked: LoadAsk): Promise<unknown> {
  switch (asked.ask) {
    case 'venue':
      venue = await startBenchVenue();
      return { source: venue.source };
    case 'gather':
      return gather(asked);
    case 'window':
      return runWindow(here(), asked);
    case 'rate':
      return runRate(here(), asked);
    case 'fire':
      here().trigger.fire(asked.events);
      return {};
    case 'pause':
      clearInterval(trickling);
      for (const link of here().crowd.links.slice(asked.from)) link.pause();
      return {};
    case 'trickle': {
      const links = here().crowd.links.slice(asked.from);
      clearInterval(trickling);
      trickling = setInterval(() => {
        for (const link of links) link.resume(asked.bytes);
      }, asked.everyMs);
      return {};
    }
    case 'resume':
      clearInterval(trickling);
      for (const link of here().crowd.links.slice(asked.from)) link.resume();
      return {};
    case 'status':
      return status(here(), asked.below);
    case 'leave':
      here().crowd.close();
      tally = createTally();
      ground = undefined;
      return {};
  }
}

function here(): Ground {
  if (ground === undefined) throw new Error('nobody has gathered');
  return ground;
}

async function gather(asked: Gather): Promise<{ readonly tookMs: number; readonly cpuUs: number }> {
  const { channels, connections, port, cursor, atOnce, until, perEvent } = asked;
  const channelOf = (index: number): string => channels[index % channels.length] ?? '';
  const heads = channels.map(headBytesOf);
  const trigger = await triggerOf(asked);
  const cpu = process.cpuUsage();
  const at = performance.now();
  const crowd: Crowd = await gatherCrowd({
    connections,
    port,
    cursor,
    tally,
    atOnce,
    until,
    dialectOf: (index) => dialectOf(asked, channelOf(index), index),
    headBytesOf: (index) => heads[index % heads.length] ?? 0,
  });
  const tookMs = performance.now() - at;
  const { user, system } = process.cpuUsage(cpu);
  ground = { crowd, tally, trigger, perEvent };
  return { tookMs, cpuUs: user + system };
}

function dialectOf({ dialect, port, token, since, until }: Gather, channel: string, index: number): Dialect {
  switch (dialect) {
    case 'relay':
      return relayDialect({ port, channel, token, since, isIdle: until === 'connected' });
    case 'plain':
      return plainDialect({ port, path: '/events' });
    case 'socket.io':
      return socketIoDialect({ port });
    case 'nats':
      return natsDialect();
    case 'mqtt':
      return mqttDialect(index);
  }
}

async function triggerOf({ trigger, triggerPort, sessions, channels }: Gather): Promise<Trigger> {
  const [channel = ''] = channels;
  switch (trigger) {
    case 'venue':
      if (venue === undefined) throw new Error('there is no venue');
      return venue;
    case 'websocket':
      return webSocketTrigger(triggerPort, '/feed');
    case 'spout':
      return spoutTrigger(triggerPort, sessions);
    case 'nats':
      return natsTrigger(triggerPort, channel);
    case 'mqtt':
      return mqttTrigger(triggerPort, channel);
    case 'http':
      return httpTrigger(triggerPort, '/publish', channel);
  }
}

function status({ crowd }: Ground, below: number = crowd.links.length): unknown {
  const counts = crowd.links.slice(0, below).map(({ chain }) => chain.count);
  return {
    deliveries: tally.deliveries,
    faults: tally.faults,
    firstFault: tally.firstFault,
    ended: tally.ended,
    lagging: crowd.links.filter(({ isLagging }) => isLagging).length,
    least: counts.reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY),
    most: counts.reduce((most, count) => Math.max(most, count), 0),
  };
}
