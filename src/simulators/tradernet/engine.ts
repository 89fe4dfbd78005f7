import { Socket } from 'node:net';
import { z } from 'zod';

/**
 * What lies under a socket.io socket, engine.io of either generation: faults need it, and its types promise little of
 * it. Whatever is not there is done without.
 */
export interface Engine {
  /** Nothing passes any more while it is shut: neither packets nor the engine's own pings and pongs. */
  gate(isOpen: () => boolean): void;
  /** One engine message, which socket.io has to decode. */
  write(text: string): void;
  /** A TCP reset or end; over HTTP long polling the engine is closed. */
  drop(how: 'end' | 'reset'): void;
  /** TCP is neither read nor written any more; over HTTP long polling the gate alone does it. */
  hold(): void;
}

/** A WebSocket transport holds a socket of `ws`, and that one holds TCP. */
const overWebSocket = z.object({
  transport: z.object({ socket: z.object({ _socket: z.instanceof(Socket) }) }),
});

export function engineOf(conn: object): Engine {
  const tcp = (): Socket | undefined => overWebSocket.safeParse(conn).data?.transport.socket._socket;
  const call = (name: string, ...args: readonly unknown[]): void => {
    const method: unknown = Reflect.get(conn, name);
    if (typeof method === 'function') Reflect.apply(method, conn, args);
  };
  return {
    gate(isOpen) {
      const sendPacket: unknown = Reflect.get(conn, 'sendPacket');
      if (typeof sendPacket !== 'function') return;
      Reflect.set(conn, 'sendPacket', (...args: readonly unknown[]) => {
        if (isOpen()) Reflect.apply(sendPacket, conn, args);
      });
    },
    write: (text) => call('send', text),
    drop(how) {
      const socket = tcp();
      if (socket === undefined) call('close', true);
      else if (how === 'reset') socket.resetAndDestroy();
      else socket.end();
    },
    hold() {
      const socket = tcp();
      socket?.pause();
      socket?.cork();
    },
  };
}
