import type { JsonObject } from '../../model/json.js';
import { ACCOUNT } from './account.js';
import type { Broker } from './broker.js';
import { type Message, type Said, userData } from './messages.js';
import { createOutbound, type Outbound } from './outbound.js';
import { refusals } from './refusal.js';
import type { EndCause } from './traffic.js';

/** What carries one connection: the raw WebSocket or socket.io. */
export interface Wire {
  readonly carrier: 'websocket' | 'socketio';
  /** What is not said in words, like an answer to a ping, passes only while the connection is not silenced. */
  send(said: Said): void;
  close(code: number, reason: string): void;
  /** Ends it without a word: `end` after what was sent has left, `reset` at once. */
  drop(how: 'end' | 'reset'): void;
  /** Neither reads nor writes from now on. */
  hold(): void;
}

/** One connection of a client, as the venue sees it. */
export interface Peer {
  readonly id: number;
  readonly carrier: Wire['carrier'];
  /** Whether it belongs to the customer: the only sign of a login on the raw WebSocket. */
  readonly mode: 'prod' | 'demo';
  /** Lists follow each change. */
  readonly subscribed: boolean;
  readonly halfOpen: boolean;
  readonly outbound: Outbound<Said>;
  say(message: Message): void;
  /** Becomes the customer's. */
  logIn(): void;
  /** Says the list; the customer's hears of each change from then on, a demo one has no sessions. */
  subscribe(): void;
  /** Says the list, if it is subscribed; `extra` goes into each row. */
  tellList(extra?: JsonObject): void;
  /** Its login is gone: what follows is demo. */
  demote(): void;
  /** The next list is followed by the one before it. */
  reorder(): void;
  /** Raw sockets only: the fault `demo_user_data`. */
  sayDemo(): void;
  close(code: number, reason: string): void;
  drop(cause: EndCause, how: 'end' | 'reset'): void;
  holdOpen(): void;
  /** The carrier has ended. */
  gone(): void;
}

export function createPeer(broker: Broker, id: number, wire: Wire): Peer {
  const { clock, conditions, peers, traffic } = broker;
  let mode: Peer['mode'] = 'demo';
  let subscribed = false;
  let halfOpen = false;
  let ended = false;
  let reordered = false;
  let lastList: Said | undefined;

  const outbound = createOutbound<Said>({
    clock,
    delayMs: () => (conditions.slow.isOn ? conditions.delayMs : 0),
    write: (said) => {
      if (!halfOpen) wire.send(said);
    },
  });
  const over = (cause: EndCause): boolean => {
    if (ended) return false;
    ended = true;
    peers.delete(id);
    traffic.ended(id, cause);
    return true;
  };
  const tellRows = (rows: readonly JsonObject[]): void => {
    const said: Said = { kind: 'list', rows, at: clock.now() };
    const before = lastList;
    lastList = said;
    outbound.send(said);
    if (!reordered || before === undefined) return;
    reordered = false;
    outbound.send(before);
  };

  const peer: Peer = {
    id,
    carrier: wire.carrier,
    get mode() {
      return mode;
    },
    get subscribed() {
      return subscribed;
    },
    get halfOpen() {
      return halfOpen;
    },
    outbound,
    say: (message) => outbound.send({ ...message, at: clock.now() }),
    logIn() {
      mode = 'prod';
    },
    subscribe() {
      subscribed = mode === 'prod';
      tellRows(subscribed ? broker.sessions.rows() : []);
    },
    tellList(extra) {
      if (subscribed) tellRows(broker.sessions.rows(extra));
    },
    demote() {
      if (mode === 'demo') return;
      mode = 'demo';
      subscribed = false;
      if (wire.carrier === 'websocket') peer.say(userData(undefined));
      else peer.say({ kind: 'refusal', body: refusals.unknownUser().body });
    },
    reorder() {
      reordered = true;
    },
    sayDemo() {
      if (wire.carrier === 'websocket') peer.say(userData(undefined));
    },
    close(code, reason) {
      if (over('fault')) outbound.after(() => wire.close(code, reason));
    },
    drop(cause, how) {
      if (!over(cause)) return;
      if (how === 'reset') wire.drop('reset');
      else outbound.after(() => wire.drop('end'));
    },
    holdOpen() {
      halfOpen = true;
      wire.hold();
    },
    gone() {
      over('client');
      outbound.stop();
    },
  };
  peers.set(id, peer);
  return peer;
}

/** What a prod socket is told of itself. */
export function ownUserData(extra?: JsonObject): Message {
  return userData(ACCOUNT.login, extra);
}
