import { SessionRelayError } from '../../errors.js';
import type { Role } from '../../model/event.js';
import type { TlsOptions } from '../../net/tls.js';
import { onceRemembered } from '../remembered.js';
import { createSecrets } from '../secrets.js';
import { shownUrl } from '../shown-url.js';
import type { FactBatch, Venue, VenueMemory, VenuePorts } from '../venue.js';
import { createApi } from './api.js';
import { createBook } from './book.js';
import { unwrap } from './failures.js';
import { createHttpLine, headersOf } from './http-line.js';
import { isMaintenance, MAINTENANCE_SUSPECTED } from './maintenance.js';
import { begin, goStale, logIn, loseSight } from './mapper.js';
import type { BrokerageStatus, SsoAnswer, TickleAnswer } from './messages.js';
import { createOperations } from './operations.js';
import type { IbkrConfig } from './options.js';
import { createRecovery } from './recovery.js';
import { createRounds } from './rounds.js';
import type { Told } from './settle.js';
import { createSessionSocket } from './socket.js';
import { BROKERAGE_TOKEN, forgotten, SSO_TOKEN } from './state.js';

/**
 * One IBKR source, live: two sessions over two carriers. HTTP keeps them alive and proves them; the socket tells
 * changes at once, and its end makes nothing stale. The methods are the venue's operations as commands; they reject
 * as `errors.ts` says.
 */
export interface Feed {
  start(memory?: VenueMemory): void;
  /** Ends what is the relay's own and leaves the login alive: a person would have to log in again. Idempotent. */
  stop(): Promise<void>;
  /** See {@link Venue.forget}. */
  forget(session: string): FactBatch['memory'];
  tickle(): Promise<TickleAnswer>;
  authStatus(): Promise<BrokerageStatus>;
  validateSso(): Promise<SsoAnswer>;
  /** Asks for a login of the relay's own again, where one was logged out of. */
  init(compete: boolean): Promise<BrokerageStatus>;
  /** As `init`; where the venue has it no more, `ssodh/init` without `compete` is what is done. */
  reauthenticate(): Promise<{ readonly triggered: true; readonly message: string } | BrokerageStatus>;
  logout(): Promise<void>;
}

const NOT_FOUND = 404;

export function createFeed(options: {
  readonly config: IbkrConfig;
  readonly role: Role;
  readonly ports: VenuePorts;
  readonly out: (batch: FactBatch) => void;
}): Feed {
  const { config, ports } = options;
  const { clock, random, log } = ports;
  const { environment, id: source } = config;
  const loginUrl = shownOrigin(config.url);
  const secrets = createSecrets(secretsOf(config));
  const about = { source, role: options.role, loginUrl, ...(environment === undefined ? {} : { environment }) };
  const book = createBook(about, options.out);
  let phase: 'idle' | 'live' | 'stopped' = 'idle';
  /** A logout is under way: nothing is initialised behind its back. */
  let leaving = false;
  let session: string | undefined;
  let stopping: Promise<void> | undefined;

  const maintenance = (): boolean => isMaintenance(config.maintenance, clock.now());
  const told = (): Told => ({ generation: line.generation, maintenance: maintenance() });

  const line = createHttpLine({
    http: ports.http(config.tls === undefined ? {} : { tls: config.tls }),
    clock,
    source,
    url: shownUrl(config.url),
    headers: headersOf(config.headers),
    hide: secrets.hide,
    tag: () => (maintenance() ? `${MAINTENANCE_SUSPECTED}: ` : ''),
    tell: book.tell,
    moved(link) {
      if (link === 'down') book.apply((state) => [loseSight(state), []]);
      else book.apply((state) => [{ ...state, evidence: { ...state.evidence, unreachable: false } }, []]);
    },
    throttled(on) {
      if (!on) {
        if (phase === 'live') rounds.now();
        return;
      }
      book.apply((state) => goStale(state, [SSO_TOKEN, BROKERAGE_TOKEN], 'throttled', told()));
    },
  });
  /** What is known of the last `/sso/validate` but one, should the last never have left. */
  let validatedBefore: number | undefined;
  const api = createApi({
    line,
    clock,
    config,
    validating(isSent) {
      const { validatedAtMs: _, ...rest } = book.state;
      const at = isSent ? clock.now() : validatedBefore;
      validatedBefore = book.state.validatedAtMs;
      const after = at === undefined ? rest : { ...rest, validatedAtMs: at };
      return onceRemembered(clock, (committed) => book.apply(() => [after, []], committed));
    },
  });
  const operations = createOperations({
    api,
    book,
    clock,
    secrets,
    told,
    session(found) {
      session = found;
      socket.follow(found);
    },
  });
  const recovery = createRecovery({
    config,
    clock,
    random,
    book,
    operations,
    maintenance,
    held: () => leaving || phase !== 'live',
  });
  const socket = createSessionSocket({
    config,
    ports,
    secrets,
    session: () => session,
    wanted: () => phase === 'live' && line.link === 'up' && book.state.sso.status === 'active' && book.state.sso.seen,
    penaltyLeftMs: line.penaltyLeftMs,
    tell: book.tell,
    frame(frame, generation) {
      if (frame.kind === 'notice')
        log.info('the venue has a notice for the user', { source, ids: frame.ids.join(' ') });
      const before = book.state.lastTic;
      operations.frame(frame, { ...told(), generation });
      const isNews = book.state.lastTic !== before;
      if (frame.kind === 'status') rounds.look();
      // The session that the socket is of has ended: what else has is asked. The venue says it four times.
      if (frame.kind === 'tic' && frame.alive === false && isNews) rounds.now();
    },
    throttled: line.penalize,
  });
  const rounds = createRounds({
    config,
    clock,
    random,
    book,
    line,
    operations,
    recovery,
    maintenance,
    works: socket.wake,
  });

  const checkRunning = (): void => {
    if (phase === 'stopped') throw new SessionRelayError('closed', `ibkr.${source} is stopped`);
    if (phase === 'idle') {
      throw new SessionRelayError('source_unavailable', `ibkr.${source}: it has not been started`);
    }
  };
  /** A command does not wait for the relay's own budget: it is told how long it would have to. */
  const how = { patient: false };
  const askForLogin = (): void => {
    book.apply((state) => [logIn(state), []]);
    recovery.asked();
  };
  const init = async (compete: boolean): Promise<BrokerageStatus> => {
    const status = unwrap(await operations.init(compete, how));
    rounds.now();
    return status;
  };

  return {
    start(memory) {
      if (phase !== 'idle') return;
      phase = 'live';
      tellTls(config.tls, log, source);
      book.recall(memory);
      const { validatedAtMs } = book.state;
      if (memory !== undefined && memory.size > 0)
        api.follows(validatedAtMs === undefined ? undefined : clock.now() - validatedAtMs);
      recovery.recall();
      line.resumePenalty(memory);
      book.apply(begin);
      rounds.start();
    },
    stop() {
      stopping ??= (async () => {
        phase = 'stopped';
        rounds.stop();
        socket.drop('stopped');
        await socket.gone();
        await line.close();
        book.stop();
      })();
      return stopping;
    },
    forget: (session) =>
      session === SSO_TOKEN || session === BROKERAGE_TOKEN
        ? book.quietly((state) => forgotten(state, session))
        : undefined,
    async tickle() {
      checkRunning();
      return unwrap(await operations.tickle(how));
    },
    async authStatus() {
      checkRunning();
      const answer = await operations.authStatus(how);
      // The login itself may be over: that is for a whole round to find out.
      if (answer.kind === 'refused') rounds.now();
      return unwrap(answer);
    },
    async validateSso() {
      checkRunning();
      return unwrap(await operations.validate(how));
    },
    async init(compete) {
      checkRunning();
      askForLogin();
      return init(compete);
    },
    async reauthenticate() {
      checkRunning();
      askForLogin();
      const answer = await operations.reauthenticate(how);
      if (answer.kind === 'refused' && answer.status === NOT_FOUND) return init(false);
      const { message } = unwrap(answer);
      rounds.now();
      return { triggered: true, message };
    },
    async logout() {
      checkRunning();
      leaving = true;
      try {
        const answer = await operations.logout(how);
        // What was said meanwhile was not taken in: all of it is asked again.
        if (answer.kind !== 'ok') rounds.now();
        unwrap(answer);
      } finally {
        leaving = false;
      }
      session = undefined;
      socket.drop('logged out');
    },
  };
}

/** How this source's peer is verified is a matter of trust: it is said once, at the start. */
function tellTls(tls: TlsOptions | undefined, log: VenuePorts['log'], source: string): void {
  if (tls?.insecure === true) {
    log.warn('the certificate of the venue is not verified: whoever is in between can read and change all', { source });
    return;
  }
  const by = tls?.fingerprint !== undefined ? 'fingerprint' : tls?.ca !== undefined ? 'ca' : 'system roots';
  log.info('the certificate of the venue is verified', { source, by });
}

/** Headers may hold a token for whatever stands before the API. */
function secretsOf({ headers, url }: IbkrConfig): readonly string[] {
  const { username, password } = new URL(url);
  const named = Object.entries(headers).flatMap(([name, value]) => (/^user-agent$/i.test(name) ? [] : [value]));
  return [...named, username, password].filter((text) => text !== '');
}

function shownOrigin(base: string): string {
  return `${new URL(base).origin}/`;
}
