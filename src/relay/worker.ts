import { parentPort, workerData } from 'node:worker_threads';
import { createPeer } from '../bus/peer.js';
import { createWorkerBus, type WorkerBus } from '../bus/worker.js';
import type { Begin } from '../bus/worker-messages.js';
import { createAuthenticator } from '../edge/auth.js';
import type { Renewed } from '../edge/edge.js';
import type { LiveLimits } from '../edge/limits.js';
import { type LiveAuthenticator, liveAuthenticator } from '../edge/live-auth.js';
import { messageOf, SessionRelayError } from '../errors.js';
import { type Page, readPage } from '../http/page.js';
import type { Log } from '../net/log.js';
import { systemClock } from '../net/timer.js';
import type { Receiver } from '../transports/transport.js';
import { createUwsTransport } from '../transports/uws.js';
import { createFront, type Front } from './front.js';
import {
  type MainMethods,
  REPORT_EVERY_MS,
  sharedNow,
  type WorkerMethods,
  type WorkerReport,
  type WorkerStart,
} from './messages.js';
import { remotePlaces } from './remote-places.js';
import { type RemoteTickets, remoteTickets } from './remote-tickets.js';
import { STARTING } from './starting.js';

/**
 * The entry of one worker thread: an edge, HTTP and the sockets that the main thread hands over. What it cannot handle
 * ends it, in order: a thread that ends with sockets of uWebSockets.js open takes the process with it.
 */
if (parentPort === null) throw new SessionRelayError('internal', 'this file is the entry of a worker thread');
const port = parentPort;
const start = workerData as WorkerStart;
const clock = systemClock;
/** Lines between two words of the main thread; it cannot take more than that. */
const MAX_LINES = 1_000;
const LINGER_MS = 100;

let lines = 0;
const write =
  (level: keyof Log) =>
  (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    if (++lines > MAX_LINES) return;
    main.post('log', { level, message, fields: JSON.parse(JSON.stringify(fields)) as typeof fields });
  };
const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };

/** What it serves with, once that is there. */
interface Equipment {
  readonly authenticator: LiveAuthenticator;
  readonly page: Page;
  readonly receiver: Receiver;
  readonly tickets: RemoteTickets;
}

let equipment: Equipment | undefined;
let bus: WorkerBus | undefined;
let front: Front | undefined;
let serving = STARTING;
let isLeaving = false;
let begun: (front: Front) => void = () => {};
/** A worker that is still starting answers once it serves. */
const started = new Promise<Front>((resolve) => {
  begun = resolve;
});
let lastPrepared = 0;
const prepared = new Map<number, (limits: Partial<LiveLimits>) => Renewed | Promise<Renewed>>();

const report = (): WorkerReport => {
  if (front === undefined) throw new SessionRelayError('not_available', 'the worker is starting');
  const { edge, eventLoop } = front;
  const sight = edge.sight();
  return {
    stats: edge.stats,
    ...edge.counts(),
    ...edge.load(),
    lateMs: eventLoop.lateMs(),
    ...(sight.blind ? { blind: sight.why } : {}),
  };
};

const here: WorkerMethods = {
  turn: (turn) => bus?.hears.turn(turn),
  beat(beat) {
    lines = 0;
    bus?.hears.beat(beat);
  },
  begin: (begin) => serve(begin),
  report,
  async prepare(auth) {
    const use = await (await started).prepare(auth);
    prepared.clear();
    prepared.set(++lastPrepared, use);
    return lastPrepared;
  },
  use({ limits, auth, prepared: name }) {
    const use = name === undefined ? undefined : prepared.get(name);
    prepared.clear();
    // In this very turn, wherever it was prepared.
    if (use !== undefined) return use(limits);
    if (auth === undefined && front !== undefined) return front.edge.renew(limitTo(front, limits));
    return started.then(async (one) => (await one.prepare(auth))(limits));
  },
  endTicket: (use) => equipment?.tickets.end(use),
  drain: (how) => started.then((one) => one.drain(how)).then(() => null),
  leave: () => void leave(),
};
const main = createPeer<MainMethods>(port, here, clock);

function limitTo({ edge }: Front, limits: Partial<LiveLimits>): undefined {
  edge.limit(limits);
}

process.on('uncaughtException', (thrown) => fail(thrown));
process.on('unhandledRejection', (thrown) => fail(thrown));

async function equip(): Promise<void> {
  const authenticator = liveAuthenticator(await createAuthenticator(start.auth, clock));
  const transport = await createUwsTransport();
  const page = await readPage(start.dashboard, log);
  const receiver = transport.receive(start.listen, {
    upgrade: (request) => serving.upgrade(request),
    fetch: (request, peer) => serving.fetch(request, peer),
  });
  equipment = { authenticator, page, receiver, tickets: remoteTickets(main, authenticator) };
  main.post('join', null);
}
equip().catch(fail);

/** In the turn in which it hears where to begin: the edge starts there. */
function serve(begin: Begin): void {
  if (equipment === undefined) throw new SessionRelayError('internal', 'a worker that has not joined cannot begin');
  const { authenticator, page, receiver, tickets } = equipment;
  bus = createWorkerBus({ peer: main, begin, clock, sharedNow });
  front = createFront({
    bus,
    authenticator,
    limits: start.limits,
    clock,
    random: Math.random,
    log,
    page,
    publicMetrics: start.publicMetrics,
    transport: 'uws',
    metrics: () => ({ render: () => main.call('metrics', null) }),
    places: remotePlaces(main),
    tickets,
    threads: () => main.call('threads', null),
    requestsAtOnce: start.requestsAtOnce,
  });
  serving = front.handlers;
  begun(front);
  main.post('serving', { descriptor: receiver.descriptor });
  const tell = (): void => {
    if (isLeaving) return;
    main.post('report', report());
    clock.setTimer(tell, REPORT_EVERY_MS);
  };
  tell();
}

/** Goes on serving until it is told to leave: connections may still be handed to it. */
function fail(thrown: unknown): void {
  if (isLeaving) return;
  main.post('failed', messageOf(thrown));
}

async function leave(): Promise<void> {
  if (isLeaving) return;
  isLeaving = true;
  try {
    await front?.close();
  } finally {
    await equipment?.receiver.close();
    bus?.stop();
    // Sockets that were closed just now end in a turn of their own.
    await new Promise<void>((resolve) => void setTimeout(resolve, LINGER_MS));
    if (front !== undefined) main.post('left', report());
    setImmediate(() => process.exit(0));
  }
}
