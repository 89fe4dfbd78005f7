import { createLocalBus } from '../../src/bus/local.js';
import { type Authenticator, type AuthOptions, createAuthenticator } from '../../src/edge/auth.js';
import { createEdge, type Edge } from '../../src/edge/edge.js';
import { liveAuthenticator } from '../../src/edge/live-auth.js';
import type { SendOutcome, Wire, WireHandlers } from '../../src/edge/wire.js';
import { createHub, type Hub } from '../../src/hub/hub.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Log } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

/** A hub, a scripted venue and an edge in one process, with no socket between them and the peers. */
export interface Stage {
  readonly hub: Hub;
  readonly edge: Edge;
  readonly venue: ScriptedVenue;
  readonly clock: VirtualClock;
  readonly faults: string[];
}

export async function startEdge(auth: AuthOptions | Authenticator): Promise<Stage> {
  const clock = new VirtualClock();
  const venue = createScriptedVenue();
  const faults: string[] = [];
  const log: Log = {
    debug() {},
    info() {},
    warn() {},
    error: (message, fields) => faults.push(`${message} ${JSON.stringify(fields)}`),
  };
  const random = seededRandom(1);
  const hub = createHub({ venues: [venue], journal: createMemoryJournal(), clock, random, log, node: 'fuzz' });
  await hub.start();
  venue.open('desk', 'bot');
  venue.update('desk', 20);
  await settle();
  const bus = createLocalBus(hub);
  const authenticator = liveAuthenticator('authenticate' in auth ? auth : await createAuthenticator(auth, clock));
  const edge = createEdge({ bus, authenticator, limits: {}, clock, random, log, version: '0' });
  return { hub, edge, venue, clock, faults };
}

/** A subscriber on a wire without a socket: what it was sent, and how it ended. */
export interface Peer {
  readonly sent: string[];
  readonly handlers: WireHandlers;
  readonly closed: () => number | undefined;
  leave(): void;
}

export async function join(edge: Edge, headers: Readonly<Record<string, string>>): Promise<Peer> {
  const decision = await edge.upgrade({
    url: '/v1/ws',
    headers: { host: 'localhost', ...headers },
    remoteAddress: '127.0.0.1',
  });
  if (!decision.accept) throw new Error(`refused with ${decision.status}`);
  const sent: string[] = [];
  let code: number | undefined;
  let isOver = false;
  const wire: Wire = {
    send(message): SendOutcome {
      if (isOver || code !== undefined) return 'closed';
      sent.push(String(message));
      return 'sent';
    },
    cork: (task) => task(),
    close(why) {
      code ??= why;
    },
    terminate() {
      code ??= 1006;
    },
    buffered: () => 0,
    get isOpen() {
      return code === undefined;
    },
    remoteAddress: '127.0.0.1',
  };
  const handlers = decision.open(wire);
  return {
    sent,
    handlers,
    closed: () => code,
    leave() {
      if (isOver) return;
      isOver = true;
      handlers.closed(code ?? 1000, '');
    },
  };
}
