import { afterEach, describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.js';
import { type Relay, startRelay } from '../../src/relay.js';
import { type Simulator, simulators } from '../../src/simulators/index.js';
import { realPorts } from '../../src/venues/ports.js';
import { venueModules } from '../../src/venues/registry.js';
import type { Venue } from '../../src/venues/venue.js';
import { cli, endCliRuns } from '../support/cli-run.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';

/**
 * Every operation of the venues' session APIs, as a command over WebSocket, HTTP and the command line (PROTOCOL.md §4,
 * Commands), on real sockets against the simulators: audited, granted, answered once for one `requestId`.
 */
interface Call {
  readonly command: string;
  readonly params?: { readonly [name: string]: Json };
  readonly acts: boolean;
  /** What is asked of a second carrier would be refused by the venue's own pace, or has nothing left to act on. */
  readonly once?: boolean;
}

const CALLS: { readonly [venue: string]: readonly Call[] } = {
  deribit: [
    { command: 'set_heartbeat', params: { interval: 15 }, acts: true },
    { command: 'get_cancel_on_disconnect', acts: false },
    { command: 'disable_cancel_on_disconnect', params: { scope: 'connection' }, acts: true },
    { command: 'enable_cancel_on_disconnect', params: { scope: 'connection' }, acts: true },
    { command: 'disable_heartbeat', acts: true },
    { command: 'reauthenticate', acts: true },
    { command: 'reconnect', params: { orders: 'leave' }, acts: true, once: true },
    { command: 'logout', acts: true, once: true },
  ],
  tradernet: [
    { command: 'refresh_sessions', acts: false },
    { command: 'sid_info', acts: false },
    { command: 'login', acts: true, once: true },
    { command: 'reconnect', acts: true, once: true },
  ],
  ibkr: [
    { command: 'auth_status', acts: false },
    { command: 'tickle', acts: false, once: true },
    { command: 'init', acts: true },
    { command: 'reauthenticate', acts: true, once: true },
    { command: 'logout', acts: true, once: true },
  ],
  snaptrade: [
    { command: 'list_connections', acts: false },
    { command: 'get_connection', acts: false },
    { command: 'session_events', acts: false },
    { command: 'refresh_connection', acts: true, once: true },
    { command: 'disable_connection', acts: true, once: true },
    { command: 'remove_connection', acts: true, once: true },
  ],
};

let simulator: Simulator | undefined;
let relay: Relay | undefined;
afterEach(async () => {
  await endCliRuns();
  await relay?.close({ orders: 'leave' });
  await simulator?.close();
  relay = undefined;
  simulator = undefined;
});

interface World {
  readonly relay: Relay;
  readonly source: string;
  readonly session: string;
  readonly simulator: Simulator;
}

/** A relay over one simulated venue, with a session that is open. `commands`: what whoever connects may do. */
async function world(name: string, commands?: readonly string[]): Promise<World> {
  const start = simulators[name];
  const module = venueModules.find(({ venue }) => venue === name);
  if (start === undefined || module === undefined) throw new Error(`no venue ${name}`);
  simulator = await start();
  const { venue: _, ...entry } = simulator.source;
  const venue: Venue = module.create(module.config.parse(entry), realPorts());
  const every = venue
    .sources()
    .flatMap(({ source }) => venue.commands.map(({ command }) => `${name}.${source}:${command}`));
  relay = await startRelay({
    venues: [venue],
    listen: { port: 0 },
    auth: { mode: 'none', commands: commands ?? every },
  });
  const tail = await connectSubscriber(relay.url);
  await tail.request('subscribe', { channels: ['>'], since: '0-0' });
  const events = await eventsUntil(relay, ({ type, subject }) => type === 'session.opened' && wanted(name, subject));
  const [venueToken = '', source = '', session = ''] = events.at(-1)?.subject.split('.') ?? [];
  tail.socket.terminate();
  return { relay, source: `${venueToken}.${source}`, session, simulator };
}

function wanted(name: string, subject: string): boolean {
  return name !== 'ibkr' || subject.endsWith('.brokerage');
}

interface Told {
  readonly type: string;
  readonly subject: string;
  readonly data: { readonly [name: string]: unknown };
}

/** Journaled events up to the first that is wanted; read over HTTP until it is there. */
async function eventsUntil(of: Relay, found: (event: Told) => boolean): Promise<readonly Told[]> {
  const end = performance.now() + 15_000;
  for (;;) {
    const { events } = (await (await fetch(`${of.url}/v1/events`)).json()) as { readonly events: readonly Told[] };
    const index = events.findIndex(found);
    if (index >= 0) return events.slice(0, index + 1);
    if (performance.now() > end) throw new Error(`not among: ${events.map(({ type }) => type).join(' ')}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

describe.each(Object.entries(CALLS))('%s', (name, calls) => {
  test('has these commands and no others, but the one that the venue paces to once a minute', async () => {
    const { relay, source } = await world(name);
    const subscriber = await connectSubscriber(relay.url);
    const { sources } = (await subscriber.request('get_sources', {})) as unknown as {
      readonly sources: readonly {
        readonly source: string;
        readonly venue: string;
        readonly commands: readonly { readonly command: string; readonly acts: boolean }[];
      }[];
    };
    const listed = sources.find((one) => `${one.venue}.${one.source}` === source)?.commands ?? [];
    const names = listed
      .filter(({ command }) => command !== 'validate_sso')
      .map(({ command, acts }) => [command, acts]);
    expect(names.toSorted()).toEqual(calls.map(({ command, acts }) => [command, acts]).toSorted());
    subscriber.socket.terminate();
  });

  test.each(calls)('$command over every carrier, audited and idempotent', async ({ command, params = {}, once }) => {
    const { relay, source, session } = await world(name);
    const subscriber: Subscriber = await connectSubscriber(relay.url);
    const target = name === 'snaptrade' && command.endsWith('_connection') ? { session } : {};
    const call = { source, command, params, ...target, requestId: 'one' };

    const first = (await subscriber.request('command', call)) as unknown as { readonly cursor: string };
    expect(first).toMatchObject({ requestId: 'one', result: expect.anything() });
    // The same again, by another carrier: the first result, and nothing is done twice.
    const again = await fetch(`${relay.url}/v1/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
    });
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual(first);
    const audit = await eventsUntil(
      relay,
      ({ type, data }) => type === 'command.succeeded' && data.requestId === 'one',
    );
    const trail = audit.filter(({ data }) => data.requestId === 'one').map(({ type }) => type);
    expect(trail).toEqual(['command.accepted', 'command.succeeded']);

    if (once !== true) {
      const pairs = Object.entries(params).map(([key, value]) => `${key}=${String(value)}`);
      const targeted = 'session' in target ? ['--session', session] : [];
      const run = cli(['command', relay.url, source, command, ...pairs, ...targeted, '--yes']);
      expect(await run.code).toBe(0);
      expect(JSON.parse(run.stdout())).toMatchObject({ result: expect.anything() });
    }
    subscriber.socket.terminate();
  });

  test('a grant that does not name a command does not allow it', async () => {
    const { relay, source } = await world(name, []);
    for (const { command } of calls) {
      const refused = await fetch(`${relay.url}/v1/commands`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ source, command }),
      });
      expect([command, refused.status]).toEqual([command, 403]);
    }
  });
});

test('an outcome that nobody knows is venue_timeout, audited as unknown, and never a failure', async () => {
  const { relay, source, simulator } = await world('ibkr');
  simulator.fault('http_down', { as: 'cut_answer', forMs: 60_000 });
  const answer = await fetch(`${relay.url}/v1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source, command: 'init', requestId: 'cut' }),
  });
  expect(answer.status).toBe(504);
  expect(await answer.json()).toMatchObject({ code: 4504 });
  const events = await eventsUntil(relay, ({ type }) => type === 'command.unknown');
  expect(events.at(-1)?.data).toMatchObject({ command: 'init', requestId: 'cut' });
});
