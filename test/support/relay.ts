import { messageOf } from '../../src/errors.js';
import type { Log } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { type Relay, type RelayOptions, startRelay } from '../../src/relay.js';
import type { Transport } from '../../src/transports/transport.js';
import { createUwsTransport } from '../../src/transports/uws.js';
import { createScriptedVenue, type ScriptedVenue } from './scripted-venue.js';
import { connectSubscriber, type Subscriber } from './subscriber.js';
import { settle, VirtualClock } from './virtual-clock.js';

/** The first major of Node that no binary of uWebSockets.js is built for. */
const FIRST_WITHOUT_BINARY = 24;

/** Both transports where both load: what every promise is tested on. What is left out is said, and in CI must not be. */
export const TRANSPORTS: readonly ('uws' | 'ws')[] = await createUwsTransport().then(
  () => ['uws', 'ws'] as const,
  (thrown: unknown) => {
    const major = Number(process.versions.node.split('.')[0]);
    if (process.env.CI === 'true' && major < FIRST_WITHOUT_BINARY) throw thrown;
    process.stderr.write(`SKIPPED on Node ${major}: every test over uWebSockets.js. ${messageOf(thrown)}\n`);
    return ['ws'] as const;
  },
);

/** A whole relay on virtual time and real sockets, with a venue that a test scripts. */
export interface TestRelay {
  readonly relay: Relay;
  readonly url: string;
  readonly venue: ScriptedVenue;
  readonly clock: VirtualClock;
  readonly logged: readonly string[];
  connect(options?: Parameters<typeof connectSubscriber>[1]): Promise<Subscriber>;
  /** Resolves when the hub has published what it was told. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const open = new Set<TestRelay>();

export async function startTestRelay(
  transport: 'uws' | 'ws' | Transport,
  options: Partial<Omit<RelayOptions, 'venues' | 'transport' | 'clock'>> = {},
): Promise<TestRelay> {
  const clock = new VirtualClock();
  const venue = createScriptedVenue();
  const logged: string[] = [];
  const write = (text: string, fields?: Readonly<Record<string, unknown>>): void => {
    logged.push(`${text} ${JSON.stringify(fields ?? {})}`);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const relay = await startRelay({
    listen: { port: 0 },
    random: seededRandom(1),
    log,
    ...options,
    venues: [venue],
    transport,
    clock,
  });
  const subscribers: Subscriber[] = [];
  const running: TestRelay = {
    relay,
    url: relay.url,
    venue,
    clock,
    logged,
    async connect(how) {
      const subscriber = await connectSubscriber(relay.url, how);
      subscribers.push(subscriber);
      return subscriber;
    },
    settled: () => settle(6),
    async close() {
      open.delete(running);
      for (const { socket } of subscribers) socket.terminate();
      await relay.close({ orders: 'leave' });
    },
  };
  open.add(running);
  return running;
}

/** For `afterEach`: ends what a test left running, also one that failed. */
export async function closeTestRelays(): Promise<void> {
  for (const running of open) await running.close();
}
