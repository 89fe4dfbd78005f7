import { SessionRelayError } from '../../errors.js';
import { type Role, SOURCE_TOKEN } from '../../model/event.js';
import { createPoll } from '../../net/poll.js';
import { createPenalty, type PenaltyFact } from '../penalty.js';
import type { FactBatch, VenueMemory, VenuePorts, WebhookReply, WebhookRequest } from '../venue.js';
import { type Answer, type Ask, createApi } from './api.js';
import { asksForList } from './deliveries.js';
import { createDepartures, type Departures } from './departures.js';
import { createHookMemory, type HookMemory } from './hook-memory.js';
import type { PortalEvent } from './messages.js';
import type { SnaptradeConfig, SnaptradeUser } from './options.js';
import { createPortalWatch } from './portal.js';
import { createRate, MAX_PENALTY_MS } from './rate.js';
import { createSchedule } from './schedule.js';
import { createUserSource, type UserSource } from './source.js';
import { noteFault } from './source-facts.js';
import { type About, type MapperState, type Remembered, recall, rememberedOf, sourcesOf } from './state.js';
import type { SourceOfUser, Users } from './users.js';
import { type Delivery, readDelivery } from './webhook.js';

/** One client id, live: its users' sources, their lists, portal events and webhooks, under one limit of requests. */
export interface Feed {
  start(memory?: VenueMemory): void;
  /** The users are others now, or their file is to be looked at. */
  revise(users: readonly SnaptradeUser[] | undefined): void;
  /** Idempotent; resolves when nothing is sent any more. */
  stop(): Promise<void>;
  webhook(request: WebhookRequest): Promise<WebhookReply>;
  /** The source that a command is for. Throws `closed`, `source_unavailable` or `not_found`. */
  sourceFor(name: string): UserSource;
  /** Lists a source's connections before its time. */
  soon(name: string): void;
  /** Takes in portal events that a command was answered with: they are told as if they had been polled. */
  takePortal(events: readonly PortalEvent[]): void;
  /** Sends a request on nobody's behalf. */
  ask(ask: Ask): Promise<Answer>;
}

/** The file of users is looked at this often. */
export const USERS_EVERY_MS = 10_000;
/** A list may be long: 10,000 connections take about 10 MB, and the venue pages nothing. Four are read at once. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;
/** How often it is looked at when each user's list was read last, and how many polls may be missed. */
const DOUBT_EVERY_MS = 60_000;
const POLLS_TO_DOUBT = 3;
/** A webhook that is not journaled within this is refused: the vendor sends it again. */
const JOURNAL_WAIT_MS = 10_000;

export function createFeed(options: {
  readonly config: SnaptradeConfig;
  readonly role: Role;
  /** A connection that no list has confirmed for so long cannot be believed any more. */
  readonly graceMs: () => number;
  readonly ports: VenuePorts;
  readonly users: Users;
  /** The sources that there are now; those that left stay until what is said of their end is taken in. */
  readonly hold: (sources: readonly string[]) => void;
  readonly out: (batch: FactBatch) => void;
}): Feed {
  const { config, ports, users, out } = options;
  const { clock, random, log } = ports;
  const { environment, id } = config;
  const { consumerKey } = config.credentials;
  const pollMs = config.pollSeconds * 1_000;
  const { origin, pathname } = new URL(config.url);
  const shownUrl = `${origin}${pathname}`;
  const sources = new Map<string, UserSource>();
  /** Sources that begin anew with another secret, as they were left. */
  const returning = new Map<string, MapperState>();
  const byUserId = new Map<string, UserSource>();
  let memory: VenueMemory | undefined;
  let remembered: Remembered = new Map();
  let departures: Departures | undefined;
  let hooks: HookMemory | undefined;
  let phase: 'idle' | 'live' | 'stopped' = 'idle';
  let stopping: Promise<void> | undefined;
  const waits = new Set<() => void>();

  const rate = createRate(clock);
  /** The limit is the client id's: it silences the relay for every user. What is remembered goes with the last of them. */
  const toAll = (one: PenaltyFact, remember: FactBatch['memory']): void => {
    const last = [...sources.keys()].at(-1);
    for (const { source, tell } of sources.values()) {
      tell([{ source, session: SOURCE_TOKEN, ...one }], source === last ? remember : undefined);
    }
  };
  const penalty = createPenalty({ clock, mostMs: MAX_PENALTY_MS, tell: toAll });
  const api = createApi({
    config,
    http: ports.http({
      maxBodyBytes: MAX_LIST_BYTES,
      ...(config.tls === undefined ? {} : { tls: config.tls }),
    }),
    clock,
    rate,
    throttled: () => penalty.impose(rate.blockedMs()),
  });

  const schedule = createSchedule({
    clock,
    random,
    take: rate.takePoll,
    run: async (name) => {
      try {
        return (await sources.get(name)?.poll()) ?? pollMs;
      } catch (thrown) {
        log.error(`snaptrade.${name}: a list could not be taken in`, { error: String(thrown) });
        return pollMs;
      }
    },
  });

  const sourceOf = (userId: string | undefined): UserSource | undefined =>
    config.personal === true ? sources.get(id) : byUserId.get(userId ?? '');
  const portal = createPortalWatch({
    config,
    clock,
    random,
    log,
    sources: () => sources.values(),
    sourceOf,
    // Not a turn of the polls: they would never leave it one where there are many.
    send: (query) => api.send({ method: 'GET', path: '/sessionEvents', query }, { counted: false }),
    absent() {
      for (const source of sources.values()) {
        source.apply((state) =>
          noteFault(state, 'no session events', 'channel_refused', 'sessionEvents', 'session-events-off'),
        );
      }
    },
    unreadable(what) {
      for (const source of sources.values()) source.apply((state) => noteFault(state, what, 'bad_frame', what));
    },
  });

  const aboutOf = (source: string): About => ({
    source,
    role: options.role,
    ...(environment === undefined ? {} : { environment }),
  });
  const known = (source: string): MapperState =>
    departures?.back(source) ?? recall(aboutOf(source), memory, remembered, departures?.lives ?? 0);
  const add = (of: SourceOfUser): void => {
    const source = createUserSource({
      of,
      initial: returning.get(of.source) ?? known(of.source),
      api,
      clock,
      pollMs,
      url: shownUrl,
      hookUrl: `/v1/hooks/snaptrade/${id}`,
      out,
    });
    returning.delete(of.source);
    sources.set(of.source, source);
    if (of.user !== undefined) byUserId.set(of.user.userId, source);
    schedule.add(of.source);
  };
  const remove = (source: UserSource, isBack: boolean): void => {
    schedule.remove(source.source);
    sources.delete(source.source);
    if (source.user !== undefined && byUserId.get(source.user.userId) === source) byUserId.delete(source.user.userId);
    source.leave(isBack);
    if (isBack) returning.set(source.source, source.state);
    else departures?.left(source.state);
  };

  /** Users come and go with their file. One whose secret changed begins anew under the same name. */
  const takeUsers = (): void => {
    const wanted = new Map(users.current.map((of) => [of.source, of]));
    options.hold([...wanted.keys()]);
    for (const source of [...sources.values()]) {
      const user = wanted.get(source.source)?.user;
      const isSame = user !== undefined && user.userId === source.user?.userId;
      if (!isSame || user.userSecret !== source.user?.userSecret) remove(source, isSame);
    }
    for (const of of users.current) if (!sources.has(of.source)) add(of);
    log.info(`snaptrade.${id}: the users were read again`, { users: users.current.length });
    checkPace();
  };
  const lookAtUsers = (): void => {
    const found = users.again();
    if (found === 'changed') takeUsers();
    else if (found === 'same') options.hold(users.current.map(({ source }) => source));
    else log.error(`snaptrade.${id}: ${found.failed}: the users stay as they were`);
  };
  const usersPoll = createPoll({
    clock,
    random,
    everyMs: USERS_EVERY_MS,
    async task() {
      lookAtUsers();
    },
  });
  /** Where the limit stretches the polls beyond this, or they hang, nothing else would tell that nobody looks. */
  const doubtAfterMs = (): number => Math.max(options.graceMs(), POLLS_TO_DOUBT * pollMs);
  const doubts = createPoll({
    clock,
    random,
    everyMs: DOUBT_EVERY_MS,
    async task() {
      departures?.run();
      for (const source of sources.values()) source.doubt(doubtAfterMs());
    },
  });
  const checkPace = (): void => {
    const roundMs = (sources.size / rate.pollsPerMinute) * 60_000;
    if (roundMs <= pollMs) return;
    log.warn(`snaptrade.${id}: the venue’s limit stretches the polls`, {
      users: sources.size,
      pollSeconds: config.pollSeconds,
      roundSeconds: Math.ceil(roundMs / 1_000),
    });
  };

  const takeDelivery = async (delivery: Delivery, known: HookMemory): Promise<WebhookReply> => {
    const source = sourceOf(delivery.userId);
    const age = Math.abs(clock.now() - delivery.atMs);
    if (age > config.webhookMaxAge) {
      if (source !== undefined) schedule.soon(source.source);
      return { status: 202, detail: 'it is too old to be an event: the connections are listed instead' };
    }
    // A customer whom this relay does not watch.
    if (source === undefined) return { status: 200 };
    const before = known.find(delivery.id);
    if (before !== undefined) return replyOf(await journaled(Promise.resolve(before)));
    const { remember, done, outcome } = known.begin(delivery.id);
    source.takeDelivery(delivery, { memory: remember, committed: done });
    if (asksForList(delivery)) schedule.soon(source.source);
    return replyOf(await journaled(outcome));
  };
  /** Whether a webhook is journaled; `false` where that is not known in time. */
  const journaled = (outcome: Promise<boolean>): Promise<boolean> =>
    new Promise((resolve) => {
      const end = (isDone: boolean): void => {
        timer.cancel();
        waits.delete(giveUp);
        resolve(isDone);
      };
      const giveUp = (): void => end(false);
      const timer = clock.setTimer(giveUp, JOURNAL_WAIT_MS);
      waits.add(giveUp);
      void outcome.then(end);
    });

  return {
    start(given) {
      if (phase !== 'idle') return;
      phase = 'live';
      memory = given;
      hooks = createHookMemory(clock, given);
      remembered = rememberedOf(given);
      departures = createDepartures({
        clock,
        memory: given,
        remember: (entries) => out({ facts: [], memory: entries }),
      });
      rate.block(penalty.remembered(given));
      for (const of of users.current) add(of);
      for (const source of sourcesOf(given)) {
        if (!sources.has(source)) departures.missing(recall(aboutOf(source), memory, remembered, departures.lives));
      }
      // From here on what was remembered of a source is where it belongs.
      remembered = new Map();
      memory = undefined;
      penalty.resume(given);
      checkPace();
      portal.start(given);
      doubts.start();
      if (config.usersFile !== undefined) usersPoll.start();
    },
    revise(next) {
      if (phase !== 'live') return;
      if (next === undefined) {
        if (config.usersFile !== undefined) lookAtUsers();
        return;
      }
      users.replace(next);
      takeUsers();
      // Those who left are listed until what is said of their end is taken in: the poll looks after that.
      usersPoll.start();
    },
    stop() {
      stopping ??= (async () => {
        phase = 'stopped';
        schedule.stop();
        portal.stop();
        usersPoll.stop();
        doubts.stop();
        penalty.stop();
        for (const source of sources.values()) source.stop();
        await api.close();
        for (const giveUp of [...waits]) giveUp();
      })();
      return stopping;
    },
    async webhook({ headers, body }) {
      if (phase !== 'live' || hooks === undefined) return { status: 503, detail: 'the source is not running' };
      const read = readDelivery(body, headers.signature, consumerKey);
      switch (read.kind) {
        case 'forged':
          return { status: 401, detail: 'the signature is missing or wrong' };
        case 'unreadable':
          return { status: 400, detail: 'the body is no webhook of the venue' };
        case 'delivery':
          return takeDelivery(read.delivery, hooks);
      }
    },
    sourceFor(name) {
      if (phase === 'stopped') throw new SessionRelayError('closed', `snaptrade.${id} is stopped`);
      if (phase === 'idle') throw new SessionRelayError('source_unavailable', `snaptrade.${id} has not been started`);
      const source = sources.get(name);
      if (source === undefined) throw new SessionRelayError('not_found', `there is no source snaptrade.${name}`);
      return source;
    },
    soon: schedule.soon,
    takePortal: portal.take,
    ask: (ask) => api.send(ask, { counted: false }),
  };
}

function replyOf(isJournaled: boolean): WebhookReply {
  return isJournaled ? { status: 200 } : { status: 503, detail: 'it could not be journaled: send it again' };
}
