import { SessionRelayError } from '../../errors.js';
import { type Environment, type EventData, type Role, timestampOf } from '../../model/event.js';
import { VERSION } from '../../version.js';
import { onceRemembered } from '../remembered.js';
import { createSecrets } from '../secrets.js';
import { shownUrl } from '../shown-url.js';
import type { FactBatch, VenueMemory, VenuePorts } from '../venue.js';
import { missingScopes, scopeText } from './auth.js';
import { type Book, createBook, type Told } from './book.js';
import { type Confirmation, createConfirmation } from './confirm.js';
import { type Connection, createConnection } from './connection.js';
import { createFrameReader } from './frames.js';
import { createHeartbeat, type Heartbeat } from './heartbeat.js';
import { createLine, type Line, type LineEnd } from './line.js';
import { createLogin, type Login } from './login.js';
import { recall, type Wishes } from './memory.js';
import { METHOD, type Token } from './messages.js';
import { type DeribitConfig, sessionNameOf, sessionTokenOf } from './options.js';
import { createOutbound, type Outbound, retryAfterMs } from './outbound.js';
import { createProtection, type Protection } from './protection.js';
import { createReadiness, type Readiness } from './ready.js';
import { createRenewal } from './renewal.js';
import { createSession, type Session } from './session.js';

/** Why no connection is made any more: a person logged out, a person has to act, or it is over. */
export type Hold = 'logged_out' | 'attention' | 'stopped';

/** What the end of a connection that is being asked for will mean. */
export interface Intent {
  /** The venue was asked to log out: it cancels nothing. */
  readonly loggedOut: boolean;
  readonly closedBy?: 'user' | 'relay';
}

/** A source that has been started: its parts, and what runs between them. What people ask of it is in `feed.ts`. */
export interface Source {
  readonly line: Line;
  readonly outbound: Outbound;
  readonly heartbeat: Heartbeat;
  readonly protection: Protection;
  readonly session: Session;
  readonly confirmation: Confirmation;
  readonly book: Book;
  readonly ready: Readiness;
  /** Absent without credentials. */
  readonly login: Login | undefined;
  /** In `session:NAME`: it outlives its connection. */
  readonly isNamed: boolean;
  /** The open connection. */
  readonly connection: Connection | undefined;
  /** The venue has said what environment it is, and it is the right one. */
  readonly isGreeted: boolean;
  /** The last token's end and scope. */
  readonly granted: { readonly expiresAt: string; readonly scope: string } | undefined;
  hold: Hold | undefined;
  intent: Intent | undefined;
  wishes: Wishes;
  /** Channels that somebody subscribed by `call`: not ours to read. */
  readonly foreign: Set<string>;
  begin(): void;
  /** Remembers whether a person has logged out. */
  rememberLogout(loggedOut: boolean): void;
  /** Logs in anew because the token was refused, unless that has just been done; answers whether it does. */
  relogin(connection: Connection): boolean;
  /** Resolves once nothing is connected or being connected. */
  gone(): Promise<void>;
}

/** A token that is refused so soon after a login was not what was wrong. */
const RELOGIN_AFTER_MS = 10_000;

export interface SourceOptions {
  readonly config: DeribitConfig;
  readonly role: Role;
  readonly ports: VenuePorts;
  readonly memory: VenueMemory | undefined;
  readonly out: (batch: FactBatch) => void;
}

export function createSource({ config, role, ports, memory, out }: SourceOptions): Source {
  const { clock, random, log } = ports;
  const { credentials, id, scope } = config;
  const token = sessionTokenOf(config);
  const isNamed = credentials !== undefined && sessionNameOf(scope) !== undefined;
  const recalled = recall(memory, token);
  const secrets = createSecrets(credentials === undefined ? [] : [credentials.clientSecret, credentials.clientId]);
  const ready = createReadiness(clock);
  const leavers = new Set<() => void>();
  const foreign = new Set<string>();
  let connection: Connection | undefined;
  let isGreeted = false;
  let granted: Source['granted'];
  let loginRecord = recalled.login;
  let rememberedArmed = '';
  /** The first connection waits for the end of a penalty that a life before this one got. */
  let isWaiting = false;

  const book = createBook({
    source: id,
    session: token,
    recalled,
    generation: () => line.generation,
    out,
  });
  const { tell } = book;

  const outbound = createOutbound({
    clock,
    throttled: (untilMs) =>
      tell([{ type: 'source.throttled', data: { untilAt: timestampOf(untilMs) } }], { throttledUntilMs: untilMs }),
    unthrottled() {
      tell([{ type: 'source.unthrottled', data: {} }], { throttledUntilMs: null });
      if (isWaiting) begin();
    },
  });

  const line = createLine({
    clock,
    random,
    connect: ports.connect,
    url: config.url,
    socket: config.tls === undefined ? {} : { tls: config.tls },
    opened,
    message: (text) => {
      if (connection !== undefined) reader.read(connection, text);
    },
    ended,
    retrying: (generation, attempt, delayMs) =>
      tell([{ type: 'link.retrying', data: { carrier: 'ws', generation, attempt, delayMs } }]),
  });

  const heartbeat = createHeartbeat({
    clock,
    wish: recalled.wishes.heartbeatSeconds ?? config.heartbeatSeconds,
    tell: (type, data) => tell([{ type, data } as Told]),
    refused: (seconds) => book.map({ kind: 'inconsistent', what: `a heartbeat of ${seconds} s was refused` }),
    dead: (silentMs) =>
      line.end(`silent for ${Math.round(silentMs / 1_000)} s, and no answer when asked`, 'terminate', 'later'),
  });

  const session = createSession({
    token,
    isNamed,
    role,
    record: recalled.session,
    wishes: recalled.wishes,
    tell,
  });

  const armedMemory = (): FactBatch['memory'] => {
    const armed = [...protection.armed()];
    if (JSON.stringify(armed) === rememberedArmed) return undefined;
    rememberedArmed = JSON.stringify(armed);
    return { armed };
  };
  const wanted = config.cancelOnDisconnect;
  const protection = createProtection({
    clock,
    wishes: { ...(wanted === 'leave' ? {} : { connection: wanted === 'enable' }), ...recalled.wishes.protection },
    tell: (facts) => tell(facts, armedMemory()),
    asking: () => onceRemembered(clock, (committed) => tell([], armedMemory(), committed)),
    inconsistent: (what) => book.map({ kind: 'inconsistent', what }),
  });

  const renewal = createRenewal({
    clock,
    warnMs: config.expiryWarning,
    renew() {
      if (connection !== undefined) void login?.renew(connection);
    },
    expiring: (atMs, inMs) => session.expiring(atMs, inMs, source.hold === undefined && login?.held === false),
    expired(atMs) {
      session.expired(atMs);
      if (connection !== undefined) void login?.run(connection);
    },
  });

  const login =
    credentials === undefined
      ? undefined
      : createLogin({
          config,
          credentials,
          clock,
          random,
          record: recalled.login,
          skewMs: () => reader.skewMs,
          accepted,
          attention(data, thrown) {
            session.attention(data);
            log.warn('the login was refused', { source: `deribit.${id}`, action: data.action });
            ready.failed(line.generation, thrown);
          },
          postponed(mine) {
            if (login?.isIn(mine) === false) confirmation.run(mine);
          },
          gaveUp() {
            source.hold = 'attention';
            // A connection on which a login once worked may protect orders: it is not closed unasked.
            if (!login?.isIn(connection)) line.end('the login was refused', 'close', 'stay');
          },
          remember(worked) {
            loginRecord = { ...loginRecord, worked };
            tell([], { login: { ...loginRecord } });
          },
        });

  const relogin = (mine: Connection): boolean => {
    if (login === undefined || login.held || login.ageMs < RELOGIN_AFTER_MS || !mine.isLive) return false;
    void login.run(mine);
    return true;
  };

  const confirmation = createConfirmation({
    clock,
    random,
    book,
    session,
    protection,
    isIn: (mine) => login?.isIn(mine) === true,
    relogin,
    done(mine) {
      if (login !== undefined && !login.isIn(mine)) return;
      line.healthy();
      ready.confirmed(mine.generation);
    },
  });

  const reader = createFrameReader({ clock, book, heartbeat, outbound, secrets, confirmation, foreign, relogin });

  function accepted(mine: Connection, held: Token, how: 'refresh' | 'reauthenticate'): void {
    secrets.add(held.accessToken, held.refreshToken, ...(held.sid === undefined ? [] : [held.sid]));
    if (loginRecord.loggedOut) source.rememberLogout(false);
    if (source.hold === 'attention') source.hold = undefined;
    const expiresAtMs = renewal.schedule(held.expiresInMs);
    const told = scopeText(held.scopes);
    granted = { expiresAt: timestampOf(expiresAtMs), scope: told };
    const before = session.record.sid;
    session.authenticated({
      generation: mine.generation,
      how,
      expiresAtMs,
      scope: told,
      ...(held.sid === undefined ? {} : { sid: held.sid }),
      ...environmentOf(),
    });
    const missing = missingScopes(scope, held.scopes);
    if (missing.length > 0) book.map({ kind: 'inconsistent', what: `scopes not granted: ${missing.join(' ')}` });
    if (how === 'reauthenticate' || session.record.sid !== before) confirmation.run(mine);
  }

  function begin(): void {
    isWaiting = false;
    if (source.hold !== undefined || line.phase !== 'idle') return;
    session.connecting();
    line.connect();
  }

  function environmentOf(): { readonly environment?: Environment } {
    const known = reader.environment ?? config.environment;
    return known === undefined ? {} : { environment: known };
  }

  /** Hello and heartbeat leave in the turn of the opening: an idle socket without either is dropped within a minute. */
  function opened(generation: number, send: (text: string) => void): void {
    const mine = createConnection({ clock, outbound, generation, send });
    connection = mine;
    isGreeted = false;
    reader.opened();
    foreign.clear();
    book.mapped({ kind: 'opened' });
    tell([{ type: 'link.up', data: { carrier: 'ws', generation, url: shownUrl(config.url) } }]);
    const hello = mine.ask(METHOD.hello, { client_name: 'session-relay', client_version: VERSION });
    heartbeat.attach(mine);
    void establish(mine, hello);
  }

  /** No secret is sent before the venue has said which environment it is. */
  async function establish(mine: Connection, hello: Promise<unknown>): Promise<void> {
    await hello.catch(() => undefined);
    if (!mine.isLive || source.hold !== undefined) return;
    const { environment } = reader;
    if (config.environment !== undefined && environment !== undefined && environment !== config.environment) {
      source.hold = 'attention';
      const instructions = `deribit.${id} is configured as ${config.environment}, and its url answers as ${environment}: correct the one or the other, then reconnect.`;
      session.attention({ action: 'check_credentials', instructions });
      ready.failed(mine.generation, new SessionRelayError('conflict', instructions));
      line.end('the environment is not the configured one', 'close', 'stay');
      return;
    }
    isGreeted = true;
    if (login !== undefined) {
      await login.run(mine);
      return;
    }
    session.authenticated({ generation: mine.generation, how: 'reauthenticate', ...environmentOf() });
    confirmation.run(mine);
  }

  function ended(end: LineEnd): number | 'stay' {
    const { generation, code, clean, refused, oversized } = end;
    const { intent } = source;
    const reason = secrets.hide(end.reason);
    source.intent = undefined;
    connection?.end('the connection ended');
    connection = undefined;
    heartbeat.detach();
    renewal.stop();
    confirmation.ended();
    login?.left();
    const armed = protection.ended();
    rememberedArmed = '[]';
    const initiator = end.byRelay
      ? 'relay'
      : refused !== undefined || clean || reader.isDismissed
        ? 'venue'
        : 'network';
    if (intent?.closedBy === 'user') {
      source.hold ??= 'logged_out';
      loginRecord = { ...loginRecord, loggedOut: true };
    }
    // What ended on purpose is told before the link, so that nobody takes it for lost sight of.
    const facts: readonly Told[] = [
      ...(intent?.closedBy === undefined ? [] : [session.closed(intent.closedBy)]),
      ...(oversized ? book.mapped({ kind: 'oversized' }) : []),
      { type: 'link.down', data: { carrier: 'ws', generation, code, reason, clean, initiator } },
      ...book.mapped({ kind: 'ended' }),
      ...(intent?.loggedOut === true ? [] : armed.map(triggered)),
    ];
    session.unseen();
    const memo = { session: { ...session.record }, armed: [], login: { ...loginRecord } };
    tell(facts, end.wasOpen ? memo : undefined);
    if (refused?.status === 429) outbound.penalize(retryAfterMs(refused.headers['retry-after'], clock.now()));
    const why = `deribit.${id}: the connection ended: ${reason}`;
    ready.failed(generation, new SessionRelayError('source_unavailable', why));
    if (source.hold === undefined) return outbound.penaltyLeftMs;
    for (const leave of leavers) leave();
    return 'stay';
  }

  const source: Source = {
    line,
    outbound,
    heartbeat,
    protection,
    session,
    confirmation,
    book,
    ready,
    login,
    isNamed,
    get connection() {
      return connection;
    },
    get isGreeted() {
      return isGreeted;
    },
    get granted() {
      return granted;
    },
    hold: recalled.login.loggedOut ? 'logged_out' : undefined,
    intent: undefined,
    wishes: recalled.wishes,
    foreign,
    begin() {
      // The relay died on a protected connection: nobody saw what became of it.
      if (recalled.armed.length > 0) tell(recalled.armed.map(triggered), { armed: [] });
      const { throttledUntilMs } = recalled;
      if (throttledUntilMs !== undefined && throttledUntilMs > clock.now()) {
        isWaiting = true;
        outbound.penalize(throttledUntilMs - clock.now());
        return;
      }
      if (throttledUntilMs !== undefined) {
        tell([{ type: 'source.unthrottled', data: {} }], { throttledUntilMs: null });
      }
      begin();
    },
    rememberLogout(loggedOut) {
      loginRecord = { ...loginRecord, loggedOut };
      tell([], { login: { ...loginRecord } });
    },
    relogin,
    gone: () =>
      line.phase === 'idle'
        ? Promise.resolve()
        : new Promise((resolve) => {
            leavers.add(resolve);
          }),
  };
  return source;
}

function triggered(scope: EventData<'protection.triggered'>['scope']): Told {
  return {
    type: 'protection.triggered',
    data: { mechanism: 'cancel_on_disconnect', scope, certain: false },
  };
}
