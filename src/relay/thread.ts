import { Worker } from 'node:worker_threads';
import type { Bus } from '../bus/bus.js';
import { createFeed, type Feed } from '../bus/feed.js';
import { createPeer, type Peer } from '../bus/peer.js';
import { answersOf } from '../bus/worker-messages.js';
import type { Credentials } from '../edge/live-auth.js';
import type { CountedPlace, CountedPlaces } from '../edge/places.js';
import { messageOf, SessionRelayError } from '../errors.js';
import type { Threads } from '../http/health.js';
import type { Redeemed, Tickets } from '../http/tickets.js';
import type { Grant } from '../model/grant.js';
import type { Clock, Timer } from '../net/clock.js';
import type { Log } from '../net/log.js';
import type { SharedPort } from '../transports/transport.js';
import { type MainMethods, sharedNow, type WorkerMethods, type WorkerReport, type WorkerStart } from './messages.js';

/** One worker thread, as the main thread sees it, from its start to its end. */
export interface Thread {
  readonly number: number;
  /** `up`: it serves. `leaving`: it is handed nothing more. */
  readonly state: 'starting' | 'up' | 'leaving' | 'gone';
  readonly peer: Peer<WorkerMethods>;
  /** What it said of itself last. */
  readonly last: WorkerReport | undefined;
  /** On the monotonic clock: when it was heard last. */
  readonly heardAt: number;
  readonly isBehind: boolean;
  /** What it says of itself now. Rejects where it does not say so in time. */
  ask(withinMs: number): Promise<WorkerReport>;
  /** Sends it away, in order. Idempotent. */
  leave(): void;
  /** The same because of a fault. */
  fail(why: string): void;
  readonly gone: Promise<void>;
}

/** What threads share, and whom they tell. */
export interface ThreadOptions {
  readonly start: WorkerStart;
  readonly entry: URL;
  readonly bus: Bus;
  readonly share: SharedPort;
  readonly places: CountedPlaces;
  readonly tickets: Tickets;
  /** What each ticket's grant was given for. */
  readonly credentials: WeakMap<Grant, Credentials>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly threads: () => Promise<Threads>;
  readonly sent: (ms: number) => void;
  readonly up: () => void;
  readonly ended: (last: WorkerReport | undefined) => void;
  /** For tests: what else is to be known of it. @internal */
  readonly started?: (worker: Worker) => void;
}

/** Connections that were handed over just now arrive within this. */
const HANDOVER_MS = 50;
/** Whoever was told to leave is gone after this, or hangs. */
const LEAVE_MS = 5_000;

export function startThread(options: ThreadOptions): Thread {
  const { start, bus, share, clock, log } = options;
  const { number } = start;
  let state: Thread['state'] = 'starting';
  let descriptor: number | undefined;
  let feed: Feed | undefined;
  let last: WorkerReport | undefined;
  let heardAt = clock.monotonic();
  let timer: Timer | undefined;
  const places = new Map<number, CountedPlace>();
  const uses = new Map<number, Redeemed>();
  let isGone: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    isGone = resolve;
  });

  const leave = (): void => {
    if (state === 'leaving' || state === 'gone') return;
    state = 'leaving';
    if (descriptor !== undefined) share.remove(descriptor);
    timer = clock.setTimer(() => {
      peer.post('leave', null);
      timer = clock.setTimer(() => {
        // It cannot be ended from outside: that would end the process.
        log.error('a worker thread does not end: its subscribers hang until it does', { worker: number });
      }, LEAVE_MS);
    }, HANDOVER_MS);
  };
  const fail = (why: string): void => {
    if (state === 'leaving' || state === 'gone') return;
    log.error('a worker thread failed: its subscribers are sent away', { worker: number, error: why });
    leave();
  };

  const heard = (report: WorkerReport): void => {
    last = report;
    heardAt = clock.monotonic();
  };

  const here: MainMethods = {
    ...answersOf(bus),
    took: (taken) => feed?.took(taken),
    join() {
      if (state !== 'starting') return;
      feed = createFeed({
        bus,
        peer,
        clock,
        sharedNow,
        lost: () => fail('it fell behind what the journal still holds'),
        sent: options.sent,
      });
      peer.post('begin', feed.begin());
    },
    serving(receiver) {
      if (state !== 'starting') return;
      state = 'up';
      descriptor = receiver.descriptor;
      share.add(descriptor);
      options.up();
    },
    place({ id, address, who }) {
      const place = options.places.take(address, who);
      if (typeof place === 'string') return place;
      places.set(id, place);
      return null;
    },
    identify: ({ id, who }) => places.get(id)?.identify(who) ?? true,
    give(id) {
      places.get(id)?.give();
      places.delete(id);
    },
    issueTicket({ grant, credentials }) {
      const issued = options.tickets.issue(grant);
      options.credentials.set(grant, credentials);
      return issued;
    },
    redeemTicket({ use, ticket, resumes }) {
      const redeemed = options.tickets.redeem(ticket, { resumes });
      uses.set(use, redeemed);
      redeemed.endWith(() => peer.post('endTicket', use));
      return { grant: redeemed.grant, credentials: options.credentials.get(redeemed.grant) ?? {} };
    },
    releaseTicket(use) {
      uses.get(use)?.release();
      uses.delete(use);
    },
    metrics: () => options.metrics(),
    threads: () => options.threads(),
    report: heard,
    log: ({ level, message, fields }) => log[level](message, { ...fields, worker: number }),
    failed: fail,
    left(report) {
      last = report;
    },
  };

  const worker = new Worker(options.entry, { workerData: start, name: `session-relay ${number}` });
  const peer = createPeer<WorkerMethods>(worker, here, clock);
  worker.on('error', (thrown) => log.error('a worker thread failed', { worker: number, error: messageOf(thrown) }));
  worker.on('messageerror', (thrown) => fail(messageOf(thrown)));
  worker.once('exit', () => {
    if (descriptor !== undefined && state === 'up') share.remove(descriptor);
    state = 'gone';
    timer?.cancel();
    feed?.stop();
    peer.close(new SessionRelayError('not_available', `worker thread ${number} is gone`));
    for (const place of places.values()) place.give();
    for (const redeemed of uses.values()) redeemed.release();
    isGone();
    options.ended(last);
  });
  options.started?.(worker);

  return {
    number,
    get state() {
      return state;
    },
    peer,
    get last() {
      return last;
    },
    get heardAt() {
      return heardAt;
    },
    get isBehind() {
      return feed?.isBehind ?? false;
    },
    async ask(withinMs) {
      const report = await peer.call('report', null, { withinMs });
      heard(report);
      return report;
    },
    leave,
    fail,
    gone,
  };
}
