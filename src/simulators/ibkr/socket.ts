import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { BrokerageFacts } from './brokerage.js';
import { sessionOfText } from './credential.js';
import type { Gateway } from './gateway.js';
import { accountFrame, partialStatusFrame, statusFrame, systemFrame } from './messages.js';
import { createOutbound, type Outbound } from './outbound.js';
import type { EndCause } from './traffic.js';

/** One WebSocket of a client, as the gateway sees it. */
export interface GatewaySocket {
  readonly id: number;
  /** It showed a session that lived then. */
  readonly authenticated: boolean;
  readonly halfOpen: boolean;
  readonly outbound: Outbound;
  /** Says what has changed about the brokerage session. */
  tellStatus(): void;
  close(cause: EndCause, code: number, reason: string): void;
  /** Ends it without a close frame: `end` after what was sent has left, `reset` at once. */
  drop(cause: EndCause, how: 'end' | 'reset'): void;
  /** Neither reads nor writes from now on. */
  holdOpen(): void;
}

/** Seen by clients that sent no cookie (ibind issue 25). */
const WAITING = JSON.stringify({ message: 'waiting for session' });
/** Recorded: one `tic` is answered so often. */
const TIC_ANSWERS = 4;
/** Topics of the vendor's pages that say nothing of sessions: taken, and not simulated. */
const OTHER_TOPICS: ReadonlySet<string> = new Set([
  ...['smd', 'umd', 'smh', 'umh', 'sbd', 'ubd', 'ssd', 'usd', 'sld', 'uld', 'sor', 'uor', 'str', 'utr', 'spl', 'upl'],
  // Older clients' heartbeat.
  'ech',
]);
const TOPIC_LENGTH = 3;

type Told = Pick<BrokerageFacts, 'authenticated' | 'established' | 'competing'>;

export function openSocket(
  gateway: Gateway,
  {
    socket,
    tcp,
    cookie,
    reset,
  }: {
    readonly socket: WebSocket;
    readonly tcp: Socket;
    /** The session that the upgrade's cookie shows. */
    readonly cookie: string | undefined;
    readonly reset: (tcp: Socket) => void;
  },
): void {
  const { brokerage, clock, conditions, sockets, sso, traffic } = gateway;
  const id = gateway.nextSocket();
  /** The session that it showed. */
  let session: string | undefined;
  let told: Told = brokerage.facts;
  let halfOpen = false;
  let ended = false;

  const outbound = createOutbound({
    clock,
    delayMs: () => (conditions.slow.isOn && conditions.slowOf !== 'http' ? conditions.delayMs : 0),
    write(text) {
      if (!halfOpen && socket.readyState === socket.OPEN) socket.send(text);
    },
  });
  const over = (cause: EndCause): boolean => {
    if (ended) return false;
    ended = true;
    sockets.delete(id);
    traffic.ended(id, cause);
    return true;
  };
  const identify = (shown: string | undefined): void => {
    if (shown === undefined || shown !== sso.session) {
      outbound.send(WAITING);
      return;
    }
    session = shown;
    told = brokerage.facts;
    outbound.send(systemFrame(gateway));
    if (told.authenticated) outbound.send(accountFrame(gateway));
    outbound.send(statusFrame(gateway));
  };
  const receive = (text: string): void => {
    if (session === undefined) {
      // Anything else than the session is dropped without a word until then (seen by bezant).
      const shown = sessionOfText(text);
      traffic.asked('socket', shown === undefined ? 'too_early' : 'session');
      if (shown !== undefined) identify(shown);
      return;
    }
    const topic = text.slice(0, TOPIC_LENGTH);
    if (text === 'tic') {
      traffic.asked('socket', 'tic');
      const alive = session === sso.session;
      const answer = JSON.stringify({ topic: 'tic', alive, id: session, lastAccessed: clock.now() });
      for (let count = 0; count < TIC_ANSWERS; count++) outbound.send(answer);
      return;
    }
    const isKnown = OTHER_TOPICS.has(topic);
    traffic.asked('socket', isKnown ? topic : undefined);
    // The words are ibind's log's (issue 25); the frame around them is assumed.
    if (!isKnown) outbound.send(JSON.stringify({ error: `Topic unknown '${topic}'` }));
  };

  sockets.set(id, {
    id,
    get authenticated() {
      return session !== undefined;
    },
    get halfOpen() {
      return halfOpen;
    },
    outbound,
    tellStatus() {
      const before = told;
      told = brokerage.facts;
      if (session === undefined) return;
      const { authenticated, established, competing, fail } = brokerage.facts;
      if (established && !before.established) {
        outbound.send(accountFrame(gateway));
        outbound.send(statusFrame(gateway));
        return;
      }
      const changed = {
        ...(authenticated === before.authenticated ? {} : { authenticated }),
        ...(competing === before.competing ? {} : { competing }),
      };
      if (Object.keys(changed).length === 0) return;
      outbound.send(partialStatusFrame(gateway, { ...changed, ...(fail === '' ? {} : { fail }) }));
    },
    close(cause, code, reason) {
      if (!over(cause)) return;
      outbound.after(() => {
        if (!halfOpen) socket.close(code, reason);
      });
    },
    drop(cause, how) {
      if (!over(cause)) return;
      if (how === 'reset') reset(tcp);
      else outbound.after(() => tcp.end());
    },
    holdOpen() {
      halfOpen = true;
      socket.pause();
    },
  });

  socket.on('message', (data) => {
    if (!ended && !halfOpen) receive(String(data));
  });
  socket.on('ping', (data) => {
    if (!outbound.silenced) socket.pong(data);
  });
  socket.on('error', () => {}); // a frame that breaks the protocol; `close` follows
  socket.on('close', () => {
    over('client');
    outbound.stop();
  });
  identify(cookie);
}
