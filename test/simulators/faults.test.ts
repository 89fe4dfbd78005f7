import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createFaultDesk, faultWith, playScenario, serveControl } from '../../src/simulators/faults.js';
import { VirtualClock } from '../support/virtual-clock.js';

const ran: unknown[] = [];
const desk = createFaultDesk({
  drop: { summary: 'It drops.', run: (params) => void ran.push(['drop', params]) },
  slow: faultWith('It is slow.', z.strictObject({ delayMs: z.number().min(0).default(5) }), (params) =>
    ran.push(['slow', params.delayMs]),
  ),
  broken: {
    summary: 'It breaks the simulator itself.',
    run() {
      throw new TypeError('a fault of its own');
    },
  },
});

const servers: Server[] = [];
afterEach(async () => {
  ran.length = 0;
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Answers what is not the control's with 418. */
async function serve(): Promise<string> {
  const simulator = {
    venue: 'deribit',
    faults: desk.faults,
    fault: desk.trigger,
    state: () => ({ connections: 3 }),
  } as const;
  const server = createServer((request, response) => {
    if (!serveControl(request, response, simulator)) response.writeHead(418).end();
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

async function post(origin: string, body: string, headers: Record<string, string> = {}) {
  const reply = await fetch(`${origin}/_sim/faults`, { method: 'POST', body, headers });
  return { status: reply.status, body: z.looseObject({ error: z.string().optional() }).parse(await reply.json()) };
}

describe('GET /_sim', () => {
  test('lists the faults with what each does, and the state', async () => {
    const reply = await fetch(`${await serve()}/_sim`);
    expect(reply.headers.get('content-type')).toBe('application/json');
    expect(await reply.json()).toEqual({
      venue: 'deribit',
      faults: [
        { name: 'drop', summary: 'It drops.' },
        { name: 'slow', summary: 'It is slow.' },
        { name: 'broken', summary: 'It breaks the simulator itself.' },
      ],
      state: { connections: 3 },
    });
  });
});

describe('POST /_sim/faults', () => {
  test('triggers a fault, with what its parameters parse to', async () => {
    const origin = await serve();
    expect(await post(origin, '{"fault":"drop"}')).toEqual({ status: 200, body: { triggered: 'drop' } });
    await post(origin, '{"fault":"slow"}');
    await post(origin, '{"fault":"slow","params":{"delayMs":70}}');
    expect(ran).toEqual([
      ['drop', {}],
      ['slow', 5],
      ['slow', 70],
    ]);
  });

  test.each([
    ['{"fault":"flood"}', 'this simulator has no fault flood: drop, slow, broken'],
    ['{"fault":"toString"}', 'this simulator has no fault toString: drop, slow, broken'],
    ['{"fault":"slow","params":{"delayMs":-1}}', 'slow: delayMs: '],
    ['{"fault":"slow","params":{"delay":1}}', 'slow: delay: '],
    ['{"fault":"drop","params":{"forMs":1}}', 'drop: forMs: '],
    ['{"fault":"drop","param":{}}', 'send {"fault": "name"'],
    ['{"fault":""}', 'send {"fault": "name"'],
    ['[]', 'send {"fault": "name"'],
    ['{"fault":', 'the body is not JSON'],
    ['', 'the body is not JSON'],
  ])('answers %s with 400 and what is wrong, and triggers nothing', async (body, message) => {
    const { status, body: answer } = await post(await serve(), body);
    expect(status).toBe(400);
    expect(answer.error).toContain(message);
    expect(ran).toEqual([]);
  });

  test('answers a body over 64 KiB with 400', async () => {
    const { status, body } = await post(await serve(), JSON.stringify({ fault: 'drop', padding: 'x'.repeat(200_000) }));
    expect(status).toBe(400);
    expect(body.error).toContain('65536 bytes');
    expect(ran).toEqual([]);
  });

  test('answers a fault that breaks with 500, and goes on', async () => {
    const origin = await serve();
    expect((await post(origin, '{"fault":"broken"}')).status).toBe(500);
    expect((await post(origin, '{"fault":"drop"}')).status).toBe(200);
  });

  test('is not to be had by a web page', async () => {
    const { status } = await post(await serve(), '{"fault":"drop"}', { origin: 'https://example.org' });
    expect(status).toBe(403);
    expect(ran).toEqual([]);
  });
});

describe('the control', () => {
  test('answers other methods with 405, and leaves other paths to its caller', async () => {
    const origin = await serve();
    expect((await fetch(`${origin}/_sim/faults`)).status).toBe(405);
    expect((await fetch(`${origin}/_sim`, { method: 'DELETE' })).status).toBe(405);
    expect((await fetch(`${origin}/_simulator`)).status).toBe(418);
    expect((await fetch(`${origin}/_sim?x=1`)).status).toBe(200);
  });

  test('outlives a request line that is no URL', async () => {
    const origin = await serve();
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.write('GET //[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toContain('418');
    expect((await fetch(`${origin}/_sim`)).status).toBe(200);
  });
});

describe('a scenario', () => {
  const scenario = {
    name: 'short',
    summary: '',
    steps: [
      { atMs: 2_000, fault: 'drop' },
      { atMs: 500, fault: 'slow', params: { delayMs: 1 } },
    ],
  } as const;

  test('plays each step at its time, and once where nothing says how often', async () => {
    const clock = new VirtualClock();
    playScenario({ fault: desk.trigger }, scenario, clock);
    await clock.advance(499);
    expect(ran).toEqual([]);
    await clock.advance(1);
    expect(ran).toEqual([['slow', 1]]);
    await clock.advance(1_500);
    expect(ran).toEqual([
      ['slow', 1],
      ['drop', {}],
    ]);
    await clock.advance(100_000);
    expect(ran).toHaveLength(2);
    expect(clock.timers).toBe(0);
  });

  test('begins again after its time, and ends when it is stopped', async () => {
    const clock = new VirtualClock();
    const playing = playScenario({ fault: desk.trigger }, { ...scenario, repeatMs: 10_000 }, clock);
    await clock.advance(10_499);
    expect(ran).toHaveLength(2);
    await clock.advance(1);
    expect(ran).toHaveLength(3);
    playing.stop();
    playing.stop();
    expect(clock.timers).toBe(0);
    await clock.advance(60_000);
    expect(ran).toHaveLength(3);
  });
});
