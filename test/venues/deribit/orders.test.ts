import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { startDeribitSimulator } from '../../../src/simulators/deribit.js';
import { type DeribitOptions, deribit } from '../../../src/venues/deribit/index.js';
import { createStage, type Stage } from '../../support/stage.js';

/** What becomes of a bot's resting orders, over real sockets, against the simulated venue. */

let stage: Stage | undefined;
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

const placed = z.object({ order: z.object({ order_id: z.string() }) });
const ended = z.object({ ended: z.array(z.object({ cause: z.string(), cancelledOrders: z.array(z.string()) })) });

async function withOrder(): Promise<{ readonly on: Stage; readonly order: string }> {
  const on = await createStage({
    simulate: startDeribitSimulator,
    venue: (source, ports) => deribit({ id: 'main', ...source } as DeribitOptions, ports),
  });
  stage = on;
  await on.advance(1_000);
  const params = { instrument_name: 'BTC-PERPETUAL', amount: 10, price: 90_000, type: 'limit' };
  const answer = on.venue.call?.('private/buy', params);
  await on.advance(0);
  return { on, order: placed.parse(await answer).order.order_id };
}
const ends = (on: Stage) => ended.parse(on.simulator.state()).ended;

test('stop that leaves them leaves them: the venue sees a logout and cancels nothing', async () => {
  const { on } = await withOrder();
  const stopped = on.live.stop({ orders: 'leave' });
  await on.advance(1_000);
  await stopped;
  expect(ends(on)).toEqual([{ cause: 'logout', cancelledOrders: [] }]);
});

test('stop that cancels them has the venue cancel them', async () => {
  const { on, order } = await withOrder();
  const stopped = on.live.stop({ orders: 'cancel' });
  await on.advance(1_000);
  await stopped;
  expect(ends(on)).toEqual([{ cause: 'client_close', cancelledOrders: [order] }]);
});

test('a reconnect that leaves them leaves them, also where the token has run out', async () => {
  const { on } = await withOrder();
  await on.fault('token_expiry');
  const reconnected = on.live.command('deribit.main', 'reconnect', { orders: 'leave' });
  await on.advance(5_000);
  expect(await reconnected).toMatchObject({ result: { generation: 2 } });
  expect(ends(on)).toEqual([{ cause: 'logout', cancelledOrders: [] }]);
});

test('a silence that the relay outlives costs no order', async () => {
  const { on } = await withOrder();
  await on.advance(12_000);
  on.take();
  await on.fault('silence', { forMs: 19_000 });
  await on.advance(30_000);
  const lines = on.take();
  expect(lines).toContain('relay heartbeat.missed');
  expect(lines).toContain('relay heartbeat.resumed');
  expect(ends(on)).toEqual([]);
});
