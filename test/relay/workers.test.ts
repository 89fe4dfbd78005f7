import { afterEach, expect, test } from 'vitest';
import type { Log } from '../../src/net/log.js';
import { type Relay, startRelay } from '../../src/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

test('try', async () => {
  const venue = createScriptedVenue();
  const write = (text: string, fields?: object): void => console.log(text, JSON.stringify(fields));
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const relay: Relay = await startRelay({ listen: { port: 0 }, venues: [venue], transport: 'uws', workers: 2, log });
  open.push(() => relay.close({ orders: 'leave' }));
  venue.open('a', 'b');
  const subs: Subscriber[] = [];
  for (let i = 0; i < 4; i++) {
    const s = await connectSubscriber(relay.url);
    await s.request('subscribe', { channels: ['deribit.>'] });
    subs.push(s);
  }
  venue.update('a', 100);
  for (const s of subs) await s.until(() => s.events('deribit.>').length >= 100);
  console.log(subs.map((s) => s.losses.length));
  console.log(await (await fetch(`${relay.url}/readyz`)).text());
  const m = await (await fetch(`${relay.url}/metrics`)).text();
  console.log(m.split('\n').filter((l) => /^session_relay_(connections|deliveries|workers|ingest_to_send_seconds_count|events_total)/.test(l)).join('\n'));
});
