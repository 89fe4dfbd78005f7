import type { UpgradeDecision, Wire } from '../../src/edge/wire.js';
import type { Transport } from '../../src/transports/transport.js';
import { createUwsTransport } from '../../src/transports/uws.js';
import { createWsTransport } from '../../src/transports/ws.js';

export interface WatchedTransport {
  readonly transport: Transport;
  /** Per connection, in the order in which they opened: the most that ever waited in its socket, as the transport counts. */
  readonly highest: readonly number[];
  /** Per connection: the code that the relay closed it with. */
  readonly closes: readonly (number | undefined)[];
}

/** A real transport whose wires are looked at after each write. */
export async function watchTransport(kind: 'uws' | 'ws'): Promise<WatchedTransport> {
  const inner = kind === 'uws' ? await createUwsTransport() : createWsTransport();
  const highest: number[] = [];
  const closes: (number | undefined)[] = [];
  const watch = (wire: Wire): Wire => {
    const index = highest.push(0) - 1;
    const look = (): void => {
      highest[index] = Math.max(highest[index] ?? 0, wire.buffered());
    };
    return {
      remoteAddress: wire.remoteAddress,
      get isOpen() {
        return wire.isOpen;
      },
      buffered: () => wire.buffered(),
      send(message) {
        const outcome = wire.send(message);
        look();
        return outcome;
      },
      cork(task) {
        wire.cork(task);
        look();
      },
      close(code, reason) {
        closes[index] ??= code;
        wire.close(code, reason);
      },
      terminate: () => wire.terminate(),
    };
  };
  const decide = (decision: UpgradeDecision): UpgradeDecision =>
    decision.accept ? { ...decision, open: (wire) => decision.open(watch(wire)) } : decision;
  return {
    highest,
    closes,
    transport: {
      kind: inner.kind,
      listen: (options, handlers) =>
        inner.listen(options, { ...handlers, upgrade: async (request) => decide(await handlers.upgrade(request)) }),
    },
  };
}
