import type { OpenCarrier } from './carrier.js';
import { type ClientEvents, clientOptions, guardEngine, socketIoCarrier } from './socketio.js';

/** socket.io 3 and 4 (engine.io protocol 4). A server of generation 2 cannot be reached with it. */
export const openSocketIo4: OpenCarrier = (_connect, target, handlers) => {
  const load = async (events: ClientEvents) => {
    const { io } = await import('socket.io-client');
    const socket = io(target.url, clientOptions(target));
    guardEngine(socket.io.engine, events);
    socket.on('connect', () => events.opened());
    socket.onAny((name: unknown, ...args: readonly unknown[]) => {
      if (typeof name === 'string') events.event(name, args);
    });
    socket.io.on('ping', () => events.alive());
    socket.on('connect_error', (error) => events.failed(error));
    socket.on('disconnect', (reason) => events.disconnected(reason));
    return {
      emit: (name: string, ...args: readonly unknown[]) => void socket.emit(name, ...args),
      close: () => void socket.close(),
    };
  };
  return socketIoCarrier(load, target, handlers, 'a server of socket.io 2 needs transport socketio2');
};
