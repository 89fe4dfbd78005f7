import type * as Uws from 'uWebSockets.js';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket as Client } from 'ws';
import { createSlots, IDLE, MAY_WAIT } from '../../src/transports/slots.js';
import { createUwsFanOut } from '../../src/transports/uws-fan-out.js';
import { TRANSPORTS } from '../support/relay.js';

/**
 * Long bursts go by topics of uWebSockets.js, over real sockets here: whoever joins, leaves, closes or is busy in
 * between, each socket gets exactly what the fan-out says that it was sent, once and in order.
 */

const SOCKETS = 24;
const END = 'end';

/** Its binary does not load everywhere. */
const hasUws = TRANSPORTS.includes('uws');

let app: Uws.TemplatedApp | undefined;
let port = 0;
let opened: ((socket: Uws.WebSocket<unknown>) => void) | undefined;

beforeAll(async () => {
  if (!hasUws) return;
  const uws = await import('uWebSockets.js');
  const server = uws.App();
  app = server;
  server.ws('/', { maxBackpressure: 1e9, open: (socket) => opened?.(socket) });
  port = await new Promise<number>((resolve, reject) => {
    server.listen('127.0.0.1', 0, (token) => {
      if (token === false) reject(new Error('uWebSockets.js could not listen'));
      else resolve(uws.us_socket_local_port(token));
    });
  });
});
afterAll(() => {
  app?.close();
});

interface Seat {
  readonly client: Client;
  readonly socket: Uws.WebSocket<unknown>;
  readonly index: number;
  readonly got: string[];
  readonly owed: string[];
}

async function takeSeat(slots: ReturnType<typeof createSlots<Uws.WebSocket<unknown>>>): Promise<Seat> {
  const client = new Client(`ws://127.0.0.1:${port}/`);
  const got: string[] = [];
  client.on('message', (data) => void got.push(data.toString()));
  const socket = await new Promise<Uws.WebSocket<unknown>>((resolve) => {
    opened = resolve;
  });
  if (client.readyState !== client.OPEN) await once(client, 'open');
  const index = slots.take(socket);
  slots.states()[index] = IDLE;
  return { client, socket, index, got, owed: [] };
}

async function leave({ client, socket, index }: Seat, slots: { give(index: number): void }): Promise<void> {
  slots.give(index);
  const closed = once(client, 'close');
  socket.close();
  await closed;
}

/** Everything that was sent to it has come. */
async function settle({ client, socket, got }: Seat): Promise<void> {
  socket.send(END, false, false);
  while (got.at(-1) !== END) await once(client, 'message');
}

const group = fc.nat({ max: 2 });
const seat = fc.nat({ max: SOCKETS - 1 });
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('burst' as const),
        group,
        count: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(31, 32, 33, 64, 70)),
        bytes: fc.constantFrom(1, 250, 250, 5_000, 17_000),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('move' as const), group, seat }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('busy' as const), seat, isBusy: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), group }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), seat }) },
  ),
  { minLength: 5, maxLength: 40, size: 'max' },
);

test.runIf(hasUws)(
  'each socket gets what the fan-out says that it was sent, once and in order',
  { timeout: 120_000 },
  async () => {
    let published = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const slots = createSlots<Uws.WebSocket<unknown>>();
        const fanOut = createUwsFanOut({
          slots,
          publish(topic, message) {
            published++;
            return app?.publish(topic, message, false, false);
          },
        });
        const seats: Seat[] = [];
        const past: Seat[] = [];
        for (let n = 0; n < SOCKETS; n++) seats.push(await takeSeat(slots));
        const groups: number[][] = [[], [], []].map(() => seats.map(({ index }) => index));
        let said = 0;
        for (const step of script) {
          const members = 'group' in step ? groups[step.group] : undefined;
          const one = 'seat' in step ? seats[step.seat] : undefined;
          if (step.do === 'burst' && members !== undefined) {
            const burst = Array.from({ length: step.count }, () => `${++said} `.padEnd(step.bytes, 'x'));
            const { skipped, queued, failed } = fanOut.send(
              burst.map((text) => Buffer.from(text)),
              members,
            );
            expect(failed).toEqual([]);
            for (const [at, index] of members.entries()) {
              const who = seats.find((candidate) => candidate.index === index);
              const isIdle = slots.states()[index] === IDLE || queued.includes(at);
              expect(skipped.includes(at)).toBe(!isIdle);
              if (isIdle) who?.owed.push(...burst);
              // It has drained before anything else is asked of it.
              if (queued.includes(at) && who !== undefined) {
                while (who.socket.getBufferedAmount() > 0) await new Promise((resolve) => setImmediate(resolve));
                slots.states()[index] = IDLE;
              }
            }
          } else if (step.do === 'move' && members !== undefined && one !== undefined) {
            const place = members.indexOf(one.index);
            if (place < 0) members.push(one.index);
            else {
              const last = members.pop();
              if (last !== undefined && last !== one.index) members[place] = last;
            }
          } else if (step.do === 'busy' && one !== undefined) slots.states()[one.index] = step.isBusy ? MAY_WAIT : IDLE;
          else if (step.do === 'forget' && members !== undefined && 'group' in step) {
            fanOut.forget(members);
            groups[step.group] = [...members];
          } else if (step.do === 'replace' && one !== undefined && 'seat' in step) {
            await settle(one);
            past.push(one);
            await leave(one, slots);
            for (const [g, list] of groups.entries()) groups[g] = withoutOne(list, one.index);
            seats[step.seat] = await takeSeat(slots);
          }
        }
        for (const one of seats) await settle(one);
        for (const { got, owed } of [...past, ...seats]) expect(got).toEqual([...owed, END]);
        for (const one of seats) await leave(one, slots);
      }),
      { numRuns: 25 },
    );
    // Else it would have met no topic.
    expect(published).toBeGreaterThan(500);
  },
);

/** The same array, as a group's is, without one. */
function withoutOne(list: number[], index: number): number[] {
  const place = list.indexOf(index);
  if (place >= 0) list.splice(place, 1);
  return list;
}
