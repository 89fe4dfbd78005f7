import { z } from 'zod';
import { seededRandom } from '../../net/timer.js';
import { ACCOUNT } from './account.js';
import type { Broker } from './broker.js';
import { cookieOf } from './cookies.js';
import { engineOf } from './engine.js';
import { NOTIFY_CHANNEL, socketIoEvent } from './messages.js';
import { createPeer } from './peer.js';
import { type Refusal, refusals } from './refusal.js';

/** What is used of a socket.io server, of generation 2 and of generation 4. */
export interface SocketIoServer {
  on(event: 'connection', listener: (socket: SocketIoSocket) => void): unknown;
}

export interface SocketIoSocket {
  /** Its `query.SID` and its header `cookie` are read. */
  readonly handshake: object;
  /** The engine under it. */
  readonly conn: object;
  on(event: string, listener: (...args: readonly unknown[]) => void): unknown;
  emit(event: string, ...args: readonly unknown[]): unknown;
  disconnect(close: boolean): unknown;
}

/** Seeds of connections lie this far apart. */
const SEED_STRIDE = 7_919;

const handshake = z.object({
  query: z.object({ SID: z.string().optional().catch(undefined) }).catch({}),
  headers: z.object({ cookie: z.string().optional().catch(undefined) }).catch({}),
});
const subscription = z.tuple([z.string()], z.unknown());

/**
 * The older endpoint: `sup_subscribe` with the channel and a user, answered with `sup_<channel>(err, data)`, and again
 * on each change (reference page, getSecuritySessions). There is no userData: the answer is the only sign of a login.
 */
export function attachSocketIo(broker: Broker, server: SocketIoServer): void {
  server.on('connection', (socket) => openSocket(broker, socket));
}

function openSocket(broker: Broker, socket: SocketIoSocket): void {
  const { logins, traffic } = broker;
  const id = broker.nextPeer();
  const random = seededRandom(broker.seed + id * SEED_STRIDE);
  const engine = engineOf(socket.conn);
  const peer = createPeer(broker, id, {
    carrier: 'socketio',
    send(said) {
      if (said.kind === 'garbage') engine.write(said.text);
      else socket.emit(...socketIoEvent(said, random));
    },
    // socket.io knows no codes: the venue disconnects.
    close: () => socket.disconnect(true),
    drop: (how) => engine.drop(how),
    hold: () => engine.hold(),
  });
  engine.gate(() => !peer.halfOpen && !peer.outbound.silenced);
  const parsed = handshake.safeParse(socket.handshake).data;
  const sid = parsed?.query.SID ?? cookieOf(parsed?.headers.cookie, 'SID');

  socket.on('sup_subscribe', (...args) => {
    const { data: [channel, user] = [] } = subscription.safeParse(args);
    traffic.asked('socket', channel === NOTIFY_CHANNEL ? 'sup_subscribe' : undefined);
    const refuse = ({ body }: Refusal): void => peer.say({ kind: 'refusal', body, channel: channel ?? '' });
    if (channel !== NOTIFY_CHANNEL) return refuse(refusals.unsupported());
    if (!logins.isAlive(sid)) return refuse(refusals.unknownUser());
    if (!isOwnUser(user)) return refuse(refusals.accessDenied());
    peer.logIn();
    peer.subscribe();
  });
  socket.on('disconnect', () => peer.gone());
}

/**
 * The page sends `%username` as it stands; whether that is a placeholder is not documented. It is taken, and so is the
 * login with and without the sign.
 */
function isOwnUser(user: unknown): boolean {
  return typeof user === 'string' && ['%username', ACCOUNT.login, `%${ACCOUNT.login}`].includes(user);
}
