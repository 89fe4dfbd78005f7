import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Json } from '../../../src/model/json.js';
import { type SnaptradeSimulatorOptions, startSnaptradeSimulator } from '../../../src/simulators/snaptrade.js';
import { type SnaptradeOptions, snaptrade } from '../../../src/venues/snaptrade/index.js';
import type { Venue } from '../../../src/venues/venue.js';
import { createStage, type Stage } from '../../support/stage.js';
import { until } from '../../support/virtual-clock.js';

/** The venue as the simulator plays it: it really verifies what the relay signs, and really signs its webhooks. */
interface Play {
  readonly stage: Stage;
  /** What webhooks were answered with, in their order: `<type> <status>`. */
  readonly replies: readonly string[];
  readonly ids: readonly string[];
  command(command: string, session?: string, source?: string): Promise<Json>;
  /** Events since the last call, without those of safety; sessions by their place in `ids`. */
  take(): readonly string[];
}

const servers: Server[] = [];
const stages: Stage[] = [];

afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.close();
  for (const server of servers.splice(0)) server.close();
});

async function play(options: Partial<SnaptradeSimulatorOptions>, source: Record<string, Json> = {}): Promise<Play> {
  const replies: string[] = [];
  let venue: Venue | undefined;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      void venue?.webhook?.({ headers, body }).then(({ status }) => {
        replies.push(`${/"eventType":\s*"(\w+)"/.exec(body.toString())?.[1]} ${status}`);
        response.writeHead(status).end();
      });
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const webhookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/hooks/snaptrade/partner`;
  const stage = await createStage({
    simulate: (how) => startSnaptradeSimulator({ ...how, users: 1, connections: 2, webhookUrl, ...options }),
    venue: (given, ports) => snaptrade(given as SnaptradeOptions, ports),
    source,
  });
  stages.push(stage);
  venue = stage.venue;
  await stage.advance(1_000);
  const ids = stage.events.flatMap(({ type, subject }) =>
    type === 'session.opened' ? [subject.split('.')[2] ?? ''] : [],
  );
  const name = options.personal === true ? 'partner' : 'partner~customer-1';
  return {
    stage,
    replies,
    ids,
    async command(command, session, of = name) {
      const call = { source: of, command, params: {}, ...(session === undefined ? {} : { session }) };
      return stage.venue.command(call);
    },
    take: () =>
      stage
        .take()
        .filter((line) => !line.includes('safety.changed'))
        .map((line) => ids.reduce((text, id, index) => text.replace(id, `#${index}`), line)),
  };
}

describe.each(['old', 'new', 'both'] as const)('against the venue of the era %s', (era) => {
  test('connections are listed, read, refreshed, disabled and removed', async () => {
    const { stage, ids, command, take } = await play({ era });
    expect(take()).toEqual([
      ...(era === 'new' ? ['- source.fault channel_refused'] : []),
      '- link.up http',
      '#0 session.opened connection',
      '#1 session.opened connection',
    ]);
    const [first = '', second = ''] = ids;
    expect(await command('list_connections')).toMatchObject({
      connections: [{ connection: first }, { connection: second }],
    });
    expect(await command('get_connection', first)).toMatchObject({ connection: first, disabled: false });
    expect(await command('refresh_connection', first)).toMatchObject({ connection: first });
    await expect(command('refresh_connection', first)).rejects.toMatchObject({ code: 'rate_limited' });
    expect(take()).toEqual([]);
    await command('disable_connection', first);
    await stage.advance(10_000);
    await until(() => stage.events.some(({ type }) => type === 'session.attention'), 'it is told broken');
    await expect(command('refresh_connection', first)).rejects.toMatchObject({ code: 'venue_error' });
    expect(await command('remove_connection', second)).toMatchObject({ pending: era !== 'old' });
    await stage.advance(60_000);
    await until(() => stage.events.some(({ type }) => type === 'session.closed'), 'it is told closed');
    const lines = take().filter((line) => !line.includes('link.') && !line.includes('session.updated'));
    expect(lines).toEqual([
      '#0 session.lost connection_broken',
      '#0 session.attention relink',
      '#1 session.closed by:user',
    ]);
    await expect(command('get_connection', second)).rejects.toMatchObject({ code: 'venue_error' });
  });

  test('portal events are told where the venue has them', async () => {
    const { stage, command, take } = await play({ era });
    take();
    await stage.fault('session_event');
    await stage.advance(10_000);
    const lines = take();
    expect(lines.map((line) => line.replace(/portal-\S+/, 'portal'))).toEqual(
      era === 'new' ? [] : ['portal session.step'],
    );
    if (era === 'new') await expect(command('session_events')).rejects.toMatchObject({ code: 'venue_error' });
    else expect(await command('session_events')).toMatchObject({ events: [{ step: 'SESSION_STARTED' }] });
  });
});

describe('webhooks of the simulator', () => {
  test('are verified, told, and told once though a list says the same', async () => {
    const { stage, replies, take } = await play({}, { sessionEvents: 'off' });
    take();
    await stage.fault('break_connection');
    await stage.arrived('session.attention');
    await stage.advance(30_000);
    await stage.fault('fix_connection');
    await stage.arrived('session.restored');
    await stage.fault('duplicate_webhook');
    await until(() => replies.length === 3, 'three webhooks');
    await stage.advance(30_000);
    expect(take()).toEqual([
      '- link.up hook',
      '#0 session.lost connection_broken',
      '#0 session.attention relink',
      '#0 session.restored',
    ]);
    expect(replies).toEqual(['CONNECTION_BROKEN 200', 'CONNECTION_FIXED 200', 'CONNECTION_FIXED 200']);
  });

  test('that are badly signed are refused', async () => {
    const { stage, replies, take } = await play({}, { sessionEvents: 'off' });
    take();
    await stage.fault('bad_webhook');
    await stage.fault('webhook', { type: 'CONNECTION_BROKEN' });
    await until(() => replies.length === 1, 'a webhook');
    expect(replies).toEqual(['CONNECTION_BROKEN 401']);
    await stage.advance(30_000);
    expect(take()).toEqual([]);
  });
});

test('a personal key has one source, and no user in its requests', async () => {
  const { stage, ids, command } = await play({ personal: true }, { sessionEvents: 'off' });
  expect(stage.venue.sources().map(({ source }) => source)).toEqual(['partner']);
  expect(ids).toHaveLength(2);
  expect(await command('get_connection', ids[0])).toMatchObject({ connection: ids[0] });
});

test('a wrong consumer key asks for a person, whatever the venue has', async () => {
  const credentials = { clientId: 'SIMULATOR-CLIENT', consumerKey: 'another key' };
  const { take } = await play({}, { credentials, sessionEvents: 'off' });
  // Its Date header is the machine's, while the stage's time is virtual: then the clock is what looks wrong.
  expect(take()).toEqual(['- link.up http', expect.stringMatching(/^- session\.attention check_(credentials|clock)$/)]);
});

test('10,000 connections of one user are listed, and what changes about one of them is told', async () => {
  const { stage, ids } = await play({ connections: 10_000 }, { sessionEvents: 'off', pollSeconds: 60 });
  expect(ids).toHaveLength(10_000);
  await stage.advance(4_000);
  stage.take();
  await stage.fault('disable_connection');
  await stage.fault('delete_connection', { webhook: false });
  await stage.advance(66_000);
  const lines = stage.take().filter((line) => !line.includes('safety.changed'));
  expect(lines.map((line) => line.replace(/^\S+ /, ''))).toEqual([
    'session.closed by:unknown',
    'session.lost connection_broken',
    'session.attention relink',
  ]);
}, 60_000);
