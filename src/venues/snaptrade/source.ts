import { createHash } from 'node:crypto';
import { SessionRelayError } from '../../errors.js';
import type { Fact } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import type { FactBatch } from '../venue.js';
import { type Answer, type Api, type Ask, errorOf, type Failure, isUnauthenticated } from './api.js';
import { mapDelivery } from './deliveries.js';
import { createLink } from './link.js';
import { goStale, loseSight, takeList } from './mapper.js';
import { type ConnectionRow, MAX_ROWS, type PortalEvent, readConnection, readConnections } from './messages.js';
import { type Mapped, noteFault, portalFacts, wantAttention } from './source-facts.js';
import { departed, type MapperState, memoryOf } from './state.js';
import type { SourceOfUser } from './users.js';
import type { Delivery } from './webhook.js';

/** One user's connections, live: what lists, webhooks and commands say of them, in the order in which it was asked. */
export interface UserSource {
  readonly source: string;
  readonly state: MapperState;
  readonly user: SourceOfUser['user'];
  /** Lists the connections, the request having been counted; resolves with the ms until the next time. Never rejects. */
  poll(): Promise<number>;
  /** Lists them for a command. Rejects as `errors.ts` says, like all that follow. */
  list(): Promise<readonly ConnectionRow[]>;
  detail(id: string): Promise<ConnectionRow>;
  /** Sends a request on the user's behalf. */
  ask(ask: Omit<Ask, 'user'>): Promise<Answer>;
  /** Tells what a webhook says, in one batch with what is to be remembered of it. */
  takeDelivery(delivery: Delivery, batch: Pick<FactBatch, 'memory' | 'committed'>): void;
  takePortal(events: readonly PortalEvent[], memory?: FactBatch['memory']): void;
  /** Makes stale what no list has confirmed for so long, for whatever reason there was none. */
  doubt(afterMs: number): void;
  apply(change: (state: MapperState) => Mapped): void;
  tell(facts: readonly Fact[], memory?: FactBatch['memory']): void;
  /**
   * Nothing watches its connections any more; its `state` is what to begin with again. `isBack`: at once, for the same
   * user with another secret.
   */
  leave(isBack: boolean): void;
  stop(): void;
}

/** A failed poll is repeated sooner than the next one is due; so many in a row, later and later. */
const POLL_AGAIN_MS = 15_000;
const PATIENCE = 4;
const MAX_FAILED_WAIT_MS = 60_000;
/** So many polls in a row without a list, though the venue answers, leave the connections unseen. */
const UNREAD_TO_STALE = 2;
/** Credentials that are refused are tried again after these, and then after the last: a person may have mended them. */
const REFUSED_WAITS_MS = [300_000, 900_000, 1_800_000] as const;
/** The venue refuses signatures whose time is off; a clock that differs by more may be why. */
const MAX_SKEW_MS = 30_000;

export function createUserSource(options: {
  readonly of: SourceOfUser;
  /** What is known from before; nothing of it is confirmed. */
  readonly initial: MapperState;
  readonly api: Api;
  readonly clock: Clock;
  readonly pollMs: number;
  readonly url: string;
  readonly hookUrl: string;
  readonly out: (batch: FactBatch) => void;
}): UserSource {
  const { api, clock, pollMs, out } = options;
  const { source, user } = options.of;
  let state = options.initial;
  let stopped = false;
  let confirmedMs = clock.monotonic();
  let unread = 0;
  let refusals = 0;
  /** Requests in their order: of two lists the one that was asked for later counts. */
  let asked = 0;
  let applied = 0;
  let inFlight = 0;
  /** By connection: what was asked for before a webhook told of it may be the older. */
  const touchedAt = new Map<string, number>();
  /** The last list as it came, and the state that it left. */
  let last: { readonly hash: string; readonly state: MapperState; readonly rows: readonly ConnectionRow[] } | undefined;

  const emit = (facts: readonly Fact[], memory: FactBatch['memory'], committed?: FactBatch['committed']): void => {
    if (stopped || (facts.length === 0 && memory === undefined && committed === undefined)) return;
    out({ facts, ...(memory === undefined ? {} : { memory }), ...(committed === undefined ? {} : { committed }) });
  };
  const tell = (facts: readonly Fact[], memory?: FactBatch['memory']): void => emit(facts, memory);
  const apply = (change: (state: MapperState) => Mapped): void => {
    const before = state;
    const [after, facts] = change(before);
    state = after;
    emit(facts, memoryOf(after, before));
  };
  const link = createLink({ source, url: options.url, hookUrl: options.hookUrl, tell });

  const send = async (ask: Omit<Ask, 'user'>, counted: boolean): Promise<Answer> => {
    const answer = await api.send({ ...ask, ...(user === undefined ? {} : { user }) }, { counted });
    if (!stopped) hear(answer);
    return answer;
  };
  /** Asks what is compared with what is known, and takes the answer in. */
  const compare = async <T>(
    path: string,
    counted: boolean,
    take: (answer: Answer, mine: number) => T | Promise<T>,
  ): Promise<readonly [Answer, T]> => {
    const mine = ++asked;
    inFlight++;
    try {
      const answer = await send({ method: 'GET', path }, counted);
      return [answer, await take(answer, mine)];
    } finally {
      inFlight--;
      if (inFlight === 0) touchedAt.clear();
    }
  };
  /** Any answer shows that the venue is there. */
  const hear = (answer: Answer): void => {
    if (answer.kind === 'ok' || answer.kind === 'refused' || (answer.kind === 'throttled' && answer.sent)) {
      link.answered();
      return;
    }
    if (answer.kind === 'failed' && answer.unreadable === true)
      apply((before) => noteFault(before, 'garbage over HTTP', 'bad_frame', answer.reason));
    if (answer.kind === 'failed' && link.failed(answer.reason, answer.byVenue)) {
      apply((before) => [loseSight(before), []]);
    }
  };

  const touchedSince = (mine: number): ReadonlySet<string> =>
    new Set([...touchedAt].filter(([, at]) => at >= mine).map(([id]) => id));

  /** Takes in an answer to a list; `undefined` where it is none. */
  const takeAnswer = async (answer: Answer, mine: number): Promise<readonly ConnectionRow[] | undefined> => {
    if (answer.kind !== 'ok') {
      takeFailure(answer);
      return undefined;
    }
    const hash = createHash('sha1').update(answer.text).digest('base64');
    // Word for word the list that led to what is known: nothing has changed.
    if (last?.hash === hash && last.state === state && mine >= applied && touchedSince(mine).size === 0) {
      applied = mine;
      confirm();
      return last.rows;
    }
    const list = await readConnections(answer.body);
    if (stopped) return list?.rows;
    if (list === undefined) {
      unread++;
      apply((before) => noteFault(before, 'no list', 'bad_frame', 'connections without a list'));
      goBlind();
      return undefined;
    }
    const { rows } = list;
    const complete = list.unread === 0;
    unread = 0;
    refusals = 0;
    if (mine < applied) return rows;
    applied = mine;
    const touched = touchedSince(mine);
    apply((before) => takeList(before, { ...list, complete, touched }));
    if (complete) confirm();
    last = complete && touched.size === 0 ? { hash, state, rows } : undefined;
    return rows;
  };
  /** Every connection has been seen now. */
  const confirm = (): void => {
    unread = 0;
    refusals = 0;
    confirmedMs = clock.monotonic();
  };

  const takeFailure = (failure: Failure): void => {
    if (failure.kind !== 'refused') return;
    if (isUnauthenticated(failure)) {
      const { code, message, skewMs = 0 } = failure;
      const isClock = Math.abs(skewMs) > MAX_SKEW_MS;
      const instructions = isClock
        ? `The venue refuses the signature (${code}) and its clock differs by ${Math.round(skewMs / 1_000)} s: check the clock of this machine.`
        : `The venue refuses the credentials (${code}: ${message}): check clientId, consumerKey, userId and userSecret.`;
      apply((before) => wantAttention(before, isClock ? 'check_clock' : 'check_credentials', code, instructions));
      apply((before) => goStale(before, 'link_down'));
      return;
    }
    unread++;
    apply((before) => noteFault(before, 'list refused', 'channel_refused', 'authorizations'));
    goBlind();
  };
  /** The link is up and shows nothing. */
  const goBlind = (): void => {
    if (unread >= UNREAD_TO_STALE) apply((before) => goStale(before, 'link_down'));
  };

  const failedWait = (times: number): number =>
    times < PATIENCE
      ? Math.min(pollMs, POLL_AGAIN_MS)
      : Math.min(Math.max(pollMs, MAX_FAILED_WAIT_MS), POLL_AGAIN_MS * 2 ** Math.min(times - PATIENCE, 10));

  const nextWait = (answer: Answer): number => {
    switch (answer.kind) {
      case 'ok':
        return unread === 0 ? pollMs : failedWait(unread);
      case 'refused':
        if (!isUnauthenticated(answer)) return failedWait(unread);
        refusals++;
        return REFUSED_WAITS_MS[Math.min(refusals, REFUSED_WAITS_MS.length) - 1] ?? REFUSED_WAITS_MS[0];
      case 'throttled':
      case 'limited':
        return answer.waitMs;
      case 'failed':
        return failedWait(link.failures);
    }
  };

  const list = (counted: boolean) =>
    compare('/authorizations', counted, (answer, mine) => (stopped ? undefined : takeAnswer(answer, mine)));

  return {
    source,
    user,
    get state() {
      return state;
    },
    async poll() {
      const [answer] = await list(true);
      return nextWait(answer);
    },
    async list() {
      const [answer, rows] = await list(false);
      if (answer.kind !== 'ok') throw errorOf(answer);
      if (rows !== undefined) return rows;
      throw unreadable('the list of connections');
    },
    async detail(id) {
      const [answer, row] = await compare(`/authorizations/${id}`, false, (given, mine) => {
        const read = given.kind === 'ok' ? readConnection(given.body) : undefined;
        if (stopped || mine < applied || read?.id !== id) return read;
        const touched = touchedSince(mine);
        apply((before) => takeList(before, { rows: [read], complete: false, unread: 0, touched }));
        return read;
      });
      if (answer.kind !== 'ok') throw errorOf(answer);
      if (row?.id !== id) throw unreadable(`connection ${id}`);
      return row;
    },
    ask: (ask) => send(ask, false),
    takeDelivery(delivery, { memory, committed }) {
      const before = state;
      const [after, facts] = mapDelivery(before, delivery);
      state = after;
      const { connection } = delivery;
      // Beyond the bound a list may be taken for newer than it is, until the next one.
      if (connection !== undefined && inFlight > 0 && touchedAt.size < MAX_ROWS) touchedAt.set(connection, asked);
      const remembered: { readonly [key: string]: Json } = { ...memoryOf(after, before), ...memory };
      emit([...link.hooked(), ...facts], remembered, committed);
    },
    takePortal: (events, memory) => emit(portalFacts(state, events), memory),
    doubt(afterMs) {
      if (clock.monotonic() - confirmedMs > afterMs) apply((before) => goStale(before, 'throttled'));
    },
    apply,
    tell,
    leave(isBack) {
      link.end(isBack ? 'the secret of the user changed' : 'the user is no longer configured');
      apply((before) => [isBack ? loseSight(before) : departed(before), []]);
      stopped = true;
    },
    stop() {
      link.end('stopped');
      stopped = true;
    },
  };
}

function unreadable(what: string): SessionRelayError {
  return new SessionRelayError('venue_error', `the venue's answer cannot be read: ${what}`, {
    data: { code: 'unreadable', message: what },
  });
}
