import { WebSocket } from 'ws';
import { type ClientStatus, type ConnectOptions, connect, type RelayClient } from '../../src/client/node.js';
import type { TestRelay } from '../support/relay.js';

const clients: RelayClient[] = [];

/** For `afterEach`. */
export async function closeClients(): Promise<void> {
  for (const client of clients.splice(0)) await client.close();
}

/** Ends it with the test. */
export function closeLater(client: RelayClient): RelayClient {
  clients.push(client);
  return client;
}

/** A client of a real relay, over real sockets that a test can end. */
export interface Connected {
  readonly client: RelayClient;
  readonly sockets: readonly WebSocket[];
  readonly statuses: readonly ClientStatus[];
  /** Resolves once the client is in this state; lets time pass meanwhile. */
  is(state: ClientStatus['state']): Promise<void>;
}

/** `address`: where its sockets really go, for a relay that comes back on another port. */
export function connected(
  { url, clock }: TestRelay,
  { address, ...options }: ConnectOptions & { readonly address?: () => string } = {},
): Connected {
  const sockets: WebSocket[] = [];
  const client = connect(url, {
    clock,
    WebSocket: class extends WebSocket {
      constructor(given: string, protocols: string[]) {
        super(address?.() ?? given, protocols, { perMessageDeflate: false });
        sockets.push(this);
      }
    },
    ...options,
  });
  closeLater(client);
  const statuses: ClientStatus[] = [];
  client.status$.subscribe((status) => statuses.push(status));
  return {
    client,
    sockets,
    statuses,
    is: (state) => passing(clock, () => statuses.at(-1)?.state === state, state),
  };
}

/** Waits for what real sockets will bring, with back-offs passing on the virtual clock. */
export async function passing(clock: TestRelay['clock'], probe: () => boolean, what: string): Promise<void> {
  for (let turns = 0; !probe(); turns++) {
    if (turns > 100_000) throw new Error(`in vain: ${what}`);
    if (turns % 20 === 19) await clock.advance(50);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
