import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import type { Timer } from '../../net/clock.js';
import type { Broker } from './broker.js';
import { KEEP_ALIVE, rawFrame, userData } from './messages.js';
import { createPeer, ownUserData } from './peer.js';
import { refusals } from './refusal.js';

/** Recorded: 60.000 s between the first frame and the first keepAlive. */
const KEEP_ALIVE_MS = 60_000;

/** Commands of the vendor's pages and of recorded browsers that say nothing of sessions: taken, and not simulated. */
const OTHER_CHANNELS: ReadonlySet<string> = new Set([
  'quotes',
  'orderBook',
  'orderbook',
  'orders',
  'portfolio',
  'calculatedPortfolio',
  'markets',
  'counters',
  'adminMessage',
  'alerts',
  'sms',
]);

/**
 * One raw WebSocket. A bad SID raises no error: the socket is a demo one, and its userData is the only sign
 * (vendor's page, WebSocket API).
 */
export function openRawSocket(
  broker: Broker,
  { socket, tcp, query }: { readonly socket: WebSocket; readonly tcp: Socket; readonly query: URLSearchParams },
): void {
  const { clock, conditions, traffic } = broker;
  const peer = createPeer(broker, broker.nextPeer(), {
    carrier: 'websocket',
    send(said) {
      if (socket.readyState === socket.OPEN) socket.send(rawFrame(said, conditions.plainFrames.isOn));
    },
    close: (code, reason) => socket.close(code, reason),
    drop(how) {
      if (how === 'reset') tcp.resetAndDestroy();
      else tcp.end();
    },
    hold: () => socket.pause(),
  });
  let keepAlive: Timer | undefined;
  const keepAliveLater = (): void => {
    keepAlive = clock.setTimer(() => {
      peer.say(KEEP_ALIVE);
      keepAliveLater();
    }, KEEP_ALIVE_MS);
  };

  const receive = (text: string): void => {
    const command = commandOf(text);
    if (command === undefined) {
      traffic.asked('socket', undefined);
      peer.say({ kind: 'refusal', body: refusals.badJson().body });
      return;
    }
    const isSessions = command === 'sessions' || command === 'session';
    const isKnown = isSessions || OTHER_CHANNELS.has(command);
    traffic.asked('socket', isKnown ? command : undefined);
    // A server that takes one of the two words passes over the other without an answer.
    if (isSessions && ['both', command].includes(conditions.sessionsWord)) peer.subscribe();
    // That `error` events exist is documented, their shape is not: the one of HTTP.
    else if (!isKnown) peer.say({ kind: 'refusal', body: refusals.unsupported().body });
  };

  socket.on('message', (data) => receive(String(data)));
  socket.on('ping', (data) => {
    if (!peer.outbound.silenced) socket.pong(data);
  });
  socket.on('error', () => {}); // a frame that breaks the protocol; `close` follows
  socket.on('close', () => {
    keepAlive?.cancel();
    peer.gone();
  });

  keepAliveLater();
  if (!isCustomer(broker, query)) {
    peer.say(userData(undefined));
    return;
  }
  peer.logIn();
  if (conditions.listFirst) {
    conditions.listFirst = false;
    peer.say({ kind: 'list', rows: broker.sessions.rows() });
  }
  peer.say(ownUserData());
}

/** By a SID, or by a signature over the time (official Python SDK); the SID goes first where both are given. */
function isCustomer({ keys, logins }: Broker, query: URLSearchParams): boolean {
  const sid = query.get('SID');
  if (sid !== null && logins.isAlive(sid)) return true;
  const given = (name: string): string | undefined => query.get(name) ?? undefined;
  const publicKey = given('X-NtApi-PublicKey');
  if (publicKey === undefined) return false;
  try {
    keys.verifyV3({ publicKey, timestamp: given('X-NtApi-Timestamp'), signature: given('X-NtApi-Sig') }, '');
    return true;
  } catch {
    return false;
  }
}

const command = z.tuple([z.string()], z.unknown());

function commandOf(text: string): string | undefined {
  try {
    return command.safeParse(JSON.parse(text)).data?.[0];
  } catch {
    return undefined;
  }
}
