import type { Clock, Timer } from '../../net/clock.js';
import { seededRandom } from '../../net/timer.js';
import { type Brokerage, createBrokerage } from './brokerage.js';
import { type Conditions, createConditions } from './conditions.js';
import { drawIdentity, type Identity } from './identity.js';
import { heartbeatFrame } from './messages.js';
import { createOtherLogin, type OtherLogin } from './other-login.js';
import { createPacing, type Pacing } from './pacing.js';
import type { GatewaySocket } from './socket.js';
import { type Absence, createSso, type Sso } from './sso.js';
import { createOwnTraffic, type Traffic } from './traffic.js';
import type { Username } from './username.js';

/** The specification that answers follow: `2.9` has no `established`, and confirms a logout in other words. */
export type Generation = 'current' | '2.9';

/** Everything of the gateway that is not one socket or one request. */
export interface Gateway {
  readonly clock: Clock;
  readonly generation: Generation;
  readonly paper: boolean;
  readonly identity: Identity;
  readonly conditions: Conditions;
  readonly pacing: Pacing;
  readonly sso: Sso;
  readonly brokerage: Brokerage;
  readonly other: OtherLogin;
  readonly traffic: Traffic;
  /** Live sockets by number. */
  readonly sockets: Map<number, GatewaySocket>;
  /** A number for one more socket; they count from 1. */
  nextSocket(): number;
  /** A person has logged in, and the gateway beats from now on. `open`: with a brokerage session. */
  start(options: { readonly open: boolean }): void;
  /** Somebody asked for something: the brokerage session lives on. */
  touch(): void;
  /** A person logs in at the gateway; the brokerage session is taken from whoever has it. */
  logIn(): void;
  logOut(absence: Absence): void;
  /** Gives up its place at the username. */
  leave(): void;
}

/**
 * "Several minutes" without a request (IBKR docs, `/tickle`); clients measured five to six: the shorter. What a socket
 * is sent does not count.
 */
const IDLE_MS = 300_000;
/** Recorded. */
const HEARTBEAT_MS = 10_000;
/** Logins and the machine draw from streams of their own, so that neither moves what the other draws. */
const STREAMS = { sso: 1, identity: 2 } as const;
const NEW_LOGIN_CLOSE_CODE = 1001;

export function createGateway(options: {
  readonly clock: Clock;
  readonly seed: number;
  readonly username: Username;
  readonly generation: Generation;
  readonly paper: boolean;
}): Gateway {
  const { clock, seed, username, generation, paper } = options;
  const sockets = new Map<number, GatewaySocket>();
  const each = (act: (socket: GatewaySocket) => void): void => {
    for (const socket of [...sockets.values()]) act(socket);
  };
  let last = 0;
  let idle: Timer | undefined;
  const conditions = createConditions(clock);
  const brokerage = createBrokerage({
    clock,
    username,
    establishMs: () => conditions.establishMs,
    changed: () => each((socket) => socket.tellStatus()),
  });
  const sso = createSso(clock, seededRandom(seed + STREAMS.sso), () => brokerage.close());
  const beat = (): void => {
    clock.setTimer(() => {
      each((socket) => {
        if (socket.authenticated) socket.outbound.send(heartbeatFrame(clock.now()));
      });
      beat();
    }, HEARTBEAT_MS);
  };

  const gateway: Gateway = {
    clock,
    generation,
    paper,
    identity: drawIdentity(seededRandom(seed + STREAMS.identity)),
    conditions,
    pacing: createPacing(clock),
    sso,
    brokerage,
    other: createOtherLogin(clock, username),
    traffic: createOwnTraffic(),
    sockets,
    nextSocket() {
      last += 1;
      return last;
    },
    start({ open }) {
      sso.logIn();
      brokerage.begin(open);
      gateway.touch();
      beat();
    },
    touch() {
      idle?.cancel();
      idle = clock.setTimer(() => brokerage.timeOut(), IDLE_MS);
    },
    logIn() {
      // Assumed: what was opened under the login before ends, as nothing of a socket survives.
      each((socket) => {
        if (socket.authenticated) socket.close('new_login', NEW_LOGIN_CLOSE_CODE, '');
      });
      sso.logIn();
      if (!conditions.driftOutlastsInit) conditions.drift.on(0);
      brokerage.open(true);
      gateway.touch();
    },
    logOut: (absence) => sso.end(absence),
    leave() {
      gateway.other.logOut();
      brokerage.leave();
    },
  };
  return gateway;
}
