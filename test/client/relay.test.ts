import { afterEach, describe, expect, test } from 'vitest';
import { type ClientStatus, connect, type RelayClient, type StatesView } from '../../src/client/node.js';
import type { SessionEvent } from '../../src/model/event.js';
import type { Safety } from '../../src/model/session.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';

const clients: RelayClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await closeTestRelays();
});

describe.each(TRANSPORTS)('on %s', (transport) => {
  test('events arrive', async () => {
    const { url, venue, clock } = await startTestRelay(transport);
    venue.open('relay');
    const client = connect(url, { clock });
    clients.push(client);
    const statuses: ClientStatus[] = [];
    client.status$.subscribe((s) => statuses.push(s));
    const events: SessionEvent[] = [];
    const views: StatesView[] = [];
    const safeties: Safety[] = [];
    client.events$('deribit.>').subscribe((e) => events.push(e));
    client.states$('deribit.>').subscribe((v) => views.push(v));
    client.safety$('deribit.main.relay').subscribe((s) => safeties.push(s));
    await until(() => statuses.at(-1)?.state === 'open', 'open');
    venue.update('relay', 3);
    await until(() => events.filter((e) => e.type === 'session.updated').length === 3, 'three');
    const reply = await client.command('deribit.main', 'read', {});
    console.log(JSON.stringify({ statuses, reply, safeties, n: views.map((v) => [v.view, v.states.size]) }, undefined, 1));
    expect(1).toBe(1);
  });
});
