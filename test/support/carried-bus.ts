import type { Bus } from '../../src/bus/bus.js';
import { createFeed, type Feed } from '../../src/bus/feed.js';
import { createPeer, type PeerPort } from '../../src/bus/peer.js';
import { createWorkerBus, type WorkerBus } from '../../src/bus/worker.js';
import { answersOf, type Begin, type BusMethods, type HubMethods } from '../../src/bus/worker-messages.js';
import { SessionRelayError } from '../../src/errors.js';
import type { Clock } from '../../src/net/clock.js';

/** One bus carried to another as between threads: by copies, in order, and only as fast as the reader reads. */
export interface CarriedBus {
  readonly bus: WorkerBus;
  readonly feed: Feed;
  /** The reading thread hangs: what is said to it waits. */
  stall(): void;
  /** It goes on, with everything that waits, or with so many messages of it. */
  resume(messages?: number): void;
  /** The hub's thread hangs, or is gone: nothing comes from it any more, not even what waits. */
  silence(): void;
  /** Messages that wait for the reader. */
  readonly waiting: number;
  readonly lost: number;
  readonly sentMs: readonly number[];
  close(): void;
}

interface Wire extends PeerPort {
  /** What the other side said. */
  hear(message: unknown): void;
}

export function carryBus(inner: Bus, clock: Clock, { maxWaitingBytes }: { maxWaitingBytes?: number } = {}): CarriedBus {
  let isStalled = false;
  let isSilent = false;
  let held: unknown[] = [];
  let lost = 0;
  const sentMs: number[] = [];
  const wire = (to: () => Wire, isHubs: boolean): Wire => {
    let listener: ((message: unknown) => void) | undefined;
    return {
      postMessage(message) {
        const copy = structuredClone(message);
        if (isHubs && isSilent) return;
        if (isHubs && (isStalled || held.length > 0)) held.push(copy);
        else setImmediate(() => to().hear(copy));
      },
      on(_event, next) {
        listener = next;
      },
      off() {
        listener = undefined;
      },
      hear: (message) => listener?.(message),
    };
  };
  const hubSide: Wire = wire(() => readerSide, true);
  const readerSide: Wire = wire(() => hubSide, false);

  const toReader = createPeer<BusMethods>(
    hubSide,
    { ...answersOf(inner), took: (taken: Parameters<Feed['took']>[0]) => feed.took(taken) },
    clock,
  );
  const feed = createFeed({
    bus: inner,
    peer: toReader,
    clock,
    sharedNow: () => clock.monotonic(),
    lost: () => lost++,
    sent: (ms) => sentMs.push(ms),
    ...(maxWaitingBytes === undefined ? {} : { maxWaitingBytes }),
  });
  const begin: Begin = structuredClone(feed.begin());
  const hears: BusMethods = { turn: (turn) => bus.hears.turn(turn), beat: (beat) => bus.hears.beat(beat) };
  const toHub = createPeer<HubMethods>(readerSide, hears, clock);
  const bus = createWorkerBus({ peer: toHub, begin, clock, sharedNow: () => clock.monotonic() });
  return {
    bus,
    feed,
    stall() {
      isStalled = true;
    },
    resume(messages = Number.POSITIVE_INFINITY) {
      isStalled = messages < held.length;
      for (const message of held.splice(0, messages)) readerSide.hear(message);
    },
    silence() {
      isSilent = true;
      held = [];
    },
    get waiting() {
      return held.length;
    },
    get lost() {
      return lost;
    },
    sentMs,
    close() {
      feed.stop();
      bus.stop();
      toHub.close(new SessionRelayError('closed', 'the test is over'));
      toReader.close(new SessionRelayError('closed', 'the test is over'));
    },
  };
}
