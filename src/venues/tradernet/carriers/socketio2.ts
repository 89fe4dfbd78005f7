import { z } from 'zod';
import type { OpenCarrier } from './carrier.js';
import { type ClientEvents, clientOptions, guardEngine, socketIoCarrier } from './socketio.js';

/**
 * socket.io 2 (engine.io protocol 3): what the endpoint on the reference page speaks. Clients of later generations
 * cannot talk to it; `allowEIO3` is an option of servers.
 *
 * The manager's events are used, not the socket's: on the socket an event that the venue names `error` or `disconnect`
 * cannot be told from the client's own.
 */
export const openSocketIo2: OpenCarrier = (_connect, target, handlers) => {
  const load = async (events: ClientEvents) => {
    const { connect } = await import('socket.io-client-v2');
    // From Node 22 on there is a global WebSocket, which this client would take for a browser's: without headers, without
    // TLS settings, and without the status of an upgrade that was refused.
    const socket = connect(target.url, { ...clientOptions(target), forceNode: true });
    const { io: manager } = socket;
    guardEngine(manager.engine, events);
    guard(manager.decoder, events);
    manager.on('packet', (given) => take(given, events));
    manager.on('pong', () => events.alive());
    manager.on('connect_error', (error) => events.failed(error));
    manager.on('connect_timeout', () => events.failed('the connection was not made in time'));
    // A disconnect packet of the venue's closes the manager before anybody else sees it; the relay's own close is not told.
    manager.on('close', (reason) => events.disconnected(reason === 'forced close' ? 'io server disconnect' : reason));
    return {
      emit: (name: string, ...args: readonly unknown[]) => socket.emit(name, ...args),
      close: () => socket.close(),
    };
  };
  return socketIoCarrier(load, target, handlers, 'a server of socket.io 3 or 4 needs transport socketio4');
};

/** This generation throws on binary data that no packet announced, from inside the socket's own listener. */
function guard(decoder: { add(data: unknown): void }, events: ClientEvents): void {
  const add = decoder.add.bind(decoder);
  decoder.add = (data) => {
    try {
      add(data);
    } catch (thrown) {
      events.undecoded(thrown);
    }
  };
}

/** Packet types of socket.io protocol 4. */
const CONNECT = 0;
const EVENT = 2;
const ERROR = 4;
const BINARY_EVENT = 5;
const packet = z.looseObject({ type: z.number(), data: z.unknown().optional() });
const eventData = z.tuple([z.string()], z.unknown());

function take(given: unknown, events: ClientEvents): void {
  const parsed = packet.safeParse(given);
  if (!parsed.success) return;
  const { type, data } = parsed.data;
  switch (type) {
    case CONNECT:
      events.opened();
      return;
    case EVENT:
    case BINARY_EVENT: {
      const named = eventData.safeParse(data);
      if (!named.success) events.undecoded(data);
      else events.event(named.data[0], named.data.slice(1));
      return;
    }
    case ERROR:
      // The decoder tells what it cannot read in the shape of the venue's own refusal.
      if (typeof data === 'string' && data.startsWith('parser error')) events.undecoded(data);
      else events.failed(data);
  }
}
