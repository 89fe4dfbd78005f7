import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Json } from '../../model/json.js';
import type { Random, Timer } from '../../net/clock.js';
import type { Account } from './accounts.js';
import { answer } from './answer.js';
import { channelOf } from './channels.js';
import type { EvictedSockets } from './conditions.js';
import type { Exchange } from './exchange.js';
import { createHeartbeat, type Heartbeat } from './heartbeat.js';
import { createOutbound, type Outbound } from './outbound.js';
import type { Grant } from './tokens.js';
import type { EndCause } from './traffic.js';
import { errorText, heartbeatText, parseRequest, resultText, subscriptionText } from './wire.js';

/** One WebSocket of a client, as the venue sees it. */
export interface Connection {
  readonly id: number;
  readonly address: string;
  readonly random: Random;
  readonly heartbeat: Heartbeat;
  readonly outbound: Outbound;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  /** Who is logged in; private requests without a token of their own are theirs. */
  readonly grant: Grant | undefined;
  /** Cancel-on-disconnect of this connection. */
  protected: boolean;
  /** Its first account: the connection begins with that account's default protection. */
  belongTo(account: Account): void;
  logIn(grant: Grant): void;
  /** Answers whether it is new. */
  subscribe(channel: string, subscription: Subscription): boolean;
  unsubscribe(channel: string): boolean;
  /** Says something on a channel, if it is subscribed. */
  notify(channel: string, data: Json): void;
  /** The next request is answered with 10028, and that is the end. */
  exhausted: boolean;
  /** The venue neither reads nor writes from now on, and the network keeps the connection. */
  halfOpen(): void;
  /** Its session ended without it. */
  sessionEvicted(sockets: EvictedSockets): void;
  /** Ends it with a close frame. */
  close(cause: EndCause, code: number, reason: string): void;
  /** Ends it without one: `end` after what was sent has left, `reset` at once. */
  drop(cause: EndCause, how: 'end' | 'reset'): void;
  /** Ends it as `private/logout` does: the orders stay. */
  logOut(): void;
}

export interface Subscription {
  /** Whose; absent for public channels. */
  readonly account?: Account;
  readonly label?: string;
}

/** Recorded: without a heartbeat and a subscription, 60.5 s after the last request, and without a close frame. */
const IDLE_MS = 60_500;
/** Recorded. */
const HEARTBEAT_CLOSE = { code: 4000, reason: 'heartbeat close' } as const;
const NORMAL_CLOSE_CODE = 1000;

export function openConnection(
  exchange: Exchange,
  {
    id,
    address,
    random,
    socket,
    tcp,
  }: {
    readonly id: number;
    readonly address: string;
    readonly random: Random;
    readonly socket: WebSocket;
    readonly tcp: Socket;
  },
): Connection {
  const { clock, conditions, tokens, traffic } = exchange;
  const subscriptions = new Map<string, Subscription>();
  let grant: Grant | undefined;
  let ended = false;
  let deaf = false;
  let hasAccount = false;
  /** Something was sent on a channel since the last `test_request`. */
  let busy = false;
  let idle: Timer | undefined;

  const outbound = createOutbound({
    clock,
    delayMs: () => (conditions.slow.isOn ? conditions.delayMs : 0),
    write(text) {
      if (!deaf && socket.readyState === socket.OPEN) socket.send(text);
    },
    resumed: () => {
      if (!ended) heartbeat.resume();
    },
  });
  const heartbeat = createHeartbeat({
    clock,
    random,
    silenced: () => outbound.silenced,
    request() {
      outbound.raw(heartbeatText('test_request'));
      // Recorded: a second frame beside it on an idle connection, none on a busy one.
      if (!busy) outbound.raw(heartbeatText('heartbeat'));
      busy = false;
    },
    unanswered: () => connection.close('heartbeat', HEARTBEAT_CLOSE.code, HEARTBEAT_CLOSE.reason),
  });

  /** The venue is done with it: its tokens die, and its protected orders are cancelled unless it logged out. */
  const over = (cause: EndCause): boolean => {
    if (ended) return false;
    ended = true;
    idle?.cancel();
    heartbeat.stop();
    exchange.connections.delete(id);
    for (const channel of [...subscriptions.keys()]) connection.unsubscribe(channel);
    tokens.connectionEnded(id);
    const orders = connection.protected && cause !== 'logout' ? exchange.orders.ofConnection(id) : [];
    const cancelled = exchange.orders.cancel(orders, 'cancel_on_disconnect');
    traffic.ended({ connection: id, cause, cancelledOrders: cancelled.map(({ wire }) => wire.order_id) });
    return true;
  };
  const awaitRequest = (): void => {
    idle?.cancel();
    idle = clock.setTimer(() => {
      if (heartbeat.interval === undefined && subscriptions.size === 0) connection.drop('idle', 'end');
      else awaitRequest();
    }, IDLE_MS);
  };
  const receive = (text: string): void => {
    if (ended || deaf) return;
    awaitRequest();
    const stamp = exchange.stamp();
    const request = parseRequest(text);
    if ('refusal' in request) {
      traffic.asked(undefined);
      traffic.refused(request.refusal.code);
      outbound.reply(errorText(request.id, request.refusal, stamp));
      return;
    }
    const afterwards: (() => void)[] = [];
    const outcome = answer(exchange, request, { connection, address, after: (task) => void afterwards.push(task) });
    if (outcome.refusal !== undefined) outbound.reply(errorText(request.id, outcome.refusal, stamp));
    else if (outcome.result !== undefined) outbound.reply(resultText(request.id, outcome.result, stamp));
    for (const task of afterwards) task();
    if (outcome.refusal?.message === 'too_many_requests') connection.drop('credits', 'end');
  };

  const connection: Connection = {
    id,
    address,
    random,
    heartbeat,
    outbound,
    subscriptions,
    get grant() {
      return grant;
    },
    protected: false,
    exhausted: false,
    belongTo(account) {
      if (!hasAccount) connection.protected = account.protectsNew;
      hasAccount = true;
    },
    logIn(next) {
      connection.belongTo(next.account);
      grant = next;
    },
    subscribe(channel, subscription) {
      const isNew = !subscriptions.has(channel);
      subscriptions.set(channel, subscription);
      const parsed = channelOf(channel, exchange.platform.indices);
      if (isNew && parsed?.kind === 'price') exchange.platform.listen(parsed.index);
      return isNew;
    },
    unsubscribe(channel) {
      const wasThere = subscriptions.delete(channel);
      const parsed = channelOf(channel, exchange.platform.indices);
      if (wasThere && parsed?.kind === 'price') exchange.platform.unlisten(parsed.index);
      return wasThere;
    },
    notify(channel, data) {
      const subscription = subscriptions.get(channel);
      if (ended || subscription === undefined) return;
      busy = true;
      outbound.notify(subscriptionText(channel, data, subscription.label));
    },
    halfOpen() {
      deaf = true;
      socket.pause();
    },
    sessionEvicted(sockets) {
      if (sockets === 'drop') return connection.drop('eviction', 'end');
      if (sockets === 'close') return connection.close('eviction', NORMAL_CLOSE_CODE, '');
      for (const [channel, { account }] of [...subscriptions])
        if (account !== undefined) connection.unsubscribe(channel);
    },
    close(cause, code, reason) {
      if (!over(cause)) return;
      outbound.after(() => {
        if (!deaf) socket.close(code, reason);
      });
    },
    drop(cause, how) {
      if (!over(cause)) return;
      if (how === 'reset') tcp.resetAndDestroy();
      else if (!deaf) outbound.after(() => tcp.end());
    },
    logOut() {
      if (over('logout')) outbound.after(() => socket.close(NORMAL_CLOSE_CODE));
    },
  };

  socket.on('message', (data) => receive(String(data)));
  socket.on('ping', (data) => {
    if (!outbound.silenced) socket.pong(data);
  });
  socket.on('error', () => {}); // a frame that breaks the protocol; `close` follows
  socket.on('close', (code) => {
    over(code === 1006 ? 'client_gone' : 'client_close');
    outbound.stop();
  });
  exchange.connections.set(id, connection);
  awaitRequest();
  return connection;
}
