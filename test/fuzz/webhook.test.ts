import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLocalBus } from '../../src/bus/local.js';
import { createAuthenticator } from '../../src/edge/auth.js';
import { createEdge } from '../../src/edge/edge.js';
import { liveAuthenticator } from '../../src/edge/live-auth.js';
import { createMetrics } from '../../src/http/metrics.js';
import { createRoutes, type Handler } from '../../src/http/routes.js';
import { createHub, type Hub } from '../../src/hub/hub.js';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import type { Log } from '../../src/net/log.js';
import { seededRandom } from '../../src/net/timer.js';
import { snaptrade } from '../../src/venues/snaptrade/index.js';
import { printPythonJson, readPythonJson } from '../../src/venues/snaptrade/python-json.js';
import { hmacBase64 } from '../../src/venues/snaptrade/signing.js';
import { FakeHttp } from '../support/fake-http.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';
import { CREDENTIALS, hook, ID, KEY, row, USER } from '../venues/snaptrade/world.js';
import { runsOf } from './budget.js';
import { hostileText, mustNotBePolluted } from './hostile.js';

/**
 * The webhook endpoint and the other routes, as requests of our own port: a documented status, problem+json where it is
 * an error, never 500, and nothing in the journal that was not signed.
 */
interface Stage {
  readonly hub: Hub;
  readonly fetch: Handler;
  readonly clock: VirtualClock;
  readonly faults: string[];
  stop(): Promise<void>;
}

async function start(): Promise<Stage> {
  const clock = new VirtualClock();
  const http = new FakeHttp();
  http.answer = ({ url }) => ({ json: url.includes('/authorizations') ? [row()] : [] });
  const faults: string[] = [];
  const note = (message: string, fields?: object): void => void faults.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug() {}, info() {}, warn() {}, error: note };
  const random = seededRandom(1);
  const venue = snaptrade(
    { id: 'partner', credentials: CREDENTIALS, users: [USER], sessionEvents: 'off' },
    { clock, random, http: () => http.client, log },
  );
  const hub = createHub({ venues: [venue], journal: createMemoryJournal(), clock, random, log, node: 'fuzz' });
  await hub.start();
  await clock.advance(1_000);
  await settle();
  const bus = createLocalBus(hub);
  const authenticator = liveAuthenticator(await createAuthenticator({ mode: 'none' }, clock));
  const edge = createEdge({ bus, authenticator, limits: {}, clock, random, log, version: '0' });
  const eventLoop = { lateMs: () => 0 };
  const metrics = createMetrics({ bus, edge, eventLoop, clock, version: '0', transport: 'ws' });
  const fetch = createRoutes({
    bus,
    edge,
    authenticator,
    eventLoop,
    log,
    version: '0',
    metrics,
    publicMetrics: false,
    page: { has: () => false, answer: () => new Response() },
    clock,
    transport: 'ws',
  });
  return {
    hub,
    fetch,
    clock,
    faults,
    async stop() {
      metrics.stop();
      edge.close();
      let isOver = false;
      const stopping = hub.stop({ orders: 'leave' }).finally(() => {
        isOver = true;
      });
      for (let round = 0; round < 100 && !isOver; round++) await clock.advance(1_000);
      await stopping;
    },
  };
}

/** Headers that a `Request` can hold: others never get past a transport. */
const headerText = fc.oneof(
  fc.string({ maxLength: 20 }).map((text) => text.replace(/[^\x20-\x7e]/g, '').trim()),
  fc.constantFrom('x'.repeat(8_000), '*', 'null', '-', '2', 'W/"a"', 'text/html;q=0.1'),
);
const peer = { remoteAddress: '127.0.0.1', signal: new AbortController().signal };

let stage: Stage;
beforeAll(async () => {
  stage = await start();
});
afterAll(async () => {
  await stage.stop();
  expect(stage.faults).toEqual([]);
});

/** An answer as PROTOCOL.md §5 has it. */
async function mustBeDocumented(answer: Response, statuses: readonly number[]): Promise<void> {
  // A stream of events ends when its reader does.
  const isStream = answer.headers.get('content-type') === 'text/event-stream';
  const text = isStream ? '' : await answer.text();
  if (isStream) await answer.body?.cancel();
  if (!statuses.includes(answer.status)) throw new Error(`${answer.status}: ${text.slice(0, 300)}`);
  if (answer.headers.get('access-control-allow-origin') !== null) throw new Error('a CORS header');
  if (answer.status < 400) return;
  if (answer.headers.get('content-type') !== 'application/problem+json')
    throw new Error(`no problem: ${text.slice(0, 300)}`);
  const problem = JSON.parse(text) as Readonly<Record<string, unknown>>;
  if (problem.status !== answer.status || typeof problem.title !== 'string' || typeof problem.detail !== 'string')
    throw new Error(`no problem: ${text.slice(0, 300)}`);
  if (text.length > 4_096) throw new Error(`a problem of ${text.length} characters`);
}

describe('webhooks', () => {
  const types = [
    'CONNECTION_ADDED',
    'CONNECTION_BROKEN',
    'CONNECTION_FIXED',
    'CONNECTION_DELETED',
    'CONNECTION_UPDATED',
    'CONNECTION_ATTEMPTED',
    'USER_DELETED',
    'SOMETHING_NEW',
  ];
  const details = { connectionAttemptedResult: 'SUCCESS' };
  const world = { clock: new VirtualClock() };
  const samples: readonly unknown[] = [
    ...types.map((type, n) => hook(world, type, { webhookId: `hook-${n}`, details })),
    hook(world, 'CONNECTION_BROKEN', { webhookId: 'old', eventTimestamp: '2026-11-20T08:00:00.000000+00:00' }),
  ];
  /** How a body is signed, if it is. */
  const signatureOf = fc.constantFrom<(body: string) => string | undefined>(
    signed,
    signed,
    signed,
    (body) => hmacBase64(KEY, body),
    (body) => hmacBase64('another key', body),
    (body) => signed(`${body} `)?.slice(1),
    (body) => signed(body)?.toLowerCase(),
    () => undefined,
    () => '',
    () => 'x'.repeat(8_000),
    () => '=',
  );

  test('each is answered with a documented status, and only what is signed reaches the journal', async () => {
    const { hub, fetch } = stage;
    const statuses = new Set<number>();
    const path = fc.oneof(
      { weight: 8, arbitrary: fc.constant('snaptrade/partner') },
      {
        weight: 1,
        arbitrary: fc.constantFrom('snaptrade/other', 'deribit/main', 'snaptrade/%00', '%2e%2e/partner', 'a/%zz'),
      },
    );
    await fc.assert(
      fc.asyncProperty(hostileText(samples), signatureOf, path, headerText, async (body, sign, where, extra) => {
        const before = hub.head();
        const signature = sign(body);
        const answer = await fetch(
          new Request(`http://127.0.0.1/v1/hooks/${where}`, {
            method: 'POST',
            body,
            headers: { host: '127.0.0.1', 'x-extra': extra, ...(signature === undefined ? {} : { signature }) },
          }),
          peer,
        );
        await mustBeDocumented(answer, [200, 202, 400, 401, 404]);
        statuses.add(answer.status);
        const isSigned = signature !== undefined && signature === signed(body);
        if (answer.status === 200 && !isSigned) throw new Error('taken without a signature');
        if (answer.status !== 200 && hub.head() !== before) throw new Error('journaled though it was refused');
        mustNotBePolluted();
      }),
      runsOf('webhooks'),
    );
    // Otherwise nothing was tried.
    expect([...statuses].toSorted()).toEqual([200, 202, 400, 401, 404]);
  });

  test.each<readonly [string, string | Uint8Array<ArrayBuffer>, number]>([
    ['nothing', '', 400],
    ['no JSON', '{', 400],
    ['a text that is no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 400],
    ['100,000 levels', '['.repeat(100_000), 400],
    ['a text of 250,000 escapes that never ends', `"${'\\n'.repeat(125_000)}`, 400],
    ['a text of 250,000 escapes', `"${'\\n'.repeat(125_000)}"`, 401],
    ['more than 256 KiB', `"${'x'.repeat(300_000)}"`, 400],
    ['numbers that no double holds', `[${'9'.repeat(100_000)},1e999,-1e999]`, 401],
    ['a prototype', '{"__proto__":{"polluted":true}}', 401],
    ['a lone surrogate', '{"a":"\\ud800"}', 401],
  ])('with %s and a signature that is not its own is refused', async (_what, body, status) => {
    const { hub, fetch } = stage;
    const before = hub.head();
    const answer = await fetch(
      new Request('http://127.0.0.1/v1/hooks/snaptrade/partner', { method: 'POST', body, headers: { signature: 'x' } }),
      peer,
    );
    await mustBeDocumented(answer, [status]);
    expect(hub.head()).toBe(before);
    mustNotBePolluted();
  });
});

/** What the venue would sign a body with: over the text as Python prints it. */
function signed(body: string): string | undefined {
  const value = readPythonJson(body);
  return value === undefined ? undefined : hmacBase64(KEY, printPythonJson(value));
}

describe('routes', () => {
  const piece = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        'v1',
        'sessions',
        'events',
        'commands',
        'livez',
        'readyz',
        'hooks',
        'snaptrade',
        'partner',
        'ws',
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        `snaptrade.partner.${ID}`,
        'stream',
        'ticket',
        'metrics',
        '..',
        '.',
        '',
        '%2e%2e',
        '%00',
        '%zz',
        '%ff',
        '__proto__',
        'constructor',
        '*',
        '>',
        'x'.repeat(4_000),
      ),
    },
    { weight: 1, arbitrary: fc.webSegment() },
  );
  const query = fc.array(
    fc.tuple(
      fc.constantFrom(
        'channel',
        'since',
        'from',
        'to',
        'limit',
        'after',
        'sources',
        'ticket',
        '__proto__',
        'constructor',
        '',
      ),
      fc.oneof(
        fc.constantFrom(
          '>',
          '*',
          'snaptrade.>',
          '0-0',
          '1-1',
          '-1',
          '1000',
          '1e9',
          '2026-11-23T08:00:00Z',
          'x'.repeat(5_000),
          '',
          '\u0000',
          '[]',
        ),
        fc.string({ maxLength: 12 }),
      ),
    ),
    { maxLength: 4 },
  );
  const body = hostileText([
    { source: 'snaptrade.partner', command: 'list_connections', params: {}, requestId: 'r' },
    { source: 'snaptrade.partner', session: ID, command: 'connection_detail', params: {} },
  ]);
  const header = fc.tuple(
    fc.constantFrom(
      'host',
      'origin',
      'authorization',
      'content-type',
      'accept',
      'if-none-match',
      'sec-websocket-protocol',
      'x-forwarded-for',
    ),
    fc.oneof(
      headerText,
      fc.constantFrom(
        'localhost',
        '127.0.0.1:80',
        'https://evil.example',
        'Bearer x',
        'application/json',
        'application/x-ndjson',
      ),
    ),
  );

  test('every request is answered with a documented status, as a problem where it is an error', async () => {
    const { fetch } = stage;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'),
        fc.array(piece, { maxLength: 4 }),
        query,
        fc.array(header, { maxLength: 3 }),
        body,
        async (method, path, parameters, headers, text) => {
          const search = new URLSearchParams(parameters).toString();
          const request = new Request(`http://127.0.0.1/${path.join('/')}?${search}`, {
            method,
            headers: Object.fromEntries([['host', '127.0.0.1'], ...headers]),
            ...(method === 'GET' || method === 'HEAD' ? {} : { body: text }),
          });
          const answer = await fetch(request, peer);
          await mustBeDocumented(answer, [200, 304, 400, 401, 403, 404, 405, 409, 415, 424, 426, 429, 501, 503, 504]);
          mustNotBePolluted();
        },
      ),
      runsOf('routes'),
    );
  });
});
